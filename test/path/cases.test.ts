import assert from "node:assert/strict";
import { test } from "node:test";
import { Family } from "../../src/packet/sightings.js";
import { OFFLOADS, sendBulk } from "./bulk.js";
import { JOURNEYS } from "./journeys.js";
import { assertNoFalseJoin, finish, hooksOf, newJoiner, run } from "./run.js";
import { type Leg, type Packet, Simulator, TCP, tupleOf, UDP } from "./simulator.js";

const SAME_NODE = legsOf("pod to pod, same node");
const OTHER_NODE = legsOf("pod to pod, other node");
const SEGMENT: Packet = {
	protocol: TCP,
	payload: 1000,
	ipId: 7,
	sequence: 1000,
	acknowledgement: 5,
	tsval: 10,
	hash: 3,
};

function legsOf(name: string): Leg[] {
	const journey = JOURNEYS[name];
	if (journey === undefined) throw new RangeError(`no journey ${name}`);
	return journey(40_000);
}

/** Lets every suspect's time pass. */
function settle(simulator: Simulator): void {
	simulator.now += 1e10;
	simulator.send({ protocol: UDP, payload: 1, ipId: 1, hash: 1 }, legsOf("reply, other node"));
}

test("a retransmission within one tick of TSval is told from its lost original by its IP ID", () => {
	const simulator = new Simulator();
	simulator.send(SEGMENT, OTHER_NODE, 700, 4);
	simulator.now += 300_000;
	simulator.send({ ...SEGMENT, ipId: 8 }, OTHER_NODE);
	settle(simulator);
	const [original, again] = run(simulator).paths;
	assert.equal(original?.verdict, "lost");
	assert.equal(original?.hops.length, 4);
	assert.equal(original?.blame?.device, "eth0");
	assert.equal(again?.verdict, "delivered");
	assert.equal(again?.hops.length, 8);
	assert.equal(again?.evidence, "exact");
});

test("over IPv6, which has no ID, another TSval tells them apart", () => {
	const simulator = new Simulator();
	const packet = { ...SEGMENT, family: Family.ipv6, ipId: 0 };
	simulator.send(packet, OTHER_NODE, 700, 4);
	simulator.now += 3e6;
	simulator.send({ ...packet, tsval: 13 }, OTHER_NODE);
	settle(simulator);
	const [original, again] = run(simulator).paths;
	assert.equal(original?.verdict, "lost");
	assert.equal(again?.verdict, "delivered");
	assert.equal(again?.evidence, "exact");
});

test("a retransmission in other segments than its original joins its own bytes only", () => {
	const simulator = new Simulator();
	simulator.send({ ...SEGMENT, payload: 4000, gsoSize: 1000 }, OTHER_NODE, 700, 4);
	simulator.now += 3e6;
	simulator.send({ ...SEGMENT, ipId: 11, tsval: 13, payload: 2000, gsoSize: 1000 }, OTHER_NODE);
	settle(simulator);
	const [original, again] = run(simulator).paths;
	assert.equal(original?.verdict, "lost");
	assert.equal(again?.verdict, "delivered");
	assert.equal(assertNoFalseJoin(simulator, run(simulator).paths), 0);
});

/** A bulk of four segments whose second is lost on the wire, then that one sent again in bulk with what follows. */
function bulkAndAgain(again: { readonly tsval: number; readonly ipId: number }) {
	const simulator = new Simulator();
	const common = { legs: OTHER_NODE, shapes: OFFLOADS["no tunnel segmentation on eth0"] ?? [], mss: 1000 };
	sendBulk(simulator, { ...common, sizes: [4000], tsval: 10, sequence: 0, ipId: 100, lost: new Set([1]) });
	simulator.now += 300_000;
	sendBulk(simulator, { ...common, sizes: [2500], sequence: 1000, ...again });
	settle(simulator);
	const { paths } = run(simulator);
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
	return paths;
}

test("segments sent again in bulk do not fill the hole in their original: TSval tells them apart", () => {
	const [original, again] = bulkAndAgain({ tsval: 11, ipId: 0 });
	assert.equal(original?.verdict, "lost");
	assert.equal(original?.hops.at(-1)?.packets, 2);
	assert.equal(again?.verdict, "delivered");
	assert.equal(again?.evidence, "exact");
});

test("segments sent again in bulk within one tick of TSval: the IP ID tells them apart", () => {
	const [original, again] = bulkAndAgain({ tsval: 10, ipId: 104 });
	assert.equal(original?.verdict, "lost");
	assert.equal(again?.verdict, "delivered");
	assert.equal(again?.evidence, "exact");
});

test("identical packets under one pointer that begin at the same hook are as many paths", () => {
	const simulator = new Simulator(["node-a"]);
	for (let n = 0; n < 4; n++) {
		simulator.send(
			{ protocol: UDP, payload: 20, ipId: 0, hash: 4 },
			legsOf("node to own pod"),
			700,
			n % 2 === 0 ? 1 : 2,
		);
		simulator.now++;
	}
	assert.equal(new Set(simulator.events.map(({ skb }) => skb)).size, 1);
	const { paths } = run(simulator, { expectation: null });
	assert.deepEqual(
		paths.map(({ hops }) => hops.length),
		[1, 2, 1, 2],
	);
});

test("a packet that came by another port is another packet, though pointer and fields are the same", () => {
	const simulator = new Simulator(["node-a"]);
	const datagram = { protocol: UDP, payload: 20, ipId: 0, hash: 4 };
	simulator.send(datagram, SAME_NODE, 700, 1);
	simulator.now++;
	simulator.send(
		datagram,
		SAME_NODE.map((leg) => ({ ...leg, source: "10.244.1.4:40000", hook: leg.hook === "vA→i" ? "vC→i" : leg.hook })),
	);
	const seen = simulator.events.filter(({ hook }) => hook !== "vC→i");
	assert.equal(new Set(seen.map(({ skb }) => skb)).size, 1);
	const { paths } = run(simulator, {}, seen);
	assert.equal(paths.length, 2);
	assert.equal(assertNoFalseJoin(simulator, paths, seen), 0);
});

test("a copy that the wire made is a path of its own, from where it was first seen", () => {
	const simulator = new Simulator();
	simulator.send(SEGMENT, OTHER_NODE);
	simulator.now += 1000;
	simulator.send(SEGMENT, OTHER_NODE.slice(4));
	const { paths } = run(simulator);
	assert.deepEqual(
		paths.map((path) => path.hops.length),
		[8, 4],
	);
	assert.ok(paths.every(({ verdict }) => verdict === "delivered"));
});

test("identical datagrams rest on order; once something was lost in between they are ambiguous", () => {
	const datagram = { protocol: UDP, payload: 20, ipId: 0, hash: 4 };
	const simulator = new Simulator();
	for (let n = 0; n < 5; n++) simulator.send(datagram, OTHER_NODE);
	const sure = run(simulator).paths;
	assert.deepEqual(
		sure.map(({ evidence }) => evidence),
		["exact", "order", "order", "order", "order"],
	);
	assert.equal(assertNoFalseJoin(simulator, sure), 0);
	const doubted = run(simulator, {
		batchSize: 1000,
		before: (joiner, node) => joiner.lost(simulator.source(node), "ringFull", 1),
	}).paths;
	assert.ok(doubted.every(({ evidence }) => evidence === "ambiguous"));
});

test("one of identical datagrams is lost: of which packet those before it were the rest is ambiguous, too", () => {
	const datagram = { protocol: UDP, payload: 20, ipId: 0, hash: 4 };
	const simulator = new Simulator();
	const send = (count: number, lost = -1) => {
		for (let n = 0; n < count; n++) simulator.send(datagram, n === lost ? OTHER_NODE.slice(0, 4) : OTHER_NODE);
		// Longer than clocks may be wrong: nothing is under way.
		simulator.now += 20e6;
	};
	send(2);
	send(5, 2);
	send(1);
	simulator.now += 5e9;
	send(1);
	const { paths, told } = run(simulator);
	assert.deepEqual(
		paths.map(({ verdict, evidence, revision }) => `${verdict} ${evidence} ${revision}`),
		[
			...["delivered exact 0", "delivered order 0"],
			...Array(4).fill("delivered ambiguous 1"),
			...["delivered ambiguous 1", "lost ambiguous 0", "delivered exact 0"],
		],
	);
	const revised = told.filter(({ revision }) => revision > 0).map(({ serial }) => serial);
	assert.deepEqual(
		revised,
		[...revised].sort((a, b) => a - b),
		"oldest first",
	);
});

test("a hook that came later than a packet did not miss it", () => {
	const simulator = new Simulator();
	simulator.send({ protocol: UDP, payload: 20, ipId: 5 }, SAME_NODE.slice(0, 1));
	const began = simulator.now + 1000;
	simulator.now += 5e9;
	simulator.send({ protocol: UDP, payload: 20, ipId: 6 }, SAME_NODE);
	const { hook } = SAME_NODE.at(-1) ?? assert.fail();
	const last = simulator.hook("node-a", hook);
	const verdicts = (sinceNs?: number) =>
		run(simulator, {
			batchSize: 1,
			before: (joiner, node) => joiner.hook(simulator.source(node), last, sinceNs),
		}).paths.map(({ verdict }) => verdict);
	assert.deepEqual(verdicts(0), ["lost", "delivered"]);
	assert.deepEqual(verdicts(began), ["incomplete", "delivered"]);
});

test("datagrams that differ in their payload are exact without any ID", () => {
	const simulator = new Simulator();
	for (let n = 0; n < 5; n++) {
		simulator.send({ protocol: UDP, payload: 20, ipId: 0, hash: n + 1, family: Family.ipv6 }, OTHER_NODE);
		simulator.now -= 12_000;
	}
	const { paths } = run(simulator);
	assert.ok(paths.every(({ evidence, verdict }) => evidence === "exact" && verdict === "delivered"));
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
});

test("one skb of UDP GSO is five datagrams behind the wire and one path", () => {
	const simulator = new Simulator();
	const sent: Packet = { protocol: UDP, payload: 5000, gsoSize: 1000, ipId: 0xfffe, hash: 9 };
	simulator.send({ ...sent, ipId: 3 }, OTHER_NODE.slice(0, 4));
	simulator.send(sent, OTHER_NODE.slice(0, 4));
	simulator.now += 20_000;
	for (const base of [3, 0xfffe]) {
		for (let n = 0; n < 5; n++) {
			const part = { protocol: UDP, payload: 1000, ipId: (base + n) & 0xffff, hash: n === 0 ? 9 : 50 + n };
			simulator.send(part, OTHER_NODE.slice(4));
		}
	}
	simulator.learn(sent, OTHER_NODE);
	const { paths } = run(simulator);
	assert.equal(paths.length, 2);
	for (const path of paths) {
		assert.deepEqual(
			path.hops.map(({ packets }) => packets),
			[1, 1, 1, 1, 5, 5, 5, 5],
		);
		assert.equal(path.verdict, "delivered");
		assert.equal(path.evidence, "exact");
	}
});

test("UDP GSO over IPv6 has no IDs: its datagrams are joined by their order, and marked so", () => {
	const simulator = new Simulator();
	const family = Family.ipv6;
	const sent: Packet = { protocol: UDP, payload: 4500, gsoSize: 1000, ipId: 0, hash: 9, family };
	simulator.send(sent, OTHER_NODE.slice(0, 4));
	simulator.now += 20_000;
	for (let n = 0; n < 5; n++) {
		const part = { protocol: UDP, payload: n === 4 ? 500 : 1000, ipId: 0, hash: n === 0 ? 9 : 50 + n, family };
		simulator.send(part, OTHER_NODE.slice(4));
	}
	simulator.learn(sent, OTHER_NODE);
	const { paths } = run(simulator);
	assert.equal(paths.length, 1);
	assert.deepEqual(
		paths[0]?.hops.map(({ packets }) => packets),
		[1, 1, 1, 1, 5, 5, 5, 5],
	);
	assert.equal(paths[0]?.verdict, "delivered");
	assert.equal(paths[0]?.evidence, "order");
});

test("a flooded frame is one path with branches", () => {
	const simulator = new Simulator(["node-a"]);
	const packet = { protocol: UDP, payload: 28, ipId: 0, hash: 0 };
	const [leg] = SAME_NODE;
	assert.ok(leg !== undefined);
	const own = simulator.takePointer("node-a");
	const at = (hook: string) => ({ ...leg, hook });
	const emit = (hook: string, skb: number, ingress: number) => {
		simulator.emit(at(hook), packet, { skb, ingress, truth: [0] });
		simulator.now += 400;
	};
	for (let n = 0; n < 3; n++) {
		emit("vA→i", own, 7);
		emit("vB→e", simulator.takePointer("node-a"), 7);
		emit("vC→e", simulator.takePointer("node-a"), 7);
		emit("cni0→i", own, 5);
		simulator.now += 1e6;
	}
	const { paths } = run(simulator, { expectation: null });
	assert.equal(paths.length, 3);
	for (const path of paths) {
		assert.deepEqual(
			path.hops.map((hop) => [simulator.name(hop.hook), hop.branch]),
			[
				["node-a/vA→i", 0],
				["node-a/vB→e", 1],
				["node-a/vC→e", 2],
				["node-a/cni0→i", 0],
			],
		);
		assert.equal(path.verdict, "delivered");
	}
});

test("IPv6 through a NodePort: both addresses and the skb change at once, and the first that shows it claims no more than order", () => {
	const simulator = new Simulator();
	const legs = (JOURNEYS["NodePort, backend elsewhere"]?.(40_000) ?? []).map((leg) => ({
		...leg,
		fresh: leg.node === "node-a" && leg.hook === "flannel.1→e",
	}));
	for (let n = 0; n < 5; n++) {
		simulator.send({ protocol: UDP, payload: 64, ipId: 0, hash: n + 1, family: Family.ipv6 }, legs);
		simulator.now += 1e6;
	}
	const { paths } = run(simulator);
	assert.deepEqual(
		paths.map(({ verdict, evidence, hops }) => [verdict, evidence, hops.length]),
		[0, 1, 2, 3, 4].map((n) => ["delivered", n === 0 ? "order" : "exact", legs.length]),
	);
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
});

test("a drop report ends its path at once; one that comes late revises it under its serial", () => {
	const simulator = new Simulator(["node-a"]);
	simulator.send({ protocol: UDP, payload: 64, ipId: 1, hash: 1 }, SAME_NODE, 700, 1);
	simulator.now++;
	simulator.send({ protocol: UDP, payload: 64, ipId: 2, hash: 1 }, SAME_NODE);
	const skb = simulator.events[0]?.skb ?? 0;
	const report = {
		skbLow: (skb * 0x9e3779b1) >>> 0,
		skbHigh: skb >>> 8,
		reason: "NETFILTER_DROP",
		function: "nf_hook_slow",
	};
	const { joiner, told } = newJoiner(simulator);
	const source = simulator.source("node-a");
	joiner.batch(source, simulator.rows(simulator.events));
	joiner.drop(source, { ...report, timeNs: 1001 });
	joiner.drop(source, { ...report, reason: "SOCKET_RCVBUFF", timeNs: simulator.now });
	joiner.watermark(source, simulator.now + 1);
	const { accounts } = finish(joiner, told);
	assert.deepEqual(
		told.map(({ serial, revision, verdict }) => [serial, revision, verdict]),
		[
			[1, 0, "dropped"],
			[2, 0, "delivered"],
			[2, 1, "dropped"],
		],
	);
	assert.equal(told[0]?.blame?.kernelReason, "NETFILTER_DROP");
	assert.equal(told[0]?.blame?.device, "vA");
	assert.equal(told[2]?.blame?.device, "vB");
	assert.equal(accounts.drops, 2);
	assert.equal(accounts.paths.dropped, 2);
	assert.equal(accounts.paths.delivered, 0);
});

test("ids that open paths and waiting rows hold are kept when tables retire what is old", () => {
	const simulator = new Simulator();
	simulator.send(SEGMENT, OTHER_NODE);
	const { joiner, told } = newJoiner(simulator);
	const source = (node: string) => simulator.source(node);
	for (const node of ["node-a", "node-b"]) {
		joiner.batch(source(node), simulator.rows(simulator.events.filter((event) => event.node === node)));
	}
	const idle = simulator.tuples.intern(tupleOf({ ...SEGMENT, protocol: UDP }, SAME_NODE[0] as Leg));
	joiner.watermark(source("node-a"), 1e6);
	joiner.watermark(source("node-b"), (simulator.events[5]?.time ?? 0) + 1);
	assert.equal(joiner.counters().openPaths, 1);
	assert.ok(joiner.counters().queued > 0);
	const epochs = [simulator.tuples.tick(), simulator.outers.tick()] as const;
	joiner.keepIds();
	simulator.tuples.retire(epochs[0], (id) => joiner.forgetTuple(id));
	simulator.outers.retire(epochs[1]);
	assert.equal(simulator.tuples.has(idle), false);
	const { paths } = finish(joiner, told);
	assert.equal(paths[0]?.hops.length, 8);
	assert.equal(paths[0]?.hops[5]?.tuple.source, "10.244.1.2");
});

test("bounds hold: the oldest paths go as incomplete, counted", () => {
	const simulator = new Simulator(["node-a"]);
	for (let n = 0; n < 1000; n++) {
		simulator.send({ protocol: UDP, payload: 64, ipId: n + 1, hash: n }, SAME_NODE, 10, 1);
	}
	simulator.send({ protocol: UDP, payload: 64, ipId: 2000, hash: 1 }, SAME_NODE);
	const { accounts, paths } = run(simulator, { limits: { maxPaths: 100 } });
	assert.equal(paths.length, 1001);
	assert.ok(accounts.evicted >= 900);
	assert.ok(paths.every((path) => path.serial === 1001 || path.verdict === "incomplete"));
	assert.equal(paths.at(-1)?.verdict, "delivered");
	assert.match(paths[0]?.blame?.reason ?? "", /more open paths than there is room for/);
});

test("a flow with more open ranges than allowed gives up its lowest", () => {
	const simulator = new Simulator();
	for (let n = 0; n < 200; n++) {
		simulator.send({ ...SEGMENT, ipId: n + 1, sequence: n * 1000, tsval: n }, OTHER_NODE, 10, 4);
	}
	const { accounts } = run(simulator, { limits: { rangesPerDirection: 64 } });
	assert.equal(accounts.evicted, 200 - 64);
});

test("hooks that nobody announced and tuples without room are counted as unjoined", () => {
	const simulator = new Simulator(["node-a"]);
	simulator.send(SEGMENT, SAME_NODE);
	const rows = simulator.rows(simulator.events);
	rows.hook[0] = 999;
	rows.tuple[1] = 0;
	const { joiner, told } = newJoiner(simulator);
	joiner.batch(simulator.source("node-a"), rows);
	const { accounts } = finish(joiner, told);
	assert.deepEqual(accounts.unjoined, { unknownHook: 1, noTuple: 1 });
	assert.equal(accounts.joined, 0);
});

test("a source that never ends holds the others back only until it speaks, and not when it has ended", () => {
	const simulator = new Simulator();
	simulator.send(SEGMENT, OTHER_NODE);
	const { joiner, told } = newJoiner(simulator);
	const [a, b] = [simulator.source("node-a"), simulator.source("node-b")];
	joiner.batch(a, simulator.rows(simulator.events.filter(({ node }) => node === "node-a")));
	joiner.watermark(a, 1e6);
	assert.equal(joiner.counters().queued, 4);
	joiner.lost(b, "agentGone", 4);
	joiner.end(b);
	assert.equal(joiner.counters().queued, 0);
	joiner.watermark(a, 1e10);
	assert.equal(told.length, 1);
	assert.equal(told[0]?.verdict, "incomplete");
	assert.match(told[0]?.blame?.reason ?? "", /events were lost/);
	assert.deepEqual(told[0] === undefined ? [] : hooksOf(simulator, told[0]).length, 4);
	finish(joiner, told);
});

test("a tunnel's packet cut for a small underlay and put together again: other pointers, one path", () => {
	const simulator = new Simulator();
	const legs = OTHER_NODE.map((leg) => ({
		...leg,
		fresh: `${leg.node}/${leg.hook}` === "node-a/eth0→e" || `${leg.node}/${leg.hook}` === "node-b/flannel.1→i",
	}));
	const packets: Packet[] = [
		{ protocol: TCP, payload: 1398, ipId: 9, sequence: 7, acknowledgement: 3, tsval: 4, hash: 1 },
		{ protocol: UDP, payload: 1400, ipId: 5, hash: 1 },
		{ protocol: UDP, payload: 1400, ipId: 0, hash: 2, family: Family.ipv6 },
	];
	for (const packet of packets) {
		simulator.send(packet, legs);
		simulator.now += 1000;
	}
	const { paths } = run(simulator);
	assert.deepEqual(
		paths.map(({ verdict, evidence, hops }) => [verdict, evidence, hops.length]),
		packets.map(() => ["delivered", "exact", legs.length]),
	);
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
});
