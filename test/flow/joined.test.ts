import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FlowRecord } from "../../src/flow/record.js";
import { FlowTable } from "../../src/flow/table.js";
import { TcpFlag } from "../../src/packet/sightings.js";
import { Joiner } from "../../src/path/joiner.js";
import { JOURNEYS } from "../path/journeys.js";
import { type Leg, type Packet, Simulator, TCP } from "../path/simulator.js";

const S = TcpFlag.syn;
const A = TcpFlag.ack;
const F = TcpFlag.fin;
const P = TcpFlag.psh;
const MSS = 1398;
/** The wire of the simulator: 20 µs; a hop takes 0.7. */
const TRIP_NS = 7 * 700 + 20_000;

function journey(name: string, port: number): Leg[] {
	const legs = JOURNEYS[name]?.(port);
	if (legs === undefined) throw new RangeError(`no journey ${name}`);
	return legs;
}

/** A connection through the service on both nodes, of which the third and the last data packet are lost on the way. */
function connection(simulator: Simulator, port: number): { readonly sent: number; readonly answered: number } {
	const out = journey("ClusterIP, backend elsewhere", port);
	const back = journey("reply of a ClusterIP, backend elsewhere", port);
	let id = port;
	let sequence = 5000;
	const send = (way: "out" | "back", packet: Partial<Packet>, until?: number) => {
		const whole = { protocol: TCP, payload: 0, ipId: id++ & 0xffff, tsval: Math.floor(simulator.now / 1e6), ...packet };
		simulator.send({ hash: whole.ipId + whole.payload, ...whole }, way === "out" ? out : back, 700, until);
		simulator.now += 1000;
	};
	send("out", { tcpFlags: S, sequence: 4999 });
	send("back", { tcpFlags: S | A, sequence: 99, acknowledgement: 5000 });
	send("out", { tcpFlags: A, sequence: 5000, acknowledgement: 100 });
	const data = (offset: number, until?: number) =>
		send(
			"out",
			{ tcpFlags: A | P, sequence: 5000 + offset, acknowledgement: 100, payload: 10 * MSS, gsoSize: MSS },
			until,
		);
	for (let n = 0; n < 6; n++) data(n * 10 * MSS, n === 2 ? 3 : n === 5 ? 4 : undefined);
	sequence += 60 * MSS;
	simulator.now += 250e6;
	data(20 * MSS);
	data(50 * MSS);
	send("back", { tcpFlags: A, sequence: 100, acknowledgement: sequence });
	send("back", { tcpFlags: A | P, sequence: 100, acknowledgement: sequence, payload: 700 });
	send("out", { tcpFlags: A | F, sequence, acknowledgement: 800 });
	send("back", { tcpFlags: A | F, sequence: 800, acknowledgement: sequence + 1 });
	send("out", { tcpFlags: A, sequence: sequence + 1, acknowledgement: 801 });
	return { sent: 60 * MSS, answered: 700 };
}

function flowsOf(simulator: Simulator, batchSize: number): FlowRecord[] {
	const table = new FlowTable({
		tuples: simulator.tuples,
		outers: simulator.outers,
		hook: (id) => simulator.hooks[id] ?? assert.fail(`no hook ${id}`),
		idPrefix: "t",
		wallClockBase: 0n,
	});
	const { tuples, outers, expectation } = simulator;
	const joiner = new Joiner({ tuples, outers, expectation }, table);
	for (const hook of simulator.hooks) joiner.hook(simulator.source(hook.node), hook);
	const queues = ["node-a", "node-b"].map((node) => ({
		source: simulator.source(node),
		batches: simulator.batches(
			simulator.events.filter((event) => event.node === node),
			batchSize,
		),
	}));
	while (queues.some(({ batches }) => batches.length > 0)) {
		for (const { source, batches } of queues) {
			const rows = batches.shift();
			if (rows !== undefined) {
				const last = rows.time[rows.count - 1] as number;
				const next = batches[0]?.time[0] ?? last + 1;
				joiner.batch(source, rows);
				joiner.watermark(source, Math.min(next, last + 1));
			} else joiner.watermark(source, Number.MAX_SAFE_INTEGER);
		}
	}
	// Long enough for what was lost to be called so.
	for (const { source } of queues) joiner.watermark(source, simulator.now + 10e9);
	joiner.flush();
	assert.equal(table.counters.paths, table.counters.counted);
	return [...table.snapshots()].map(({ record }) => record);
}

describe("flows from sightings, through the Joiner", () => {
	it("one connection over two nodes and a service: bytes, states, round trips, and where what was lost", () => {
		const simulator = new Simulator();
		const { sent, answered } = connection(simulator, 40_000);
		const [record, ...others] = flowsOf(simulator, 64);
		assert.ok(record !== undefined && others.length === 0);
		const { flow, forward, reverse } = record;
		assert.deepEqual([flow.source.ip, flow.source.node], ["10.244.1.2", "node-a"]);
		assert.deepEqual(
			[flow.destination.ip, flow.destination.port, flow.destination.node],
			["10.244.2.3", 8080, "node-b"],
		);
		assert.deepEqual(flow.service, { ip: "10.96.0.11", port: 80, name: null });
		assert.deepEqual(record.tunnels, [{ source: "192.168.66.11", destination: "192.168.66.12", vni: 1 }]);
		assert.equal(record.tcpState, "closed");
		assert.equal(forward.payloadBytes, sent + 20 * MSS);
		assert.equal(reverse.payloadBytes, answered);
		assert.equal(forward.packets, 80 + 4);
		assert.deepEqual([forward.lost, forward.retransmissions], [2, 2]);
		assert.deepEqual(record.retransmissions, [
			{ place: "eth0→e @node-a", count: 1 },
			{ place: "flannel.1→e @node-a", count: 1 },
		]);
		assert.ok(Math.abs((record.handshakeRttNs ?? 0) - 2 * TRIP_NS) < 5000, `${record.handshakeRttNs}`);
		assert.ok((record.rtt?.count ?? 0) >= 4);
	});

	it("are the same however the sightings were cut into batches", () => {
		const simulator = new Simulator();
		for (let n = 0; n < 20; n++) connection(simulator, 40_000 + n);
		const whole = flowsOf(simulator, 1 << 12);
		assert.equal(whole.length, 20);
		for (const size of [1, 7, 100]) assert.deepEqual(flowsOf(simulator, size), whole);
	});

	it("a hairpin, a NodePort and a masqueraded client are one flow each", () => {
		const simulator = new Simulator();
		const names = [
			"hairpin",
			"NodePort, backend elsewhere",
			"pod to outside",
			"outside to hostPort",
			"reply of a hostPort",
		];
		for (const [n, name] of names.entries()) {
			const port = name.includes("hostPort") ? 777 : 1000 + n;
			simulator.send({ protocol: TCP, payload: 5, ipId: n, tcpFlags: A, sequence: 10, hash: n }, journey(name, port));
			simulator.now += 1000;
		}
		const ends = flowsOf(simulator, 64).map(
			({ flow }) => `${flow.source.ip} → ${flow.service?.ip ?? "-"} → ${flow.destination.ip}`,
		);
		assert.deepEqual(ends.sort(), [
			"10.244.1.2 → - → 192.168.66.1",
			"10.244.1.2 → 10.96.0.11 → 10.244.1.2",
			"192.168.66.1 → 192.168.66.11 → 10.244.1.2",
			"192.168.66.1 → 192.168.66.11 → 10.244.2.3",
		]);
	});
});
