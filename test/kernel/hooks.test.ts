import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import { Hooks, type HooksOptions, type InstanceFilter } from "../../src/kernel/hooks.js";
import { LAYOUT } from "../../src/kernel/layout.generated.js";
import type { Netns, RawBatch } from "../../src/kernel/native.js";
import type { HookTarget } from "../../src/kernel/place.js";
import type { Direction, NetnsCookie } from "../../src/packet/hook.js";
import { Space } from "../native/space.js";

const EVERYTHING: InstanceFilter = { rules: [], matchAll: 1, tunnelPorts: [] };
const NOTHING: InstanceFilter = { rules: [], matchAll: 0, tunnelPorts: [] };
const OPTIONS: HooksOptions = { attach: "tcx", ringBytes: 1 << 20, hashSalt: 7n, sample: 0, follow: false };

for (const attach of ["tcx", "clsact"] as const) {
	describe(`hooks by ${attach}`, () => {
		let space: Space;
		let netns: Netns;
		let hooks: Hooks;

		beforeEach(() => {
			space = new Space();
			netns = addon().openNetns(space.path);
		});
		afterEach(async () => {
			await hooks.close();
			netns.close();
			space.close();
		});

		function target(device: "near" | "far", direction: Direction): HookTarget {
			return {
				netns: netns.cookie as NetnsCookie,
				netnsPath: space.path,
				ifindex: space[device],
				device,
				direction,
				l3: false,
			};
		}

		it("delivers exactly what the kernel emitted, under a flood and with rings far too small", async () => {
			hooks = new Hooks({ ...OPTIONS, attach, ringBytes: 4096 });
			const seen = collect(hooks);
			assert.deepEqual(
				await hooks.attach(
					[target("near", "egress"), target("far", "ingress")],
					() => EVERYTHING,
					() => undefined,
				),
				[],
			);
			const sent = await space.flood({ packets: 200_000 });
			const { total } = await hooks.stop();
			assert.ok(total.ringFull > 0, "the rings were large enough: this test shows nothing");
			assert.equal(total.matched, 2 * sent);
			assert.equal(total.emitted + total.ringFull, total.matched);
			assert.equal(seen.records, total.emitted);
			assert.equal(seen.outOfOrder, 0);
			assert.equal(seen.behindWatermark, 0);
		});

		it("loses nothing with rings of the usual size", async () => {
			hooks = new Hooks({ ...OPTIONS, attach, ringBytes: null });
			const seen = collect(hooks);
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			const sent = await space.flood({ packets: 200_000 });
			const { total, sets } = await hooks.stop();
			assert.equal(total.ringFull, 0);
			assert.equal(seen.records, 2 * sent);
			assert.deepEqual(
				sets.map((set) => [set.direction, set.emitted]),
				[
					["egress", sent],
					["ingress", sent],
				],
			);
		});

		it("tells of a hook before its first record comes, and records name it", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const announced = new Map<number, number>();
			const unknown: string[] = [];
			hooks.drain((batch) => {
				for (const { hookSet, ifindex } of namesIn(batch)) {
					if (announced.get(hookSet) !== ifindex) unknown.push(`${hookSet}:${ifindex}`);
				}
				hooks.release(batch);
			});
			const flooding = space.flood({ packets: 100_000 });
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				({ ifindex }, hookSet) => {
					announced.set(hookSet, ifindex);
				},
			);
			await flooding;
			assert.ok((await hooks.stop()).total.emitted > 0);
			assert.deepEqual(unknown, []);
		});

		it("switches filters while packets flow: generations count up, nothing else is lost", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const generations = new Set<number>();
			let records = 0;
			hooks.drain((batch) => {
				const bytes = new Uint8Array(batch.buffer, 0, batch.records * RECORD);
				for (let at = MEMBERS.generation.offset; at < bytes.length; at += RECORD) generations.add(bytes[at] as number);
				records += batch.records;
				hooks.release(batch);
			});
			await hooks.attach(
				[target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			const flooding = space.flood({ seconds: 2, rate: 50_000 });
			for (const generation of [1, 2]) {
				const before = Date.now();
				while (!generations.has(generation - 1) && Date.now() - before < 20_000) await sleep(5);
				assert.equal(await hooks.refilter(() => EVERYTHING), generation);
			}
			const sent = await flooding;
			assert.equal(await hooks.refilter(() => NOTHING), 3);
			await space.flood({ packets: 1000 });
			const { total } = await hooks.stop();
			assert.deepEqual([total.seen, total.matched, records], [sent + 1000, sent, sent]);
			assert.deepEqual([...generations].sort(), [0, 1, 2]);
		});

		it("adds and takes hooks away while running, and keeps what they counted", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const seen = collect(hooks);
			await hooks.attach(
				[target("near", "egress")],
				() => EVERYTHING,
				() => undefined,
			);
			const first = await space.flood({ packets: 1000 });
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			const second = await space.flood({ packets: 1000 });
			await hooks.detach([target("near", "egress")]);
			assert.deepEqual(
				hooks.targets.map(({ device }) => device),
				["far"],
			);
			const third = await space.flood({ packets: 1000 });
			const { total, sets } = await hooks.stop();
			assert.equal(total.matched, first + 2 * second + third);
			assert.equal(seen.records, total.matched);
			assert.deepEqual(
				sets.map((set) => set.matched),
				[second + third],
			);
		});

		it("says which devices are gone, and traces the others", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const gone = { ...target("near", "egress"), ifindex: 4711, device: "gone0" };
			const [failure, ...others] = await hooks.attach(
				[gone, target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			assert.deepEqual(others, []);
			assert.equal(failure?.target, gone);
			assert.match(failure?.error.message ?? "", /attach to gone0 egress.*ENODEV.*gone/);
			assert.equal(hooks.targets.length, 1);
		});

		it("notices that a path leads to another namespace now", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const wrong = { ...target("far", "ingress"), netns: "1" as NetnsCookie };
			const [failure] = await hooks.attach(
				[wrong],
				() => EVERYTHING,
				() => undefined,
			);
			assert.match(failure?.error.message ?? "", /another cookie/);
		});

		it("knows where somebody's filter stands before it", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			space.tc("qdisc", "add", "dev", "far", "clsact");
			const match = ["u32", "match", "u32", "0", "0", "flowid", "1:1"];
			space.tc("filter", "add", "dev", "far", "ingress", "protocol", "all", "prio", "1", ...match);
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			// TCX runs before all of clsact.
			assert.deepEqual(
				hooks.shadowed.map(({ device }) => device),
				attach === "tcx" ? [] : ["far"],
			);
			await space.flood({ packets: 100 });
			const { sets } = await hooks.stop();
			assert.deepEqual(
				sets.map(({ direction, seen }) => [direction, seen]),
				[
					["egress", 100],
					["ingress", attach === "tcx" ? 100 : 0],
				],
			);
		});

		it("outlives a hooked device", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			collect(hooks);
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			space.ip("link", "del", "near");
			await hooks.refilter(() => NOTHING);
			await hooks.detach([target("near", "egress")]);
			await hooks.stop();
		});

		it("leaves amid a flood: no hook is left, and what was emitted is known and delivered", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			const seen = collect(hooks);
			const places = [target("near", "egress"), target("far", "ingress")];
			await hooks.attach(
				places,
				() => EVERYTHING,
				() => undefined,
			);
			const flooding = space.flood({ packets: 200_000 });
			while (seen.records < 1000) await sleep(1);
			const { total } = await hooks.leave();
			const sent = await flooding;
			assert.ok(
				total.matched > 0 && total.matched < 2 * sent,
				`it left in the middle: ${total.matched} of ${2 * sent}`,
			);
			assert.equal(total.emitted + total.ringFull, total.matched);
			assert.equal(seen.records, total.emitted);
			assert.deepEqual(addon().queryTcx(space.near, true, netns), []);
			assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
		});

		it("leaves nothing on the devices", async () => {
			hooks = new Hooks({ ...OPTIONS, attach });
			collect(hooks);
			await hooks.attach(
				[target("near", "egress"), target("far", "ingress")],
				() => EVERYTHING,
				() => undefined,
			);
			await hooks.stop();
			await hooks.close();
			assert.deepEqual(addon().queryTcx(space.near, true, netns), []);
			assert.deepEqual(addon().queryTcx(space.far, false, netns), []);
			assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
		});
	});
}

const RECORD = LAYOUT.weft_event.size;
const MEMBERS = LAYOUT.weft_event.members;

interface Seen {
	records: number;
	outOfOrder: number;
	behindWatermark: number;
}

function collect(hooks: Hooks): Seen {
	const seen = { records: 0, outOfOrder: 0, behindWatermark: 0 };
	let [last, watermark] = [0n, 0n];
	hooks.drain((batch) => {
		const words = new BigUint64Array(batch.buffer, 0, (batch.records * RECORD) / 8);
		for (let at = MEMBERS.time_ns.offset / 8; at < words.length; at += RECORD / 8) {
			const time = words[at] as bigint;
			if (time < last) seen.outOfOrder++;
			if (time < watermark) seen.behindWatermark++;
			last = time;
		}
		watermark = batch.watermarkNs;
		seen.records += batch.records;
		hooks.release(batch);
	});
	return seen;
}

function* namesIn(batch: RawBatch): Generator<{ hookSet: number; ifindex: number }> {
	const view = new DataView(batch.buffer);
	for (let base = 0; base < batch.records * RECORD; base += RECORD) {
		yield {
			hookSet: view.getUint16(base + MEMBERS.hook_set.offset, true),
			ifindex: view.getUint32(base + MEMBERS.ifindex.offset, true),
		};
	}
}
