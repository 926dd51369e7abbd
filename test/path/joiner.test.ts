import assert from "node:assert/strict";
import { test } from "node:test";
import { JOURNEYS } from "./journeys.js";
import { assertNoFalseJoin, hooksOf, run } from "./run.js";
import { ICMP, type Packet, Simulator, TCP, tupleOf, UDP, WIRE_NS } from "./simulator.js";

const PACKETS = {
	tcp: { protocol: TCP, payload: 100, ipId: 4711, sequence: 1000, acknowledgement: 7, tsval: 99, hash: 5 },
	udp: { protocol: UDP, payload: 64, ipId: 815, hash: 77 },
	icmp: { protocol: ICMP, payload: 56, ipId: 12, sequence: 3, hash: 9 },
} as const satisfies Record<string, Packet>;

for (const [name, journey] of Object.entries(JOURNEYS)) {
	for (const [protocol, packet] of Object.entries(PACKETS)) {
		test(`${name}, ${protocol}: one path with the hooks of the table, in order, exact`, () => {
			const simulator = new Simulator();
			const legs = journey(40000);
			simulator.send(packet, legs);
			const { paths, accounts } = run(simulator);
			assert.equal(paths.length, 1);
			const path = paths[0];
			assert.ok(path !== undefined);
			assert.deepEqual(
				hooksOf(simulator, path),
				legs.map((leg) => `${leg.node}/${leg.hook}`),
			);
			assert.equal(path.verdict, "delivered");
			assert.equal(path.evidence, "exact");
			assert.equal(path.blame, null);
			assert.deepEqual(
				path.hops.map(({ tuple }) => tuple),
				legs.map((leg) => tupleOf(packet, leg)),
			);
			const wires = new Set(legs.map(({ node }) => node)).size - 1;
			assert.equal(path.latencyNs, (legs.length - 1) * 700 + wires * WIRE_NS);
			assert.equal(accounts.joined, legs.length);
		});
	}
}

test("half a path whose other node nobody watches is forwarded, at once", () => {
	const simulator = new Simulator(["node-a"]);
	const whole = new Simulator();
	const legs = JOURNEYS["ClusterIP, backend elsewhere"]?.(40001) ?? [];
	const half = legs.filter((leg) => leg.node === "node-a");
	assert.ok(half.length < legs.length);
	whole.send(PACKETS.udp, legs);
	simulator.send(PACKETS.udp, half);
	const { paths } = run(simulator, { expectation: whole.expectation });
	assert.equal(paths.length, 1);
	assert.equal(paths[0]?.verdict, "forwarded");
	assert.equal(paths[0]?.blame?.reason, "→ node-b, not watched");
	assert.deepEqual(
		paths.flatMap((path) => hooksOf(simulator, path)),
		half.map((leg) => `${leg.node}/${leg.hook}`),
	);
});

test("a flood that reuses two pointers joins no two packets", () => {
	const simulator = new Simulator(["node-a"]);
	const request = JOURNEYS["pod to pod, same node"]?.(5000) ?? [];
	const reply = JOURNEYS["reply, same node"]?.(5000) ?? [];
	for (let n = 0; n < 20_000; n++) {
		// Connected UDP counts its ID and wraps; the payloads are all alike.
		const packet = { protocol: UDP, payload: 64, ipId: n & 0xffff, hash: 1 };
		simulator.send(packet, n % 3 === 2 ? reply : request, 300);
		simulator.now += n % 2 === 0 ? 100 : 1100;
	}
	const pointers = new Set(simulator.events.map(({ skb }) => skb));
	assert.ok(pointers.size <= 2, "the simulator reuses pointers");
	const { paths, accounts } = run(simulator, { batchSize: 333 });
	assert.equal(paths.length, 20_000);
	assert.equal(accounts.paths.delivered, 20_000);
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
	assert.ok(paths.every(({ evidence }) => evidence === "exact"));
});

test("a packet that the next hook did not see is lost behind the last", () => {
	for (const [name, journey] of Object.entries(JOURNEYS)) {
		const legs = journey(40000);
		for (let until = 1; until < legs.length; until++) {
			const simulator = new Simulator();
			simulator.send(PACKETS.tcp, legs, 700, until);
			simulator.now += 5e9;
			simulator.send({ ...PACKETS.udp, ipId: 1 }, JOURNEYS["pod to pod, same node"]?.(1) ?? []);
			const { paths } = run(simulator);
			const lost = paths.find((path) => path.serial === 1);
			const last = legs[until - 1];
			assert.equal(lost?.verdict, "lost", `${name} lost after ${until} hops`);
			assert.equal(lost?.blame?.node, last?.node);
			assert.equal(`${lost?.blame?.device}→${lost?.blame?.direction === "ingress" ? "i" : "e"}`, last?.hook);
			assert.equal(paths.length, 2);
		}
	}
});

test("a trace that ends, or that began in between, says so", () => {
	const simulator = new Simulator(["node-a"]);
	const legs = JOURNEYS["pod to pod, same node"]?.(1) ?? [];
	simulator.send(PACKETS.udp, legs, 700, 1);
	const open = run(simulator).paths[0];
	assert.equal(open?.verdict, "incomplete");
	assert.match(open?.blame?.reason ?? "", /tracing ended/);

	const late = new Simulator(["node-a"]);
	late.send(PACKETS.udp, legs);
	const began = run(late, {}, late.events.slice(1)).paths[0];
	assert.equal(began?.verdict, "incomplete");
	assert.match(began?.blame?.reason ?? "", /tracing began/);
});
