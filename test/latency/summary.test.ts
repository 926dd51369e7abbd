import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ENUMS } from "../../src/kernel/layout.generated.js";
import { type Segment as Counted, REST } from "../../src/kernel/segments.js";
import { Intervals } from "../../src/latency/reading.js";
import { type LatencySummary, Sum, type SummaryOptions, summarise } from "../../src/latency/summary.js";
import type { TimedHook } from "../../src/latency/timed-hook.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { counted } from "./counted.js";

const KIND = ENUMS.weft_segment_kind;

function hook(device: string, role: TimedHook["role"], direction: TimedHook["direction"], pod?: string): TimedHook {
	const bridge = role === "pod" || role === "inside" ? "cni0" : null;
	return { node: "node-a", netns: "1" as NetnsCookie, ifindex: 0, device, direction, role, bridge, pod: pod ?? null };
}

/** Hook set 1 is ingress, 2 egress, 3 and 4 a pod's inside. */
const HOOKS: Readonly<Record<string, TimedHook>> = {
	"1/5": { ...hook("vA", "pod", "ingress", "default/a"), ifindex: 5 },
	"2/5": { ...hook("vA", "pod", "egress", "default/a"), ifindex: 5 },
	"1/6": { ...hook("vB", "pod", "ingress", "default/b"), ifindex: 6 },
	"2/6": { ...hook("vB", "pod", "egress", "default/b"), ifindex: 6 },
	"1/2": hook("cni0", "bridge", "ingress"),
	"2/2": hook("cni0", "bridge", "egress"),
	"1/3": hook("flannel.1", "tunnel", "ingress"),
	"2/3": hook("flannel.1", "tunnel", "egress"),
	"1/4": hook("eth0", "nic", "ingress"),
	"2/4": hook("eth0", "nic", "egress"),
	"3/9": hook("eth0", "inside", "ingress", "default/b"),
	"4/9": hook("eth0", "inside", "egress", "default/b"),
	"1/7": { ...hook("vC", "pod", "ingress"), bridge: "docker0" },
};

/** Of the rest: ports of cni0, in and out. */
const CLASSES: Readonly<Record<number, TimedHook>> = {
	1: { ...hook("", "pod", "ingress"), ifindex: 0 },
	2: { ...hook("", "pod", "egress"), ifindex: 0 },
};

function sum(segments: readonly Counted[], options: Partial<SummaryOptions> = {}): LatencySummary {
	return summarise(new Intervals().next(segments), { ...OPTIONS, ...options });
}

const OPTIONS: SummaryOptions = {
	hook: (hookSet, ifindex) => HOOKS[`${hookSet}/${ifindex}`] ?? null,
	ofClass: (id) => CLASSES[id] ?? null,
	nameOf: (address) => (address === "10.0.0.1" ? "default/a" : null),
	by: null,
	inside: false,
};

describe("segments are named by what packets do between two hooks", () => {
	for (const [from, to, kind, device] of [
		["1/5", "2/6", "bridge-forward", "cni0"],
		["1/5", "2/5", "bridge-forward", "cni0"], // hairpin
		["1/7", "2/6", "route", null], // from another bridge's port
		["1/5", "1/2", "bridge-up", "cni0"],
		["2/2", "2/6", "bridge-down", "cni0"],
		["1/2", "2/3", "route", null],
		["1/2", "2/4", "route", null],
		["1/2", "2/2", "route", null],
		["1/3", "2/2", "route", null],
		["1/4", "2/3", "route", null],
		["2/3", "2/4", "encapsulate", "flannel.1"],
		["1/4", "1/3", "decapsulate", "flannel.1"],
		["2/6", "3/9", "into-pod", "cni0"],
		["4/9", "1/6", "out-of-pod", "cni0"],
		["1/5", "2/2", "other", null], // bridged DNAT to a stale neighbour
	] as const) {
		it(`${HOOKS[from]?.device} → ${HOOKS[to]?.device}: ${kind}`, () => {
			const [whole] = sum([counted(0, from, to, [1000])]).segments;
			assert.deepEqual([whole?.kind, whole?.device, whole?.count], [kind, device, 1]);
		});
	}
});

describe("a summary", () => {
	const pairs = [counted(0, "1/5", "2/6", [1000, 2000]), counted(1, "1/6", "2/5", [9000])];

	it("adds pairs of ports up to their bridge and shows them below it", () => {
		const { segments, packets } = sum(pairs);
		assert.deepEqual(
			segments.map(({ from, to, count, minNs, maxNs }) => [from?.pod, to?.pod, count, minNs, maxNs]),
			[
				[undefined, undefined, 3, 1000, 9000],
				["default/a", "default/b", 2, 1000, 2000],
				["default/b", "default/a", 1, 9000, 9000],
			],
		);
		assert.equal(packets.timed, 3);
	});

	it("groups by port, pod and protocol; what the kernel had no room for is other", () => {
		const groups = (segments: readonly Counted[], by: SummaryOptions["by"]) =>
			sum(segments, { by }).segments.map(({ group, count }) => `${group} ${count}`);
		assert.deepEqual(groups(pairs, "port"), ["null 3", "vA → vB 2", "vB → vA 1"]);
		assert.deepEqual(groups(pairs, "pod"), ["null 3", "default/a → default/b 2", "default/b → default/a 1"]);
		const protocols = [counted(0, "1/5", "2/6", [1, 2], { group: 7 }), counted(1, "0/1", "0/2", [1], { group: REST })];
		assert.deepEqual(groups(protocols, "protocol"), ["null 3", "tcp 2", "other 1"]);
		const rest = [...pairs, counted(2, "0/1", "0/2", [5, 6, 7, 8], { group: REST })];
		for (const by of ["port", "pod"] as const) assert.equal(groups(rest, by).at(-1), "other 4");
		const { segments, packets } = sum(rest);
		assert.deepEqual(
			segments.map(({ kind, device, from, group, count }) => [kind, device, from?.device ?? null, group, count]),
			[
				["bridge-forward", "cni0", null, null, 7],
				["bridge-forward", "cni0", "vA", null, 2],
				["bridge-forward", "cni0", "vB", null, 1],
				["bridge-forward", "cni0", null, "other", 4],
			],
		);
		assert.equal(packets.timed, 7);
	});

	it("names a flow by its ends, in one order", () => {
		const flow = new Uint8Array(40);
		flow.set([0xff, 0xff, 10, 0, 0, 2], 10);
		flow.set([0xff, 0xff, 10, 0, 0, 1], 26);
		new DataView(flow.buffer).setUint16(32, 80, true);
		new DataView(flow.buffer).setUint16(34, 40000, true);
		flow[36] = 6;
		const [, part] = sum([counted(0, "1/5", "2/6", [1], { group: 77, flow })], { by: "flow" }).segments;
		assert.equal(part?.group, "tcp 10.0.0.2:80 ↔ default/a:40000");
	});

	it("keeps a bounded number of parts, and every packet", () => {
		const many = Array.from({ length: 250 }, (_, i) => counted(i, "1/5", "2/6", [1], { group: 1 + i }));
		const { segments } = sum(many, { by: "protocol" });
		assert.equal(segments.length, 1 + 100 + 1);
		assert.deepEqual([segments.at(-1)?.group, segments.at(-1)?.count], ["other", 150]);
	});

	it("tells packets that begin from those whose way is not known", () => {
		const none = (index: number, to: string, kind: number, count: number) =>
			counted(index, null, to, [], { kind, count });
		const { packets, segments } = sum([
			none(0, "1/5", KIND.WEFT_UNMATCHED_UNSEEN, 10),
			none(1, "1/4", KIND.WEFT_UNMATCHED_EVICTED, 5),
			none(2, "2/6", KIND.WEFT_UNMATCHED_CLONED, 3),
			none(3, "2/4", KIND.WEFT_UNMATCHED_SEGMENTED, 2),
			none(4, "9/9", KIND.WEFT_UNMATCHED_UNSEEN, 1),
		]);
		assert.deepEqual(packets, { timed: 0, begun: 15, unmatched: { cloned: 3, segmented: 2, unseen: 1 } });
		assert.deepEqual(
			segments.map(({ kind, count, unmatched }) => [kind, count, unmatched]),
			[
				["bridge-forward", 0, { cloned: 3 }],
				["route", 0, { segmented: 2 }],
			],
		);
		const inside = sum([none(0, "1/5", KIND.WEFT_UNMATCHED_UNSEEN, 10)], { inside: true });
		assert.deepEqual(inside.packets.unmatched, { unseen: 10 }, "with hooks inside it should have been seen before");
	});

	it("times the whole node from first hook to last, once", () => {
		const transit = (index: number, from: string, to: string) =>
			counted(index, from, to, [5000], { kind: KIND.WEFT_SEGMENT_TRANSIT });
		const { segments, packets } = sum([transit(0, "1/5", "2/3"), transit(1, "1/5", "2/4"), transit(2, "1/4", "2/6")]);
		assert.deepEqual(
			segments.map(({ kind, count }) => [kind, count]),
			[["transit", 2]],
			"not as far as the tunnel, which is no end",
		);
		assert.equal(packets.timed, 0, "and counts no packet twice");
	});
});

describe("what is gone", () => {
	/** A veth of a bridge that nobody else is on. */
	const port = (device: string, bridge: string, direction: TimedHook["direction"], ifindex: number): TimedHook => ({
		...hook(device, "pod", direction),
		...{ bridge, ifindex },
	});
	const between = (from: TimedHook, to: TimedHook): SummaryOptions => ({
		...OPTIONS,
		hook: (hookSet) => (hookSet === 1 ? from : to),
	});

	it("keeps the names it had, of so many, and every packet, below what there is", () => {
		const past = new Sum();
		for (let n = 1; n <= 500; n++) {
			const durations = Array.from({ length: n > 450 ? 2 : 1 }, () => 1000);
			const options = between(port(`v${n}`, "cni0", "ingress", n), port(`w${n}`, "cni0", "egress", 1000 + n));
			past.count(new Intervals().next([counted(0, `1/${n}`, `2/${1000 + n}`, durations)]), options);
			past.bound();
		}
		const all = new Sum();
		all.add(past);
		all.count(new Intervals().next(pairsOfLive), OPTIONS);
		for (const [sum, packets] of [
			[past, 550],
			[all, 553],
		] as const) {
			const { segments } = sum.summary();
			assert.equal(segments.length, 1 + 100 + 1);
			const [whole, ...parts] = segments;
			assert.equal(whole?.count, packets);
			assert.equal(
				parts.reduce((total, { count }) => total + count, 0),
				packets,
			);
			assert.equal(parts.at(-1)?.group, "other");
			assert.ok(parts.some(({ from, to }) => from?.device === "v500" && to?.device === "w500"));
		}
	});

	it("is of a device called other, where there were too many bridges", () => {
		const past = new Sum();
		for (let n = 1; n <= 200; n++) {
			const options = between(port("v", `br-${n}`, "ingress", 1), port("w", `br-${n}`, "egress", 2));
			past.count(
				new Intervals().next([
					counted(
						0,
						"1/1",
						"2/2",
						Array.from({ length: n }, () => 9),
					),
				]),
				options,
			);
			past.bound();
		}
		const wholes = past.summary().segments.filter(({ from, group }) => from === null && group === null);
		assert.ok(wholes.length <= 64 + 1, `${wholes.length} are kept`);
		assert.equal(
			wholes.reduce((total, { count }) => total + count, 0),
			(200 * 201) / 2,
		);
		assert.ok(wholes.some(({ device }) => device === "br-200") && wholes.some(({ device }) => device === "other"));
	});

	const pairsOfLive = [counted(0, "1/5", "2/6", [1000, 2000]), counted(1, "1/6", "2/5", [9000])];
});

describe("intervals", () => {
	it("begin anew where an entry is given to another segment", () => {
		const intervals = new Intervals();
		intervals.next([counted(0, "1/5", "2/6", [5, 100])]);
		const [last] = intervals.last([counted(0, "1/5", "2/6", [5, 100, 100])]);
		assert.deepEqual([last?.count, last?.histogram.count, last?.histogram.sumNs], [1, 1, 100]);
		const [first] = intervals.next([counted(0, "1/6", "2/5", [7])]);
		assert.deepEqual([first?.count, first?.histogram.count, first?.histogram.sumNs], [1, 1, 7]);
	});

	it("hold what was added, past a counter's wrap", () => {
		const intervals = new Intervals();
		const before = counted(0, "1/5", "2/6", [5, 100]);
		before.buckets[5] = 0xffffffff;
		assert.equal(intervals.next([before]).length, 1);
		const after = { ...before, count: before.count + 3, sumNs: before.sumNs + 210, buckets: before.buckets.slice() };
		after.buckets[5] = 0; // one more
		after.buckets[88] = (after.buckets[88] as number) + 2;
		const [reading] = intervals.next([after]);
		assert.deepEqual(
			[reading?.count, reading?.histogram.count, reading?.histogram.sumNs, reading?.histogram.minNs],
			[3, 3, 210, 5],
		);
		assert.equal(intervals.next([after]).length, 0, "nothing more came");
	});
});
