import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EventFlag, Family, TcpFlag } from "../../src/packet/sightings.js";
import { type PacketBuilder, packet } from "./packet.js";
import { prefix, type Rule, Tracer, trace } from "./tracer.js";

const UDP = packet().ethernet().ipv4().udp({ source: 1000, destination: 53 }).payload(10);
const REPLY = packet()
	.ethernet()
	.ipv4({ source: "10.0.0.2", destination: "10.0.0.1" })
	.udp({ source: 53, destination: 1000 })
	.payload(10);
const SYN = packet().ethernet().ipv4().tcp({ flags: TcpFlag.syn });
const SYN_ACK = packet()
	.ethernet()
	.ipv4()
	.tcp({ flags: TcpFlag.syn | TcpFlag.ack });
const UDP6 = packet().ethernet().ipv6().udp({ source: 1000, destination: 53 }).payload(10);
const PING = packet().ethernet().ipv4().icmp({ type: 8 });
const UNREACHABLE = packet().ethernet().ipv4().icmp({ type: 3, code: 4 });
const LATER = packet().ethernet().ipv4({ fragmentOffset: 1480, protocol: 17 }).payload(40);
const ARP = packet().ethernet().arp();
const TAGGED = packet().ethernet().vlan({ id: 100 }).ipv4().udp().payload(10);
const BROKEN = packet().ethernet().ipv4({ totalLength: 4000 }).udp({ source: 1000, destination: 53 });

const ALL = { UDP, REPLY, SYN, SYN_ACK, UDP6, PING, UNREACHABLE, LATER, ARP, TAGGED, BROKEN } as const;
type Name = keyof typeof ALL;
const IPV4: readonly Name[] = ["UDP", "REPLY", "SYN", "SYN_ACK", "PING", "UNREACHABLE", "LATER", "TAGGED", "BROKEN"];

const ROWS: readonly (readonly [string, Rule, readonly Name[]])[] = [
	["an empty rule matches everything", {}, Object.keys(ALL) as Name[]],
	["another device", { ifindex: 4711 }, []],
	["a source", { source: prefix("10.0.0.2") }, ["REPLY"]],
	["a prefix", { source: prefix("10.0.0.0/31") }, IPV4.filter((name) => name !== "REPLY").concat("ARP")],
	["a destination", { destination: prefix("10.0.0.1") }, ["REPLY"]],
	["an IPv6 prefix", { source: prefix("fd00::/64") }, ["UDP6"]],
	["an IPv6 address", { destination: prefix("fd00::2") }, ["UDP6"]],
	[
		"both ends, either way",
		{ source: prefix("10.0.0.2"), destination: prefix("10.0.0.1"), eitherWay: true },
		[...IPV4, "ARP"],
	],
	["a family", { family: Family.arp }, ["ARP"]],
	["IPv4", { family: Family.ipv4 }, IPV4],
	["a protocol", { protocol: 6 }, ["SYN", "SYN_ACK"]],
	[
		"a port, and fragments that may belong to it",
		{ protocol: 17, destinationPorts: [53, 53] },
		["UDP", "UDP6", "LATER", "TAGGED"],
	],
	["a port from 0", { destinationPorts: [0, 52], protocol: 17 }, ["LATER"]],
	["a port to 65535", { sourcePorts: [1001, 65535], protocol: 17 }, ["LATER", "TAGGED"]],
	[
		"a port, either way",
		{ protocol: 17, destinationPorts: [53, 53], sourcePorts: [1000, 1000], eitherWay: true },
		["UDP", "UDP6", "REPLY", "LATER"],
	],
	[
		"addresses and ports turn together",
		{ source: prefix("10.0.0.2"), sourcePorts: [1000, 1000], protocol: 17, eitherWay: true },
		["LATER"],
	],
	["a TCP flag", { tcpFlagsAny: TcpFlag.ack }, ["SYN_ACK"]],
	["any of two TCP flags", { tcpFlagsAny: TcpFlag.ack | TcpFlag.syn }, ["SYN", "SYN_ACK"]],
	["a SYN and nothing else", { tcpFlagsMask: TcpFlag.syn | TcpFlag.ack, tcpFlagsValue: TcpFlag.syn }, ["SYN"]],
	["no SYN", { tcpFlagsMask: TcpFlag.syn, tcpFlagsValue: 0 }, []],
	["an ICMP type", { icmp: { type: 3 } }, ["UNREACHABLE"]],
	["an ICMP code", { icmp: { type: 3, code: 3 } }, []],
	["an ICMP type and code", { icmp: { type: 3, code: 4 } }, ["UNREACHABLE"]],
	["a least length", { lengthMin: 70 }, ["UDP6", "LATER"]],
	["a greatest length", { lengthMax: 42 }, ["PING", "UNREACHABLE", "ARP", "BROKEN"]],
	["any tag", { vlan: 0xffff }, ["TAGGED"]],
	["a tag", { vlan: 100 }, ["TAGGED"]],
	["another tag", { vlan: 101 }, []],
];

/** All headers and 20 bytes of transport are linear; told apart by their lengths. */
const PLAIN6 = {
	UDP: packet().ethernet().ipv6().udp({ source: 1000, destination: 53 }).payload(40),
	REPLY: packet()
		.ethernet()
		.ipv6({ source: "fd00::2", destination: "fd00::1" })
		.udp({ source: 53, destination: 1000 })
		.payload(41),
	TCP: packet().ethernet().ipv6().tcp({ source: 1000, destination: 80 }).payload(42),
	PING: packet().ethernet().ipv6().icmpv6({ type: 128 }).payload(43),
	MAPPED: packet().ethernet().ipv6({ source: "::ffff:a00:1" }).udp({ source: 1000, destination: 53 }).payload(44),
	LOOPBACK: packet().ethernet().ipv6({ source: "::1", destination: "::1" }).tcp({ destination: 80 }).payload(45),
} as const;
type Plain6 = keyof typeof PLAIN6;
const PLAIN6_ROWS: readonly (readonly [string, Rule, readonly Plain6[]])[] = [
	["an empty rule", {}, Object.keys(PLAIN6) as Plain6[]],
	["another device", { ifindex: 4711 }, []],
	["a source", { source: prefix("fd00::2") }, ["REPLY"]],
	["a prefix", { destination: prefix("fd00::2/127") }, ["UDP", "TCP", "PING", "MAPPED"]],
	[
		"both ends, either way",
		{ source: prefix("fd00::2"), destination: prefix("fd00::1"), eitherWay: true },
		["UDP", "REPLY", "TCP", "PING"],
	],
	["a pair that is not there", { source: prefix("fd00::2"), destination: prefix("fd00::3"), eitherWay: true }, []],
	["an IPv4 address, which one of them has in disguise", { source: prefix("10.0.0.1"), eitherWay: true }, ["MAPPED"]],
	["an address of zeros", { source: prefix("::1") }, ["LOOPBACK"]],
	["a family", { family: Family.ipv4 }, []],
	["a protocol", { protocol: 6 }, ["TCP", "LOOPBACK"]],
	["a port", { protocol: 17, destinationPorts: [53, 53] }, ["UDP", "MAPPED"]],
	["a port, either way", { protocol: 17, destinationPorts: [53, 53], eitherWay: true }, ["UDP", "REPLY", "MAPPED"]],
	["an ICMP type", { icmp: { type: 128 } }, ["PING"]],
	["another ICMP type", { icmp: { type: 129 } }, []],
];

describe("rules", () => {
	for (const [name, rule, matching] of ROWS) {
		it(name, async () => {
			const names = Object.keys(ALL) as Name[];
			const { events, counters } = await trace(
				names.map((each) => ALL[each].build()),
				{ rules: [rule] },
			);
			const lengths = new Map(names.map((each) => [each, ALL[each].build().length]));
			assert.deepEqual(
				events.map((event) => event.length),
				names.filter((each) => matching.includes(each)).map((each) => lengths.get(each)),
			);
			assert.equal(counters.seen, names.length);
			assert.equal(counters.matched, matching.length);
			assert.equal(counters.emitted, matching.length);
		});
	}

	for (const [name, rule, matching] of PLAIN6_ROWS) {
		it(`of IPv6 packets that are told from their headers alone: ${name}`, async () => {
			const names = Object.keys(PLAIN6) as Plain6[];
			const { events, counters } = await trace(
				names.map((each) => PLAIN6[each].build()),
				{ rules: [{ protocol: 132 }, rule] },
			);
			assert.deepEqual(
				events.map((event) => names.find((each) => PLAIN6[each].build().length === event.length)),
				names.filter((each) => matching.includes(each)),
			);
			assert.equal(counters.seen, names.length);
		});
	}

	it("of several, each speaks for its subscribers", async () => {
		const { events } = await trace([UDP.build(), SYN.build(), PING.build()], {
			matchAll: 1 << 30,
			rules: [
				{ subscribers: 1, protocol: 17 },
				{ subscribers: 2, source: prefix("10.0.0.1") },
				{ subscribers: 4, protocol: 6 },
			],
		});
		assert.deepEqual(
			events.map((event) => event.subscribers - (1 << 30)),
			[3, 6, 2],
		);
	});

	it("sixteen of them load, and the last one counts", async () => {
		const rules: Rule[] = Array.from({ length: 16 }, (_, i) => ({
			subscribers: 2 ** i,
			protocol: 17,
			source: prefix(`10.0.${i === 15 ? 0 : 99}.0/24`),
			destination: prefix("10.0.0.2"),
			sourcePorts: [500, 5000 + i],
			destinationPorts: [i, 60],
			lengthMin: 20 + i,
			lengthMax: 1400 + i,
			eitherWay: true,
		}));
		const { events } = await trace([UDP.build(), SYN.build()], { rules, follow: true, tunnelPorts: [8472] });
		assert.deepEqual(
			events.map((event) => event.subscribers),
			[2 ** 15],
		);
	});

	it("tells nothing of a packet that nobody asked for", async () => {
		const { events, counters } = await trace([UDP.build()], { follow: true });
		assert.equal(events.length, 0);
		assert.deepEqual([counters.seen, counters.matched], [1, 0]);
	});
});

describe("prefixes of any length", () => {
	it("match as arithmetic says", async () => {
		const cases = fc.sample(
			fc.record({ bits: fc.integer({ min: 0, max: 32 }), flip: fc.integer({ min: 0, max: 31 }) }),
			{ numRuns: 16, seed: 1 },
		);
		const base = 0xc0a84207;
		const text = (word: number) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join(".");
		const sent: PacketBuilder[] = cases.map(({ flip }) =>
			packet()
				.ethernet()
				.ipv4({ source: text((base ^ (1 << flip)) >>> 0) })
				.udp(),
		);
		const { events } = await trace(
			sent.map((each) => each.build()),
			{
				matchAll: 1 << 30,
				rules: cases.map(({ bits }, i) => ({ subscribers: 2 ** i, source: prefix(`${text(base)}/${bits}`) })),
			},
		);
		for (const [i, { flip }] of cases.entries()) {
			const expected = cases.reduce((sum, { bits }, j) => sum + (31 - flip >= bits ? 2 ** j : 0), 0);
			assert.equal((events[i]?.subscribers ?? 0) - (1 << 30), expected);
		}
	});
});

describe("the account", () => {
	it("is exact when the ring is full: matched = emitted + ring full, and the next record tells", async () => {
		// A ring belongs to a CPU: its next record tells what was lost on it.
		execFileSync("taskset", ["-acp", "0", String(process.pid)]);
		const tracer = new Tracer(4096);
		try {
			const instance = tracer.load({ matchAll: 1 });
			for (let i = 0; i < 100; i++) {
				instance.run(UDP.build());
			}
			const full = tracer.counters();
			assert.ok(full.ringFull > 0 && full.emitted > 0);
			assert.equal(full.matched, 100);
			assert.equal(full.emitted + full.ringFull, 100);
			tracer.drain();
			await new Promise((resolve) => setTimeout(resolve, 50));
			for (let i = 0; i < 20; i++) {
				instance.run(UDP.build());
			}
			const { emitted, ringFull } = tracer.counters();
			const events = await tracer.finish();
			assert.equal(events.length, emitted);
			assert.equal(
				events.reduce((sum, event) => sum + event.lost, 0),
				ringFull,
			);
		} finally {
			tracer.close();
		}
	});

	it("names the hook set and the generation", async () => {
		const { events, counters } = await trace([UDP.build()], { matchAll: 5, hookSet: 1023, generation: 200 });
		assert.equal(events[0]?.hookSet, 1023);
		assert.equal(events[0]?.generation, 200);
		assert.equal(events[0]?.subscribers, 5);
		assert.equal(counters.seen, 1);
	});

	it("lets every packet through", () => {
		const tracer = new Tracer();
		try {
			const { trace: program, noop } = tracer.load({ matchAll: 1 });
			for (const builder of Object.values(ALL)) {
				const bytes = builder.build();
				for (const each of [program, noop]) {
					const run = each.testRun(bytes);
					assert.equal(run.returned, -1);
					assert.deepEqual(Uint8Array.from(run.packet), bytes, "untouched");
				}
			}
		} finally {
			tracer.close();
		}
	});
});

describe("sampling", () => {
	it("keeps the same packets whatever NAT, routing and tags do to them, and counts the others", async () => {
		const kept = async (change: (i: number) => PacketBuilder) => {
			const { events, counters } = await trace(
				Array.from({ length: 64 }, (_, i) => change(i).build()),
				{ matchAll: 1, sample: 3 },
			);
			assert.equal(counters.unsampled, 64 - events.length);
			assert.equal(counters.matched, events.length);
			return events.map((event) => (event.protocol === 6 ? event.tsval : event.ipId));
		};
		const segment = (i: number) => [1, 1, 8, 10, 0, 0, 1, i, 0, 0, 0, 0];
		const plain = await kept((i) =>
			packet()
				.ethernet()
				.ipv4({ id: i + 1 })
				.udp()
				.payload(9),
		);
		const moved = await kept((i) =>
			packet()
				.ethernet()
				.vlan()
				.ipv4({ id: i + 1, source: "1.2.3.4", ttl: 9 })
				.udp({ source: 2, destination: 3 })
				.payload(9),
		);
		assert.deepEqual(moved, plain);
		assert.ok(plain.length > 4 && plain.length < 40, `a quarter of 64, more or less: ${plain.length}`);
		const whole = await kept((i) =>
			packet()
				.ethernet()
				.ipv4({ id: 7 })
				.tcp({ seq: i, options: segment(i) })
				.payload(999),
		);
		const part = await kept((i) =>
			packet()
				.ethernet()
				.ipv4({ id: 8 })
				.tcp({ seq: i + 500, options: segment(i) })
				.payload(20),
		);
		assert.deepEqual(part, whole);
		assert.ok(whole.length > 4 && whole.length < 40);
	});
});

describe("fragments under a rule on ports", () => {
	it("are for whom the addresses fit, the first one for whom the ports fit too", async () => {
		const first = packet().ethernet().ipv4({ moreFragments: true }).udp({ destination: 53, length: 3000 }).payload(32);
		const { events } = await trace([first.build(), LATER.build()], {
			rules: [
				{ subscribers: 1, destinationPorts: [53, 53] },
				{ subscribers: 2, destinationPorts: [54, 54] },
				{ subscribers: 4, destinationPorts: [53, 53], destination: prefix("9.9.9.9") },
			],
		});
		assert.deepEqual(
			events.map((event) => [event.subscribers, (event.flags & EventFlag.laterFragment) !== 0]),
			[
				[1, false],
				[3, true],
			],
		);
	});
});
