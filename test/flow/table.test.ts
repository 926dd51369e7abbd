import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TcpFlag } from "../../src/packet/sightings.js";
import { CLIENT, Network, SERVER, SERVICE, type Shot } from "./network.js";

const S = TcpFlag.syn;
const A = TcpFlag.ack;
const F = TcpFlag.fin;
const R = TcpFlag.rst;
const P = TcpFlag.psh;

/** A whole connection: a request of 100 bytes, an answer of 3000, closed by the client. Times in µs. */
const HANDSHAKE: readonly Shot[] = [
	{ way: "→", at: 0, flags: S, seq: 1000 },
	{ way: "←", at: 20, flags: S | A, seq: 9000, ack: 1001 },
	{ way: "→", at: 50, flags: A, seq: 1001, ack: 9001 },
];
const TALK: readonly Shot[] = [
	{ way: "→", at: 60, flags: P | A, seq: 1001, ack: 9001, payload: 100 },
	{ way: "←", at: 100, flags: A, seq: 9001, ack: 1101 },
	{ way: "←", at: 200, flags: P | A, seq: 9001, ack: 1101, payload: 3000, segments: 3 },
	{ way: "→", at: 240, flags: A, seq: 1101, ack: 12001 },
];
const FAREWELL: readonly Shot[] = [
	{ way: "→", at: 300, flags: F | A, seq: 1101, ack: 12001 },
	{ way: "←", at: 320, flags: F | A, seq: 12001, ack: 1102 },
	{ way: "→", at: 340, flags: A, seq: 1102, ack: 12002 },
];
const CONNECTION: readonly Shot[] = [...HANDSHAKE, ...TALK, ...FAREWELL];
const throughService = (shots: readonly Shot[]): Shot[] => shots.map((shot) => ({ ...shot, service: true }));

describe("a TCP connection", () => {
	it("is one flow of both directions, counted at the first hop", () => {
		const record = new Network().shoot(...CONNECTION).flow();
		assert.equal(record.flow.protocol, "tcp");
		assert.deepEqual(record.forward, {
			packets: 6,
			bytes: 6 * 66 + 100,
			payloadBytes: 100,
			lost: 0,
			dropped: 0,
			retransmissions: 0,
		});
		assert.equal(record.reverse.packets, 6);
		assert.equal(record.reverse.payloadBytes, 3000);
		assert.equal(record.firstSeen, "2023-11-14T22:13:20.000000000Z");
		assert.equal(record.lastSeen, "2023-11-14T22:13:20.000347000Z");
		assert.deepEqual(record.retransmissions, []);
	});

	it("goes from new to closed", () => {
		const states = CONNECTION.map((_, i) => new Network().shoot(...CONNECTION.slice(0, i + 1)).flow().tcpState);
		assert.deepEqual(states, [
			...["new", "new", "established"],
			...["established", "established", "established", "established"],
			...["closing", "closing", "closed"],
		]);
	});

	it("is reset by a RST, but not after it was closed", () => {
		const reset = { way: "←", at: 500, flags: R, seq: 9001 } as const;
		const record = new Network().shoot(...HANDSHAKE, reset).flow();
		assert.equal(record.tcpState, "reset");
		assert.equal(record.resets, 1);
		assert.equal(new Network().shoot(...CONNECTION, reset).flow().tcpState, "closed");
	});

	it("times the handshake at the client's veth, and data to its acknowledgement at the sender's", () => {
		const record = new Network().shoot(...HANDSHAKE).flow();
		assert.equal(record.handshakeRttNs, 50_000);
		// SYN at 0, SYN-ACK back at the client's veth at 27; SYN-ACK out at 20, its ACK at the server's veth at 57.
		assert.equal(record.rtt?.count, 2);
		assert.equal(record.rtt?.maxNs, 37_000);
		const whole = new Network().shoot(...CONNECTION).flow();
		assert.equal(whole.rtt?.count, 6);
		assert.equal(whole.rtt?.maxNs, 47_000);
	});

	it("times no handshake that began before the trace", () => {
		assert.equal(new Network().shoot(...HANDSHAKE.slice(1)).flow().handshakeRttNs, null);
	});

	it("has the end that sent the SYN as its source, whoever was seen first", () => {
		const late = [...HANDSHAKE.slice(1), ...TALK, ...HANDSHAKE.slice(0, 1)];
		assert.equal(new Network().shoot(...late).flow().flow.source.ip, CLIENT);
		assert.equal(new Network().shoot(...HANDSHAKE.slice(1)).flow().flow.source.ip, CLIENT);
		assert.equal(new Network().shoot(...TALK.slice(1)).flow().flow.source.ip, SERVER);
	});

	it("is another one when its ports come again with another SYN", () => {
		const again = HANDSHAKE.map((shot) => ({
			...shot,
			at: shot.at + 1000,
			seq: (shot.seq ?? 0) + 5000,
			ack: (shot.ack ?? 0) + 5000,
		}));
		const network = new Network().shoot(...CONNECTION, ...again);
		// Called lost after its successor began.
		network.shoot({ way: "→", at: 330, flags: A, seq: 1102, ack: 12002, hops: 3 });
		const [first, second] = network.records().sort((a, b) => (a.id < b.id ? -1 : 1));
		assert.equal(first?.tcpState, "closed");
		assert.equal(first?.forward.lost, 1);
		assert.equal(second?.tcpState, "established");
		assert.equal(second?.forward.lost, 0);
		assert.equal(second?.handshakeRttNs, 50_000);
	});

	it("survives sequence numbers that wrap", () => {
		const base = 2 ** 32 - 50;
		const shots: Shot[] = [
			{ way: "→", at: 0, flags: A, seq: base, ack: 1, payload: 100 },
			{ way: "→", at: 1, flags: A, seq: 50, ack: 1, payload: 100 },
			{ way: "←", at: 30, flags: A, seq: 1, ack: 150 },
		];
		const record = new Network().shoot(...shots).flow();
		assert.equal(record.forward.retransmissions, 0);
		assert.equal(record.rtt?.maxNs, 36_000);
	});
});

describe("both faces of a service", () => {
	it("are one flow: the pod is the destination, the service stands before it", () => {
		const { flow } = new Network().shoot(...throughService(CONNECTION)).flow();
		assert.deepEqual([flow.source.ip, flow.source.port], [CLIENT, 43210]);
		assert.deepEqual([flow.destination.ip, flow.destination.port], [SERVER, 8080]);
		assert.deepEqual(flow.service, { ip: SERVICE, port: 80, name: null });
		assert.equal(flow.source.node, "node-a");
		assert.equal(flow.destination.node, "node-b");
	});

	it("are known from the way back alone", () => {
		const { flow } = new Network().shoot(...throughService(HANDSHAKE.slice(1, 2))).flow();
		assert.deepEqual([flow.source.ip, flow.destination.ip, flow.service?.ip], [CLIENT, SERVER, SERVICE]);
	});

	it("are one flow even when the first packet was lost before it was translated", () => {
		const [first, ...rest] = throughService(HANDSHAKE);
		assert.ok(first !== undefined);
		const record = new Network().shoot({ ...first, hops: 1, at: -1_000_000 }, first, ...rest).flow();
		assert.equal(record.flow.service?.ip, SERVICE);
		assert.equal(record.forward.lost, 1);
		assert.equal(record.handshakeRttNs, 50_000);
	});

	it("merge when a half of it was first seen alone", () => {
		const shots = throughService(CONNECTION);
		const halves = shots.map((shot) =>
			shot.way === "→" ? { ...shot, from: 4 } : { ...shot, hops: 4, verdict: "forwarded" as const },
		);
		const network = new Network().shoot(
			...halves.slice(0, 3),
			...shots.slice(0, 1).map((shot) => ({ ...shot, hops: 1 })),
		);
		assert.equal(network.records().length, 2);
		network.shoot(...shots.slice(3));
		const record = network.flow();
		assert.equal(record.forward.packets + record.reverse.packets, 13);
		assert.equal(record.tcpState, "closed");
		assert.equal(network.table.counters.merged, 1);
	});

	it("keep the backend's direct traffic apart", () => {
		const direct = CONNECTION.map((shot) => ({ ...shot, port: 50000 }));
		const network = new Network().shoot(...throughService(CONNECTION), ...direct);
		assert.equal(network.records().length, 2);
		assert.equal(network.records()[1]?.flow.service, null);
	});
});

describe("the tunnel", () => {
	it("is named by both ends, once for both directions", () => {
		assert.deepEqual(new Network().shoot(...CONNECTION).flow().tunnels, [
			{ source: "192.168.66.11", destination: "192.168.66.12", vni: 1 },
		]);
	});

	it("has one end open when a node is not watched", () => {
		const half = HANDSHAKE.slice(0, 1).map((shot) => ({ ...shot, hops: 4, verdict: "forwarded" as const }));
		assert.deepEqual(new Network().shoot(...half).flow().tunnels, [
			{ source: null, destination: "192.168.66.12", vni: 1 },
		]);
	});
});

describe("retransmissions", () => {
	const first: Shot = { way: "→", at: 1000, flags: A, seq: 2000, ack: 1, payload: 1000 };
	const lost: Shot = { way: "→", at: 1010, flags: A, seq: 3000, ack: 1, payload: 1000, hops: 3 };
	const next: Shot = { way: "→", at: 1020, flags: A, seq: 4000, ack: 1, payload: 1000 };
	const repair: Shot = { ...lost, at: 1500, hops: 8 };
	const tied = [{ place: "flannel.1→e @node-a", count: 1 }];

	it("are tied to the hop at which the original was lost", () => {
		const record = new Network().shoot(first, lost, next, repair).flow();
		assert.equal(record.forward.retransmissions, 1);
		assert.equal(record.forward.lost, 1);
		assert.deepEqual(record.retransmissions, tied);
	});

	it("are tied as well when the loss is told seconds after the repair", () => {
		const record = new Network().shoot(first, next, repair, lost).flow();
		assert.equal(record.forward.retransmissions, 1);
		assert.deepEqual(record.retransmissions, tied);
	});

	it("are tied in a fast connection, too, whose losses are all told after everything else", () => {
		const [sent, losses]: [Shot[], Shot[]] = [[], []];
		for (let n = 0; n < 3000; n++) {
			// A pause after every fifty, as on a busy machine.
			const at = n * 10 + Math.floor(n / 50) * 6000;
			const segment = { way: "→", at, flags: A, seq: 1001 + n * 1000, ack: 9001, payload: 1000 } as const;
			if (n % 100 === 40) losses.push({ ...segment, verdict: "lost", hops: 4 });
			else sent.push(segment);
			if (n % 100 === 70) sent.push({ ...segment, at: at + 5, seq: segment.seq - 30_000 });
		}
		const { retransmissions, forward } = new Network().shoot(...HANDSHAKE, ...sent, ...losses).flow();
		assert.equal(forward.lost, 30);
		assert.deepEqual(retransmissions, [{ place: "eth0→e @node-a", count: 30 }]);
	});

	it("are tied when the last packet of all was lost and a timer repaired it", () => {
		const timer = { ...repair, at: 250_000 };
		assert.deepEqual(new Network().shoot(first, timer, lost).flow().retransmissions, tied);
		assert.deepEqual(new Network().shoot(first, lost, timer).flow().retransmissions, tied);
	});

	it("are counted without a place when no loss was seen", () => {
		const record = new Network().shoot(first, next, { ...next, at: 900_000 }).flow();
		assert.deepEqual(record.retransmissions, [{ place: null, count: 1 }]);
	});

	it("are counted each when a large packet is repaired in segments", () => {
		const large: Shot = { ...lost, payload: 3000 };
		const pieces = [0, 1, 2].map((n): Shot => ({ ...repair, at: 2000 + n, seq: 3000 + n * 1000 }));
		const beyond: Shot = { ...next, seq: 6000 };
		const three = [{ place: "flannel.1→e @node-a", count: 3 }];
		const early = new Network().shoot(first, large, beyond, ...pieces).flow();
		const late = new Network().shoot(first, beyond, ...pieces, large).flow();
		assert.deepEqual([early.retransmissions, early.forward.retransmissions], [three, 3]);
		assert.deepEqual([late.retransmissions, late.forward.retransmissions], [three, 3]);
	});

	it("give no sample of the round trip (Karn)", () => {
		const answer: Shot = { way: "←", at: 1520, flags: A, seq: 1, ack: 4000 };
		const record = new Network().shoot(first, lost, repair, answer).flow();
		// The first packet alone is unambiguous: 1000 → 1527.
		assert.equal(record.rtt?.count, 1);
		assert.equal(record.rtt?.maxNs, 527_000);
	});

	it("nor when the original had arrived", () => {
		const again: Shot = { ...first, at: 1300 };
		const answer: Shot = { way: "←", at: 1320, flags: A, seq: 1, ack: 3000 };
		const record = new Network().shoot(first, again, answer).flow();
		assert.equal(record.rtt, null);
		assert.equal(record.forward.retransmissions, 1);
	});

	it("of a SYN count, and the handshake is timed from the last one", () => {
		const [opening, ...rest] = HANDSHAKE;
		assert.ok(opening !== undefined);
		const early = { ...opening, at: -1_000_000, hops: 4 };
		for (const order of [
			[early, opening, ...rest],
			[opening, ...rest, early],
		]) {
			const record = new Network().shoot(...order).flow();
			assert.equal(record.forward.retransmissions, 1);
			assert.equal(record.handshakeRttNs, 50_000);
			assert.deepEqual(record.retransmissions, [{ place: "eth0→e @node-a", count: 1 }]);
		}
	});

	it("move with a later report of the drop", () => {
		const network = new Network().shoot(first, { ...lost, serial: 77 }, next, repair);
		network.table.revise(network.pathOf({ ...lost, serial: 77, hops: 2, verdict: "dropped" }));
		const record = network.flow();
		assert.equal(record.forward.lost, 0);
		assert.equal(record.forward.dropped, 1);
		assert.deepEqual(record.retransmissions, [{ place: "cni0→i @node-a", count: 1 }]);
	});

	it("come to light when a delivered packet turns out to have been dropped", () => {
		const network = new Network().shoot(first, { ...lost, serial: 77, hops: 8 }, next, repair);
		assert.deepEqual(network.flow().retransmissions, [{ place: null, count: 1 }]);
		network.table.revise(network.pathOf({ ...lost, serial: 77, verdict: "dropped", hops: 8 }));
		const record = network.flow();
		assert.deepEqual(record.retransmissions, [{ place: "veth→e @node-b", count: 1 }]);
		assert.equal(record.forward.retransmissions, 1);
	});

	it("lose their place when the original was found after all", () => {
		const network = new Network().shoot(first, { ...lost, serial: 77 }, next, repair);
		network.table.revise(network.pathOf({ ...lost, serial: 77, hops: 8 }));
		assert.equal(network.flow().forward.lost, 0);
		assert.deepEqual(network.flow().retransmissions, [{ place: null, count: 1 }]);
	});
});

describe("other protocols", () => {
	it("UDP: both directions, no state", () => {
		const shots: Shot[] = [
			{ way: "→", at: 0, payload: 30, protocol: "udp" },
			{ way: "←", at: 10, payload: 90, protocol: "udp" },
		];
		const record = new Network().shoot(...shots).flow();
		assert.equal(record.flow.protocol, "udp");
		assert.deepEqual([record.tcpState, record.handshakeRttNs, record.rtt], [null, null, null]);
		assert.deepEqual([record.forward.payloadBytes, record.reverse.payloadBytes], [30, 90]);
	});

	it("UDP: whoever sent the earliest packet is the source, though its path comes late", () => {
		const shots: Shot[] = [
			{ way: "←", at: 10, protocol: "udp" },
			{ way: "→", at: 0, protocol: "udp", hops: 3 },
		];
		assert.equal(new Network().shoot(...shots).flow().flow.source.ip, CLIENT);
	});

	it("UDP: who asked is the source, though the clock of who answered is early", () => {
		const request: Shot = { way: "→", at: 1000, protocol: "udp", payload: 100, early: 400 };
		const reply: Shot = { ...request, way: "←", at: 1050 };
		for (const shots of [
			[request, reply],
			[reply, request],
		]) {
			const { flow } = new Network().shoot(...shots).flow();
			assert.deepEqual([flow.source.ip, flow.destination.ip], [CLIENT, SERVER]);
		}
	});

	it("ICMP echo: one flow an id, with round trips", () => {
		const shots: Shot[] = [1, 2].flatMap((seq): Shot[] => [
			{ way: "→", at: seq * 1000, seq, protocol: "echo", port: 7 },
			{ way: "←", at: seq * 1000 + 20, seq, protocol: "echo", port: 7 },
		]);
		const record = new Network().shoot(...shots, { way: "→", at: 5000, seq: 1, protocol: "echo", port: 8 });
		const [seven, eight] = record.records();
		assert.equal(seven?.flow.protocol, "icmp");
		assert.equal(seven?.flow.source.port, null);
		assert.deepEqual([seven?.rtt?.count, seven?.rtt?.maxNs], [2, 27_000]);
		assert.equal(eight?.rtt, null);
	});
});

describe("the table", () => {
	it("is bounded: the one that was quiet for longest goes, counted", () => {
		const network = new Network(3);
		for (const port of [1, 2, 3, 1, 4]) network.shoot({ way: "→", at: port, port, flags: S, seq: 1 });
		assert.deepEqual(
			network.records().map(({ flow }) => flow.source.port),
			[3, 1, 4],
		);
		assert.equal(network.table.counters.evicted, 1);
		network.shoot({ way: "→", at: 9, port: 2, flags: A, seq: 2 });
		assert.equal(network.records().at(-1)?.forward.packets, 1);
	});

	it("tells each change once", () => {
		const network = new Network().shoot(...HANDSHAKE);
		assert.equal(network.table.changes().length, 1);
		assert.equal(network.table.changes().length, 0);
		network.shoot(...TALK);
		assert.equal(network.table.changes()[0]?.record.forward.payloadBytes, 100);
	});

	it("keeps a flow when its tuples' ids are retired and named anew", () => {
		const network = new Network().shoot(...throughService(HANDSHAKE));
		for (let id = 1; id <= 8; id++) network.table.forgetTuple(id);
		network.shoot(...throughService(TALK));
		assert.equal(network.flow().reverse.payloadBytes, 3000);
	});

	it("takes a retired id for what it names now", () => {
		const network = new Network().shoot({ way: "→", at: 0, port: 1, protocol: "udp" });
		const { tuples, table } = network;
		tuples.retire(tuples.tick(), (id) => table.forgetTuple(id));
		assert.equal(tuples.used, 0);
		network.shoot({ way: "→", at: 10, port: 2, protocol: "udp" });
		assert.deepEqual(
			network.records().map(({ flow, forward }) => [flow.source.port, forward.packets]),
			[
				[1, 1],
				[2, 1],
			],
		);
	});

	it("accounts for every path", () => {
		const network = new Network(1).shoot(...CONNECTION, { way: "→", at: 1, port: 9, flags: S });
		network.table.path({ ...network.pathOf({ way: "→", at: 0 }), tupleAt: () => 0 });
		const arp = network.tuples.intern({
			family: 3,
			protocol: 0,
			source: CLIENT,
			destination: SERVER,
			sourcePort: 0,
			destinationPort: 1,
		});
		network.table.path({ ...network.pathOf({ way: "→", at: 0 }), tupleAt: () => arp });
		assert.deepEqual(network.table.counters, {
			paths: 13,
			counted: 11,
			notFlows: 1,
			unnamed: 1,
			flows: 2,
			merged: 0,
			evicted: 1,
		});
	});

	it("gives the same flows in whatever order the paths of different flows come, and however often it is asked", () => {
		const shotsOf = (port: number): Shot[] =>
			CONNECTION.map((shot) => ({ ...shot, port, at: shot.at + port, service: port % 2 === 0 }));
		const canonical = (network: Network) =>
			network
				.records()
				.map((record) => ({ ...record, id: "" }))
				.sort((a, b) => (a.flow.source.port ?? 0) - (b.flow.source.port ?? 0));
		fc.assert(
			fc.property(
				fc.array(fc.nat({ max: 3 }), { minLength: 40, maxLength: 40 }),
				fc.array(fc.boolean()),
				(turns, asks) => {
					const queues = [0, 1, 2, 3].map((n) => shotsOf(1000 + n));
					const mixed = new Network();
					turns.forEach((n, i) => {
						const shot = queues[n]?.shift();
						if (shot !== undefined) mixed.shoot(shot);
						if (asks[i] === true) mixed.table.changes();
					});
					for (const queue of queues) mixed.shoot(...queue);
					const ordered = new Network();
					for (const n of [0, 1, 2, 3]) ordered.shoot(...shotsOf(1000 + n));
					assert.deepEqual(canonical(mixed), canonical(ordered));
				},
			),
			{ numRuns: 200 },
		);
	});

	it("conserves packets, bytes and losses under any paths whatever", () => {
		const shot = fc.record({
			way: fc.constantFrom("→" as const, "←" as const),
			at: fc.nat({ max: 10000 }),
			flags: fc.constantFrom(S, S | A, A, F | A, R, R | A, P | A),
			seq: fc.nat({ max: 5 }).map((n) => n * 1000),
			ack: fc.nat({ max: 5 }).map((n) => n * 1000),
			payload: fc.constantFrom(0, 500, 1000, 3000),
			hops: fc.constantFrom(1, 2, 4, 8, 8, 8),
			service: fc.boolean(),
			port: fc.constantFrom(1, 2, 3),
		});
		fc.assert(
			fc.property(fc.array(shot, { maxLength: 60 }), (shots) => {
				const network = new Network().shoot(...shots);
				const sum = (of: (counts: ReturnType<Network["flow"]>["forward"]) => number) =>
					network.records().reduce((total, { forward, reverse }) => total + of(forward) + of(reverse), 0);
				assert.equal(
					sum(({ packets }) => packets),
					shots.length,
				);
				assert.equal(
					sum(({ payloadBytes }) => payloadBytes),
					shots.reduce((total, { payload }) => total + payload, 0),
				);
				assert.equal(
					sum(({ lost }) => lost),
					shots.filter(({ hops }) => hops < 8).length,
				);
				for (const { forward, reverse, retransmissions, rtt } of network.records()) {
					const counted = retransmissions.reduce((total, { count }) => total + count, 0);
					assert.equal(counted, forward.retransmissions + reverse.retransmissions);
					assert.ok(rtt === null || rtt.p50Ns <= rtt.maxNs);
				}
			}),
			{ numRuns: 2000 },
		);
	});
});
