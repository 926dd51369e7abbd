import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Family } from "../../src/packet/sightings.js";
import type { SourceId } from "../../src/packet/source.js";
import { ClockNetwork } from "../../src/path/clock.js";
import { Joiner } from "../../src/path/joiner.js";
import type { JoinedPath } from "../../src/path/path-view.js";
import { OFFLOADS, sendBulk } from "./bulk.js";
import { JOURNEYS } from "./journeys.js";
import { assertNoFalseJoin, finish, hooksOf, type Run, run } from "./run.js";
import { type Event, type Leg, type NodeName, type Packet, Simulator, TCP, UDP, WIRE_NS } from "./simulator.js";

/** The clock of a node is off by so much, and the Joiner knows no better than the bound. */
function skewed(
	simulator: Simulator,
	offNs: number,
	late = "node-b",
): { readonly events: Event[]; readonly outcome: Run } {
	const events = simulator.events.map((event) =>
		event.node === late ? { ...event, time: event.time + offNs } : event,
	);
	const clocks = new Set<string>();
	const outcome = run(
		simulator,
		{
			batchSize: 50,
			before(joiner, node) {
				if (!clocks.has(node)) joiner.clock(simulator.source(node), { offsetNs: 0, errorNs: Math.abs(offNs) });
				clocks.add(node);
			},
		},
		events,
	);
	return { events, outcome };
}

for (const offNs of [-300_000, -25_000, -19_000, 300_000]) {
	for (const [name, journey] of Object.entries(JOURNEYS)) {
		test(`${name}, one clock off by ${offNs / 1000} µs: the path is whole and exact`, () => {
			const simulator = new Simulator();
			const legs = journey(40_000);
			const packets: Packet[] = [
				{ protocol: UDP, payload: 64, ipId: 5, hash: 1 },
				{ protocol: UDP, payload: 64, ipId: 6, hash: 1 },
				{ protocol: TCP, payload: 64, ipId: 9, sequence: 7, acknowledgement: 3, tsval: 4, hash: 1 },
				{ protocol: TCP, payload: 0, ipId: 10, sequence: 71, acknowledgement: 3, tsval: 5 },
			];
			for (const packet of packets) {
				simulator.now += 1000;
				simulator.send(packet, legs);
			}
			simulator.now += 1e8;
			const { outcome, events } = skewed(simulator, offNs);
			assert.equal(outcome.paths.length, packets.length);
			for (const path of outcome.paths) {
				assert.deepEqual(
					hooksOf(simulator, path),
					legs.map((leg) => `${leg.node}/${leg.hook}`),
				);
				assert.equal(path.verdict, "delivered");
				assert.equal(path.evidence, "exact");
			}
			assert.equal(assertNoFalseJoin(simulator, outcome.paths, events), 0);
		});
	}
}

for (const offNs of [-300_000, -21_000, -19_000, 300_000]) {
	test(`dropped where it arrived, that clock off by ${offNs / 1000} µs: one path from where it was sent`, () => {
		const simulator = new Simulator();
		const legs = JOURNEYS["pod to pod, other node"]?.(40_000) ?? [];
		const arrival = legs.findIndex(({ node }) => node === "node-b");
		// Up to flannel.1→i, and no further.
		simulator.send({ protocol: UDP, payload: 64, ipId: 5, hash: 1 }, legs, 700, arrival + 2);
		simulator.now += 1000;
		simulator.send({ protocol: UDP, payload: 64, ipId: 6, hash: 1 }, legs);
		const last = simulator.events.filter(({ truth }) => truth.includes(simulator.events[0]?.truth[0] ?? -1)).at(-1);
		assert.ok(last?.node === "node-b", "precondition: it had crossed the wire");
		const report = {
			...{ skbLow: (last.skb * 0x9e3779b1) >>> 0, skbHigh: last.skb >>> 8, timeNs: last.time + offNs + 10 },
			...{ reason: "NETFILTER_DROP", function: "nf_hook_slow" },
		};
		const clocks = new Set<string>();
		const events = simulator.events.map((event) =>
			event.node === "node-b" ? { ...event, time: event.time + offNs } : event,
		);
		const { paths, accounts } = run(
			simulator,
			{
				batchSize: 50,
				before(joiner, node) {
					if (!clocks.has(node)) joiner.clock(simulator.source(node), { offsetNs: 0, errorNs: Math.abs(offNs) });
					if (!clocks.has(node) && node === "node-b") joiner.drop(simulator.source(node), report);
					clocks.add(node);
				},
			},
			events,
		);
		assert.deepEqual(
			paths.map(({ verdict, evidence, hops }) => [verdict, evidence, hops.length]),
			[
				["dropped", "exact", arrival + 2],
				["delivered", "exact", legs.length],
			],
		);
		assert.equal(paths[0]?.blame?.node, "node-b");
		assert.equal(accounts.drops, 1);
		assert.equal(assertNoFalseJoin(simulator, paths, events), 0);
	});
}

for (const offNs of [-250_000, -100_000, -19_000, 100_000]) {
	test(`a segment lost on the wire and sent again within a tick of TSval, that clock off by ${offNs / 1000} µs: two paths`, () => {
		const simulator = new Simulator();
		const legs = JOURNEYS["pod to pod, other node"]?.(40_000) ?? [];
		const segment = { protocol: TCP, payload: 1398, sequence: 7, acknowledgement: 3, tsval: 4, hash: 1 };
		simulator.send(
			{ ...segment, ipId: 9 },
			legs,
			700,
			legs.findIndex(({ node }) => node === "node-b"),
		);
		simulator.now += 200_000;
		simulator.send({ ...segment, ipId: 14 }, legs);
		// Long enough for the first to be given up.
		simulator.now += 5e9;
		simulator.send({ ...segment, sequence: 1405, ipId: 15, tsval: 5004 }, legs);
		const { outcome, events } = skewed(simulator, offNs);
		assert.deepEqual(
			outcome.paths
				.map(({ ipId, verdict, hops }) => [ipId, verdict, hops.length])
				.sort((a, b) => Number(a[0]) - Number(b[0])),
			[
				[9, "lost", 4],
				[14, "delivered", 8],
				[15, "delivered", 8],
			],
		);
		assert.equal(assertNoFalseJoin(simulator, outcome.paths, events), 0);
	});
}

test("law: copies of an IPv6 segment within a tick of TSval, whatever the skew and whichever is lost, are told by order, never as exact", () => {
	let swapped = 0;
	fc.assert(
		fc.property(
			fc.record({
				gaps: fc.array(fc.integer({ min: 1000, max: 400_000 }), { minLength: 1, maxLength: 4 }),
				lost: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
				offNs: fc.integer({ min: -300_000, max: 300_000 }),
			}),
			({ gaps, lost, offNs }) => {
				const simulator = new Simulator();
				const legs = JOURNEYS["pod to pod, other node"]?.(40_000) ?? [];
				const wire = legs.findIndex(({ node }) => node === "node-b");
				const segment = { protocol: TCP, payload: 1398, sequence: 7, acknowledgement: 3, tsval: 4, hash: 1, ipId: 0 };
				const begun = simulator.now;
				let at = begun;
				for (const [n, gap] of [0, ...gaps].entries()) {
					at += gap;
					simulator.now = at;
					simulator.send({ ...segment, family: Family.ipv6 }, legs, 700, lost[n] ? wire : legs.length);
				}
				simulator.now = at + 10e9;
				// Long enough for all to be judged.
				simulator.send({ ...segment, family: Family.ipv6, sequence: 1405, tsval: 9000 }, legs);
				const { outcome, events } = skewed(simulator, offNs);
				const copies = outcome.paths.slice(0, -1);
				assert.equal(copies.length, gaps.length + 1, "a path each");
				// Asserts that no exact path mixes two.
				swapped += assertNoFalseJoin(simulator, outcome.paths, events);
				const across = copies.filter(({ hops }) => hops.length > wire);
				assert.equal(across.length, lost.slice(0, gaps.length + 1).filter((one) => !one).length, "as many as arrived");
				for (const { evidence, hops } of across.slice(1)) {
					assert.notEqual(evidence, "exact", `${hops.length} hops, and an equal one before it`);
				}
				assert.equal(outcome.paths.at(-1)?.evidence, "exact", "another segment is itself");
			},
		),
		{ numRuns: 1000 },
	);
	assert.ok(swapped > 0, "precondition: some were swapped");
});

for (const offNs of [-300_000, -25_000, 0, 300_000]) {
	test(`cut for a small underlay and put together, one clock off by ${offNs / 1000} µs: whole and exact`, () => {
		const simulator = new Simulator();
		const legs = (JOURNEYS["pod to pod, other node"]?.(40_000) ?? []).map((leg) => ({
			...leg,
			fresh: ["node-a/eth0→e", "node-b/flannel.1→i"].includes(`${leg.node}/${leg.hook}`),
		}));
		for (let n = 0; n < 4; n++) {
			simulator.send({ protocol: UDP, payload: 1400, ipId: 5 + n, hash: 1 }, legs);
			simulator.now += 1000;
			simulator.send({ protocol: TCP, payload: 1398, ipId: 9 + n, sequence: 7 + n * 1398, tsval: 4, hash: 1 }, legs);
			simulator.now += 1000;
		}
		simulator.now += 1e8;
		const { outcome, events } = skewed(simulator, offNs);
		assert.deepEqual(
			outcome.paths.map(({ verdict, evidence, hops }) => [verdict, evidence, hops.length]),
			Array(8).fill(["delivered", "exact", legs.length]),
		);
		assert.equal(assertNoFalseJoin(simulator, outcome.paths, events), 0);
	});
}

for (const [late, offNs] of [
	["node-b", -30_000],
	["node-b", -60_000],
	["node-b", 60_000],
	["node-c", -30_000],
	["node-c", 60_000],
] as const) {
	test(`a NodePort of a third node, the clock of ${late} off by ${offNs / 1000} µs: no path leaves that node out`, () => {
		const simulator = new Simulator(["node-a", "node-b", "node-c"]);
		const on = (node: NodeName, source: string, destination: string, ...hooks: string[]): Leg[] =>
			hooks.map((hook) => ({ node, hook, source, destination }));
		const legs = [
			...on("node-a", "10.244.1.2:40000", "192.168.66.13:30080", "vA→i", "cni0→i"),
			...on("node-a", "192.168.66.11:40000", "192.168.66.13:30080", "eth0→e"),
			...on("node-c", "192.168.66.11:40000", "192.168.66.13:30080", "eth0→i"),
			...on("node-c", "10.244.3.0:40000", "10.244.2.3:8080", "flannel.1→e", "eth0→e"),
			...on("node-b", "10.244.3.0:40000", "10.244.2.3:8080", "eth0→i", "flannel.1→i", "cni0→e", "vB→e"),
		];
		for (let n = 0; n < 6; n++) {
			const segment = { protocol: TCP, acknowledgement: 3, tsval: 4 + n, ipId: 9 + n };
			simulator.send({ ...segment, payload: n % 2 === 0 ? 100 : 0, sequence: 7 + n * 100 }, legs);
			simulator.now += 1e6;
		}
		const { outcome, events } = skewed(simulator, offNs, late);
		assert.deepEqual(
			outcome.paths.map(({ verdict, hops }) => [verdict, hops.length]),
			Array(6).fill(["delivered", legs.length]),
		);
		assert.equal(assertNoFalseJoin(simulator, outcome.paths, events), 0);
	});
}

test("law: in bulk, whatever the offloads and the skew, every skb that was sent is one whole path with the same hops", () => {
	fc.assert(
		fc.property(
			fc.record({
				sizes: fc.array(fc.integer({ min: 1, max: 65_000 }), { minLength: 1, maxLength: 10 }),
				setting: fc.constantFrom(...Object.keys(OFFLOADS)),
				merge: fc.integer({ min: 1, max: 45 }),
				offNs: fc.integer({ min: -200_000, max: 200_000 }),
			}),
			({ sizes, setting, merge, offNs }) => {
				const send = () => {
					const simulator = new Simulator();
					sendBulk(simulator, {
						legs: JOURNEYS["ClusterIP, backend elsewhere"]?.(40_000) ?? [],
						shapes: OFFLOADS[setting] ?? [],
						sizes,
						merge,
						mss: 1398,
						tsval: 50,
						sequence: 0xfffff000,
						ipId: 65_500,
					});
					return simulator;
				};
				const simulator = send();
				const { outcome, events } = skewed(simulator, offNs);
				const straight = skewed(send(), 0).outcome;
				assertNoFalseJoin(simulator, outcome.paths, events);
				const summary = ({ paths }: Run) =>
					paths.map(({ verdict, hops, payload }) => ({
						verdict,
						payload,
						hops: hops.map(({ hook, packets, bytes }) => ({ hook, packets, bytes })),
					}));
				assert.deepEqual(summary(outcome), summary(straight));
			},
		),
		{ numRuns: 500 },
	);
});

test("honest clocks: what crosses the wire tells the offset, and from then on latencies are true within the bound", () => {
	const simulator = new Simulator();
	const to = JOURNEYS["pod to pod, other node"]?.(40_000) ?? [];
	const back = JOURNEYS["reply, other node"]?.(40_000) ?? [];
	for (let n = 0; n < 400; n++) {
		simulator.send({ protocol: UDP, payload: 64, ipId: n + 1, hash: n }, n % 2 === 0 ? to : back);
		simulator.now += 1e6;
	}
	const [nodeA, nodeB] = [simulator.source("node-a"), simulator.source("node-b")];
	// node-b's clock is 7 ms ahead of the joiner's line and gains 80 ppm.
	const byItsClock = (time: number) => time * (1 + 80e-6) + 7e6;
	const network = new ClockNetwork<SourceId>(nodeA);
	const told: JoinedPath[] = [];
	const joiner = new Joiner(
		{ tuples: simulator.tuples, outers: simulator.outers, expectation: simulator.expectation },
		{
			path: (view) => told.push(view.toPath()),
			revise: () => assert.fail("nothing is revised"),
			crossing: (from, receiver, sent, received) => network.crossed(from, receiver, sent, received),
		},
	);
	for (const hook of simulator.hooks) joiner.hook(simulator.source(hook.node), hook);
	network.asked(nodeB, 0, byItsClock(200_000), 500_000);
	const events = [...simulator.events].sort((a, b) => a.time - b.time);
	for (let start = 0; start < events.length; start += 64) {
		const now = events[start]?.time ?? 0;
		const clock = network.estimate(nodeB, byItsClock(now));
		const isInside = Math.abs(now - byItsClock(now) - clock.offsetNs) <= clock.errorNs;
		assert.ok(isInside, "the true offset lies inside the bound");
		joiner.clock(nodeB, clock);
		const part = events.slice(start, start + 64);
		const until = events[start + 64]?.time ?? Number.MAX_SAFE_INTEGER;
		joiner.batch(nodeA, simulator.rows(part.filter(({ node }) => node === "node-a")));
		const theirs = part.filter(({ node }) => node === "node-b");
		joiner.batch(nodeB, simulator.rows(theirs.map((event) => ({ ...event, time: byItsClock(event.time) }))));
		joiner.watermark(nodeA, until);
		joiner.watermark(nodeB, byItsClock(until));
	}
	const { paths } = finish(joiner, told);
	assert.equal(paths.length, 400);
	assert.ok(paths.every((path) => path.hops.length === 8 && path.verdict === "delivered" && path.evidence === "exact"));
	const truth = WIRE_NS + 7 * 700;
	for (const path of paths) assert.ok(Math.abs(path.latencyNs - truth) <= path.clockErrorNs + 5);
	assert.ok((paths.at(-1)?.clockErrorNs ?? 1e9) < 2 * WIRE_NS);
});
