import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { NOBODY } from "../../src/collector/cluster.js";
import { LocalSource } from "../../src/collector/local-source.js";
import { Pipeline } from "../../src/collector/pipeline.js";
import { planFor } from "../../src/collector/plan.js";
import { askQuestion } from "../../src/collector/question.js";
import { addon } from "../../src/kernel/addon.js";
import type { Lab } from "../../src/lab/lab.js";
import { fanOut } from "../../src/packet/fanout.js";
import type { Hook, HookId } from "../../src/packet/hook.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import type { PathView } from "../../src/path/path-view.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { latencyOf, segmentOf } from "./latency.js";
import { sendLive } from "./live.js";
import { DATAGRAM_BYTES, Numbers, Passages } from "./numbered.js";

const FLOOD = "build/bench/flood";
const PORT = 9000;
const SALT = 0x1234_5678_9abc_def1n;
const COUNT = 1_001_000;
/** Sent by live frames, in bursts that the rings can hold: each CPU's has room for 131,072 sightings. */
const FASTEST = 1_000_000;
const BURST = 120_000;
const PAUSE_MS = 400;
/** With 16 bits of IP ID: six times around. */
const ACROSS = 401_000;

/**
 * Some hundred thousand datagrams a second share a handful of skbs and, after a second, their IP IDs as well; each
 * carries its own number. Not one path may mix two of them.
 */
describe("a million datagrams", () => {
	const lab = cluster();
	const numbers = new Numbers(COUNT, SALT);

	for (const [way, to, nodes, hops, count, send] of [
		["over one veth pair, as a socket sends them", "default/neighbor", ["node-a"], 2, COUNT, flooding(null)],
		["over one veth pair, as fast as this machine can", "default/neighbor", ["node-a"], 2, FASTEST, fastest],
		[
			"across nodes, their IDs come again and again",
			"default/server",
			["node-a", "node-b"],
			8,
			ACROSS,
			flooding(45_000),
		],
	] as const) {
		test(way, async () => {
			const tally = { paths: 0, exact: 0, whole: 0, mixed: 0, unknown: 0, tied: 0 };
			const seen = new Uint8Array(COUNT);
			const passages = new Passages(numbers, COUNT * 2);
			const skbs = new Set<number>();
			const { end, lost } = await joining(nodes, passages, skbs, (view) => {
				tally.paths++;
				if (view.evidence !== "exact") return;
				tally.exact++;
				const number = passages.of(view);
				if (typeof number === "string") tally[number]++;
				if (number === "unknown" || number === "mixed" || view.hopCount !== hops) return;
				tally.whole++;
				if (number !== "tied") seen[number] = (seen[number] as number) + 1;
			});
			const told = await send(lab(), to, count).finally(async () => {
				await sleep(300);
				await end();
			});
			const sent = JSON.parse(told) as { sent: number; perSecond: number };
			assert.equal(sent.sent, count, "precondition: all were sent");
			assert.ok(skbs.size < count / 10, `precondition: ${skbs.size} pointers were used again and again`);
			const report = `${JSON.stringify({ ...tally, pointers: skbs.size, lost: lost(), ...sent })}`;
			process.stdout.write(`# ${way}: ${report}\n`);
			assert.equal(tally.mixed, 0, report);
			// Those that share their hash with another are not told: a quarter of a thousand in a million.
			assert.ok(tally.unknown < 1000, report);
			// Where the rings were too small for a busy machine, the rest must still be most of it.
			const expected = lost() === 0 ? count - 4000 : count * 0.3;
			assert.ok(tally.exact >= expected && tally.whole >= expected * 0.99, report);
			assert.ok(
				seen.every((times) => times < 2),
				"none has two paths",
			);
		});
	}

	test("as fast as this machine can, there is a latency sample for each packet, and none besides", async () => {
		let sent = 0;
		// A sample of one packet's entry and another's exit would be one too many, or leave an exit without its entry.
		const report = await latencyOf([`--lab=${lab().name}`], async () => {
			sent = (JSON.parse(await fastest(lab(), "default/neighbor", FASTEST)) as { sent: number }).sent;
		});
		assert.equal(sent, FASTEST, "precondition: all were sent");
		const { count } = segmentOf(report, "node-a", "bridge-forward");
		const figures = JSON.stringify({ count, packets: report.packets });
		process.stdout.write(`# ${figures}\n`);
		// The bridge is taught by a ping and its answer, and by whatever the pods say of themselves.
		assert.ok(count <= FASTEST + 50 && count >= FASTEST * 0.98, figures);
	});

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

/** Datagrams with a number each, from a socket in default/client. What the sender says of it. */
function flooding(rate: number | null): (lab: Lab, to: string, count: number) => Promise<string> {
	return async (lab, to, count) => {
		const options = ["--size", String(DATAGRAM_BYTES), "--packets", String(count), "--seconds", "50"];
		if (rate !== null) options.push("--rate", String(rate));
		return await lab.pod("default/client").run(FLOOD, "send", lab.pod(to).pod.address.ipv4, String(PORT), ...options);
	};
}

function fastest(lab: Lab, to: string, count: number): Promise<string> {
	return sendLive(lab, to, { port: PORT, count, burst: BURST, pauseMs: PAUSE_MS });
}
