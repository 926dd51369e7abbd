import assert from "node:assert/strict";
import { test } from "node:test";
import { EventFlag, Family } from "../../src/packet/sightings.js";
import { JOURNEYS } from "./journeys.js";
import { hooksOf, run } from "./run.js";
import { type Leg, Simulator, UDP } from "./simulator.js";

/** A datagram of 3000 bytes as fragments of at most 1392 bytes: offset, bytes behind the IP header. */
const CUT = [
	[0, 1392],
	[1392, 1392],
	[2784, 224],
] as const;
const TOTAL = 3008;

/**
 * As facts/datapath saw it: in fragments at the pod's veth, whole at cni0→i (under the pointer of the fragment that came
 * last), in fragments again behind it (the first under that pointer, the others under their old ones).
 */
function sendFragments(simulator: Simulator, legs: readonly Leg[], ipId: number, family: Family, lost?: string): void {
	let pointers = CUT.map(() => simulator.takePointer("node-a"));
	const number = simulator.sent.push({ hooks: [], fate: "whole" }) - 1;
	let id = ipId;
	for (const [n, leg] of legs.entries()) {
		const before = legs[n - 1];
		if (before !== undefined && before.node !== leg.node) {
			pointers = CUT.map(() => simulator.takePointer(leg.node));
			simulator.now += 20_000;
		}
		const ingress = iifAt(simulator, legs, n);
		const common = { protocol: UDP, family };
		if (leg.hook === "cni0→i") {
			const skb = pointers[2] ?? 0;
			const whole = family === Family.ipv6 ? 0 : ipId;
			const hash = 1 + ipId * 4;
			simulator.emit(leg, { ...common, payload: TOTAL - 8, ipId: whole, hash }, { skb, ingress, truth: [number] });
			// IPv6 cuts under another ID.
			if (family === Family.ipv6) id += 0x10000;
			pointers = [skb, pointers[0] ?? 0, pointers[1] ?? 0];
			simulator.now += 500;
			continue;
		}
		for (const [k, [offset, bytes]] of CUT.entries()) {
			if (lost === `${leg.node}/${leg.hook}` && k === 1) continue;
			const flags =
				EventFlag.fragment |
				(offset > 0 ? EventFlag.laterFragment : 0) |
				(k < CUT.length - 1 ? EventFlag.moreFragments : 0);
			const at = offset > 0 ? withoutPorts(leg) : leg;
			const payload = offset > 0 ? bytes : bytes - 8;
			simulator.emit(
				at,
				{ ...common, payload, ipId: id, sequence: offset, hash: 1 + ipId * 4 + k },
				{ skb: pointers[k] ?? 0, ingress, truth: [number], flags },
			);
			simulator.now += 100;
		}
	}
	simulator.learn({ protocol: UDP, payload: 0, ipId, family }, legs);
}

function withoutPorts(leg: Leg): Leg {
	const bare = (end: string) => `${end.slice(0, end.lastIndexOf(":"))}:0`;
	return { ...leg, source: bare(leg.source), destination: bare(leg.destination) };
}

function iifAt(simulator: Simulator, legs: readonly Leg[], n: number): number {
	let iif = 0;
	for (const leg of legs.slice(0, n + 1)) {
		const hook = simulator.hook(leg.node, leg.hook);
		if (hook.direction === "ingress") iif = hook.ifindex;
		else if (hook.role === "nic") iif = 0;
	}
	return iif;
}

const JOURNEY = "ClusterIP, backend elsewhere";

for (const [name, family] of [
	["IPv4", Family.ipv4],
	["IPv6", Family.ipv6],
] as const) {
	test(`fragments of ${name}, put together and cut again on the way: one path with the right hops`, () => {
		const simulator = new Simulator();
		const legs = JOURNEYS[JOURNEY]?.(40_000) ?? [];
		for (let n = 0; n < 3; n++) {
			sendFragments(simulator, legs, 100 + n, family);
			simulator.now += 1000;
		}
		const { paths } = run(simulator);
		assert.equal(paths.length, 3);
		for (const path of paths) {
			assert.deepEqual(
				hooksOf(simulator, path),
				legs.map((leg) => `${leg.node}/${leg.hook}`),
			);
			assert.deepEqual(
				path.hops.map(({ packets }) => packets),
				[3, 1, 3, 3, 3, 3, 3, 3],
			);
			assert.equal(path.verdict, "delivered");
			assert.equal(path.evidence, "exact");
			assert.equal(path.payload, 3000);
			assert.deepEqual(
				path.hops.map(({ tuple }) => tuple.destinationPort),
				legs.map((leg) => Number(leg.destination.split(":").at(-1))),
			);
		}
	});
}

test("two pods that use the same IP ID at once are two datagrams", () => {
	const simulator = new Simulator();
	const start = simulator.now;
	for (const journey of ["pod to pod, other node", "reply, other node"]) {
		simulator.now = start;
		const legs = JOURNEYS[journey]?.(40_000) ?? [];
		sendFragments(
			simulator,
			legs.filter(({ hook }) => hook !== "cni0→i"),
			7,
			Family.ipv4,
		);
	}
	const { paths } = run(simulator);
	assert.equal(paths.length, 2);
	for (const path of paths) assert.equal(path.hops.length, 7);
});

test("a fragment that is lost on the wire is a part lost", () => {
	const simulator = new Simulator();
	const legs = (JOURNEYS["pod to pod, other node"]?.(40_000) ?? []).slice(0, 5);
	sendFragments(simulator, legs, 7, Family.ipv4, "node-b/eth0→i");
	simulator.now += 1e10;
	simulator.send({ protocol: UDP, payload: 1, ipId: 9 }, JOURNEYS["reply, other node"]?.(1) ?? []);
	const { paths } = run(simulator);
	assert.equal(paths[0]?.verdict, "lost");
	assert.equal(paths[0]?.blame?.device, "eth0");
	assert.equal(paths[0]?.blame?.node, "node-a");
	assert.match(paths[0]?.blame?.reason ?? "", /a part of it was lost/);
});

/** A datagram of 1480 bytes that is too long for the tunnel: whole until its node's bridge, in two parts behind it. */
function sendCutAtTunnel(simulator: Simulator, legs: readonly Leg[], ipId: number): void {
	const number = simulator.sent.push({ hooks: [], fate: "whole" }) - 1;
	const [whole, total] = [simulator.takePointer("node-a"), 1480];
	let pointers = [0, 1].map(() => simulator.takePointer("node-a"));
	for (const [n, leg] of legs.entries()) {
		const before = legs[n - 1];
		if (before !== undefined && before.node !== leg.node) {
			pointers = [0, 1].map(() => simulator.takePointer(leg.node));
			simulator.now += 20_000;
		}
		const ingress = iifAt(simulator, legs, n);
		const common = { protocol: UDP, family: Family.ipv4, ipId };
		if (n < 2) {
			simulator.emit(leg, { ...common, payload: total - 8, hash: ipId }, { skb: whole, ingress, truth: [number] });
		} else {
			const first = { ...common, payload: 1400, hash: ipId };
			const flags = EventFlag.fragment | EventFlag.moreFragments;
			simulator.emit(leg, first, { skb: pointers[0] ?? 0, ingress, truth: [number], flags });
			const rest = { ...common, payload: total - 1408, sequence: 1408, hash: ipId + 1 };
			const later = EventFlag.fragment | EventFlag.laterFragment;
			const skb = pointers[1] ?? 0;
			simulator.emit(withoutPorts(leg), rest, { skb, ingress, truth: [number], flags: later });
		}
		simulator.now += 500;
	}
	simulator.learn({ protocol: UDP, payload: 0, ipId, family: Family.ipv4 }, legs);
}

test("a datagram that is cut only at the tunnel is one path", () => {
	const simulator = new Simulator();
	const legs = JOURNEYS[JOURNEY]?.(40_000) ?? [];
	const others = JOURNEYS["pod to pod, other node"]?.(40_001) ?? [];
	for (let n = 0; n < 3; n++) {
		sendCutAtTunnel(simulator, legs, 100 + n);
		simulator.send({ protocol: UDP, payload: 1472, ipId: 100 + n, hash: 7 }, others);
	}
	const { paths } = run(simulator);
	assert.equal(paths.length, 6);
	for (const path of paths.filter(({ payload, hops }) => payload === 1472 && hops.at(-1)?.packets === 2)) {
		assert.deepEqual(
			hooksOf(simulator, path),
			legs.map((leg) => `${leg.node}/${leg.hook}`),
		);
		assert.deepEqual(
			path.hops.map(({ packets }) => packets),
			[1, 1, 2, 2, 2, 2, 2, 2],
		);
		assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
	}
	assert.equal(paths.filter(({ hops }) => hops.at(-1)?.packets === 2).length, 3);
	assert.ok(paths.every(({ verdict, hops }) => verdict === "delivered" && hops.length === 8));
});
