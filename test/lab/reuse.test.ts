import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { NOBODY } from "../../src/collector/cluster.js";
import { LocalSource } from "../../src/collector/local-source.js";
import { Pipeline } from "../../src/collector/pipeline.js";
import { planFor } from "../../src/collector/plan.js";
import { askQuestion } from "../../src/collector/question.js";
import { addon } from "../../src/kernel/addon.js";
import { fanOut } from "../../src/packet/fanout.js";
import type { Hook, HookId } from "../../src/packet/hook.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import type { PathView } from "../../src/path/path-view.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { DATAGRAM_BYTES, Numbers, Passages } from "./numbered.js";

const FLOOD = "build/bench/flood";
const PORT = 9000;
const SALT = 0x1234_5678_9abc_def1n;
const COUNT = 1_001_000;
/** With 16 bits of IP ID: six times around. */
const ACROSS = 401_000;

/**
 * Some hundred thousand datagrams a second share a handful of skbs and, after a second, their IP IDs as well; each
 * carries its own number. Not one path may mix two of them.
 */
describe("a million datagrams", () => {
	const lab = cluster();
	const numbers = new Numbers(COUNT, SALT);

	for (const [way, to, nodes, hops, count, rate] of [
		["over one veth pair, as fast as they go", "default/neighbor", ["node-a"], 2, COUNT, null],
		["across nodes, their IDs come again and again", "default/server", ["node-a", "node-b"], 8, ACROSS, 45_000],
	] as const) {
		test(way, async () => {
			const address = lab().pod(to).pod.address.ipv4;
			const tally = { paths: 0, exact: 0, whole: 0, mixed: 0, unknown: 0 };
			const seen = new Uint8Array(COUNT);
			const passages = new Passages(numbers, COUNT * 2);
			const skbs = new Set<number>();
			const { end, lost } = await joining(nodes, passages, skbs, (view) => {
				tally.paths++;
				const number = passages.at(view.hook(0), view.first(0));
				if (number === null) tally.unknown++;
				if (view.evidence !== "exact" || number === null) return;
				tally.exact++;
				let mixed = false;
				for (let n = 0; n < view.hopCount; n++) {
					mixed ||= passages.at(view.hook(n), view.first(n)) !== number || view.packets(n) !== 1;
				}
				if (mixed) tally.mixed++;
				if (view.hopCount !== hops) return;
				tally.whole++;
				seen[number] = (seen[number] as number) + 1;
			});
			const options = ["--size", String(DATAGRAM_BYTES), "--packets", String(count), "--seconds", "50"];
			if (rate !== null) options.push("--rate", String(rate));
			const client = lab().pod("default/client");
			const told = await client.run(FLOOD, "send", address, String(PORT), ...options).finally(async () => {
				await sleep(300);
				await end();
			});
			const sent = JSON.parse(told) as { sent: number; perSecond: number };
			assert.equal(sent.sent, count, "precondition: all were sent");
			assert.ok(skbs.size < count / 20, `precondition: ${skbs.size} pointers were used again and again`);
			const report = `${JSON.stringify({ ...tally, pointers: skbs.size, lost: lost(), ...sent })}`;
			assert.equal(tally.mixed, 0, report);
			assert.ok(tally.unknown < 1000, report);
			// Where the rings were too small for a busy machine, the rest must still be most of it.
			const expected = lost() === 0 ? count - 1000 : count * 0.5;
			assert.ok(tally.exact >= expected && tally.whole >= expected * 0.99, report);
			assert.ok(
				seen.every((times) => times < 2),
				"none has two paths",
			);
			process.stdout.write(`# ${way}: ${report}\n`);
		});
	}

	/** Both nodes' hooks into one pipeline in this process, every sighting noted beside it. */
	async function joining(
		nodes: readonly string[],
		passages: Passages,
		skbs: Set<number>,
		path: (view: PathView) => void,
	) {
		const question = askQuestion({ from: "any", to: "any", filter: `udp dst port ${PORT}`, namespace: "default" });
		let lost = 0;
		const owners = new Map<Sightings, LocalSource>();
		const pipeline = new Pipeline({
			questions: [question],
			everyPath: true,
			release: (rows) => owners.get(rows)?.release(rows),
			path,
		});
		const world = {
			nodes: nodes.map((node) => {
				const { path: netns } = lab().node(node);
				return { name: node, wiring: readWiring({ native: addon(), node, netns, hostRoot: null }).wiring };
			}),
			cluster: NOBODY,
			names: null,
		};
		pipeline.world(
			world.nodes.map(({ wiring }) => wiring),
			world.cluster,
		);
		const nothing = () => {};
		const witness: SourceSink = {
			hook: (_, __: Hook) => {},
			unhook: nothing,
			batch(_, rows) {
				passages.add(rows);
				for (let i = 0; i < rows.count; i += 7) skbs.add(rows.skbLow[i] as number);
			},
			lost: (_, __, count) => {
				lost += count;
			},
			watermark: nothing,
			clock: nothing,
			end: nothing,
		};
		let nextId = 0;
		const baseNs = addon().clocks().monotonicNs;
		const sources = await Promise.all(
			planFor(question, world).nodes.map(async ({ wiring, sites, filterOf }) => {
				const noting: SourceSink = {
					...witness,
					batch(id, rows) {
						owners.set(rows, source);
						witness.batch(id, rows);
					},
				};
				const source: LocalSource = new LocalSource(
					{
						id: wiring.node as SourceId,
						node: wiring.node,
						attach: attach(),
						ringBytes: 16 << 20,
						sample: 1,
						hashSalt: SALT,
						tuples: pipeline.tuples,
						outers: pipeline.outers,
						baseNs,
						nextHookId: () => nextId++ as HookId,
					},
					fanOut([noting], pipeline.sink),
				);
				assert.deepEqual(await source.watch(sites, filterOf), []);
				return source;
			}),
		);
		return {
			lost: () => lost,
			end: async () => {
				for (const source of sources) await source.stop();
				pipeline.finish();
				for (const source of sources) await source.close();
			},
		};
	}
});
