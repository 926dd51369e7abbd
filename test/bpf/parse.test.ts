import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventFlag, Family, TcpFlag } from "../../src/packet/sightings.js";
import { type PacketBuilder, packet, synOptions, timestamps } from "./packet.js";
import { type Event, type Knobs, trace } from "./tracer.js";

/** enum weft_parse. */
const PARSE = {
	ok: 0,
	linkTruncated: 1,
	networkTruncated: 2,
	networkInvalid: 3,
	extensionTruncated: 4,
	extensionLimit: 5,
	transportTruncated: 6,
	transportInvalid: 7,
	tunnelInvalid: 8,
	vlanLimit: 9,
} as const;

interface Row {
	readonly name: string;
	readonly packet: PacketBuilder;
	readonly expected: Partial<Event>;
	readonly knobs?: Knobs;
}

const V4 = { source: "10.0.0.1", destination: "10.0.0.2" } as const;
const V6 = { source: "fd00:0:0:0:0:0:0:1", destination: "fd00:0:0:0:0:0:0:2" } as const;

const PLAIN: readonly Row[] = [
	{
		name: "TCP with timestamps",
		packet: packet()
			.ethernet()
			.ipv4({ id: 4711, ttl: 63 })
			.tcp({
				source: 43210,
				destination: 80,
				seq: 0xf1020304,
				ack: 7,
				flags: 0x18,
				window: 502,
				options: timestamps(0xd90a0b0c),
			})
			.payload(100),
		expected: {
			...V4,
			protocol: 6,
			ttl: 63,
			ipId: 4711,
			sourcePort: 43210,
			destinationPort: 80,
			sequence: 0xf1020304,
			acknowledgement: 7,
			tcpFlags: TcpFlag.psh | TcpFlag.ack,
			window: 502,
			tsval: 0xd90a0b0c,
			length: 166,
			payloadLength: 100,
			flags: Family.ipv4 | EventFlag.hasPorts | EventFlag.hasTsval,
		},
	},
	{
		name: "SYN, whose timestamp is not the first option",
		packet: packet()
			.ethernet()
			.ipv4()
			.tcp({ flags: TcpFlag.syn, options: synOptions(77) }),
		expected: { tsval: 77, tcpFlags: TcpFlag.syn, payloadLength: 0, payloadHash: 0 },
	},
	{
		name: "TCP without options",
		packet: packet().ethernet().ipv4().tcp({ seq: 9 }).payload("x"),
		expected: { tsval: 0, sequence: 9, payloadLength: 1, flags: Family.ipv4 | EventFlag.hasPorts },
	},
	{
		name: "TCP with an option of length 0: no endless walk, no timestamp",
		packet: packet()
			.ethernet()
			.ipv4()
			.tcp({ options: [5, 0, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9] }),
		expected: { parse: PARSE.ok, tsval: 0, flags: Family.ipv4 | EventFlag.hasPorts },
	},
	{
		name: "TCP whose timestamp would reach beyond the options",
		packet: packet()
			.ethernet()
			.ipv4()
			.tcp({ options: [1, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7] })
			.payload(40),
		expected: { parse: PARSE.ok, tsval: 0 },
	},
	{
		name: "UDP",
		packet: packet().ethernet().ipv4().udp({ source: 1111, destination: 2222 }).payload(22),
		expected: {
			...V4,
			protocol: 17,
			sourcePort: 1111,
			destinationPort: 2222,
			payloadLength: 22,
			length: 64,
			flags: Family.ipv4 | EventFlag.hasPorts,
		},
	},
	{
		name: "UDP shorter than its frame: padding is not payload",
		packet: packet().ethernet().ipv4({ totalLength: 32 }).udp({ length: 12 }).payload(18),
		expected: { parse: PARSE.ok, payloadLength: 4, length: 60 },
	},
	{
		name: "UDP without payload",
		packet: packet().ethernet().ipv4().udp(),
		expected: { payloadLength: 0, payloadHash: 0, length: 42 },
	},
	{
		name: "IPv4 options",
		packet: packet()
			.ethernet()
			.ipv4({ options: [7, 7, 4, 10, 0, 0, 1] })
			.udp({ source: 5, destination: 6 })
			.payload(3),
		expected: { ...V4, sourcePort: 5, destinationPort: 6, payloadLength: 3 },
	},
	{
		name: "IPv4 with 40 bytes of options and TCP with 40",
		packet: packet()
			.ethernet()
			.ipv4({ options: Array<number>(40).fill(1) })
			.tcp({ seq: 5, options: [...Array<number>(9).fill(1), 2, 4, 5, 180, 8, 10, 0, 0, 1, 2, 0, 0, 0, 0] })
			.payload(7),
		expected: { sequence: 5, payloadLength: 7, tsval: 0x0102 },
	},
	{
		name: "ICMP echo request",
		packet: packet().ethernet().ipv4().icmp({ type: 8, id: 0x1234, sequence: 7 }).payload(56),
		expected: { protocol: 1, sourcePort: 0x1234, destinationPort: 0x0800, sequence: 7, payloadLength: 56 },
	},
	{
		name: "ICMP unreachable: its second word is no id",
		packet: packet().ethernet().ipv4().icmp({ type: 3, code: 4, id: 0x1234, sequence: 1400 }).payload(28),
		expected: { sourcePort: 0, destinationPort: 0x0304, sequence: 0 },
	},
	{
		name: "SCTP",
		packet: packet().ethernet().ipv4().sctp({ source: 3, destination: 4 }).payload(16),
		expected: { protocol: 132, sourcePort: 3, destinationPort: 4, payloadLength: 16 },
	},
	{
		name: "a protocol without ports",
		packet: packet().ethernet().ipv4({ protocol: 47 }).payload(16),
		expected: { protocol: 47, sourcePort: 0, destinationPort: 0, payloadLength: 16, flags: Family.ipv4 },
	},
	{
		name: "first fragment",
		packet: packet().ethernet().ipv4({ id: 99, moreFragments: true }).udp({ source: 7, length: 3008 }).payload(64),
		expected: {
			parse: PARSE.ok,
			ipId: 99,
			sourcePort: 7,
			payloadLength: 64,
			flags: Family.ipv4 | EventFlag.hasPorts | EventFlag.fragment | EventFlag.moreFragments,
		},
	},
	{
		name: "later fragment: what looks like ports is payload",
		packet: packet().ethernet().ipv4({ id: 99, fragmentOffset: 1480, protocol: 17 }).payload(40),
		expected: {
			ipId: 99,
			sourcePort: 0,
			destinationPort: 0,
			sequence: 1480,
			payloadLength: 40,
			flags: Family.ipv4 | EventFlag.fragment | EventFlag.laterFragment,
		},
	},
	{
		name: "IPv6 TCP",
		packet: packet()
			.ethernet()
			.ipv6({ hopLimit: 61 })
			.tcp({ seq: 3, options: timestamps(8) })
			.payload(10),
		expected: { ...V6, ttl: 61, protocol: 6, sequence: 3, tsval: 8, payloadLength: 10, ipId: 0 },
	},
	{
		name: "ICMPv6 echo reply",
		packet: packet().ethernet().ipv6().icmpv6({ type: 129, id: 6, sequence: 5 }).payload(8),
		expected: { protocol: 58, sourcePort: 6, destinationPort: 129 << 8, sequence: 5 },
	},
	{
		name: "ICMPv6 neighbour solicitation",
		packet: packet().ethernet().ipv6().icmpv6({ type: 135 }).payload(24),
		expected: { sourcePort: 0, destinationPort: 135 << 8 },
	},
	{
		name: "IPv6 with every extension header",
		packet: packet()
			.ethernet()
			.ipv6()
			.extension(0)
			.extension(60, { size: 16 })
			.extension(43, { size: 24 })
			.authentication(24)
			.extension(135)
			.extension(60)
			.udp({ source: 10, destination: 11 })
			.payload(5),
		expected: { parse: PARSE.ok, protocol: 17, sourcePort: 10, destinationPort: 11, payloadLength: 5 },
	},
	{
		name: "IPv6 first fragment",
		packet: packet().ethernet().ipv6().fragment({ id: 0xabcdef01, more: true }).udp({ length: 3000 }).payload(32),
		expected: {
			ipId: 0xabcdef01,
			payloadLength: 32,
			flags: Family.ipv6 | EventFlag.hasPorts | EventFlag.fragment | EventFlag.moreFragments,
		},
	},
	{
		name: "IPv6 later fragment of an extension chain: what follows is not a header",
		packet: packet().ethernet().ipv6().fragment({ id: 5, offset: 1448, next: 60 }).payload(64),
		expected: {
			parse: PARSE.ok,
			ipId: 5,
			sequence: 1448,
			payloadLength: 64,
			flags: Family.ipv6 | EventFlag.fragment | EventFlag.laterFragment,
		},
	},
	{
		name: "IPv6 atomic fragment is a whole packet (RFC 6946)",
		packet: packet().ethernet().ipv6().fragment({ id: 5 }).udp({ source: 9 }).payload(4),
		expected: { ipId: 5, sourcePort: 9, flags: Family.ipv6 | EventFlag.hasPorts },
	},
	{
		name: "ARP",
		packet: packet().ethernet().arp({ operation: 2, sender: "10.244.1.1", target: "10.244.1.2" }),
		expected: {
			source: "10.244.1.1",
			destination: "10.244.1.2",
			destinationPort: 2,
			protocol: 0,
			flags: Family.arp,
		},
	},
	{
		name: "another ethertype",
		packet: packet().ethernet({ ethertype: 0x88cc }).payload(40),
		expected: { sourcePort: 0x88cc, source: "", destination: "", flags: Family.other },
	},
	{
		name: "VLAN",
		packet: packet().ethernet().vlan({ id: 100 }).ipv4().udp({ source: 4 }).payload(30),
		expected: { ...V4, vlan: 100, sourcePort: 4, flags: Family.ipv4 | EventFlag.hasPorts | EventFlag.vlan },
	},
	{
		name: "QinQ shows the outer tag",
		packet: packet().ethernet().vlan({ tpid: 0x88a8, id: 7 }).vlan({ id: 8 }).ipv6().tcp({ seq: 2 }),
		expected: { ...V6, vlan: 7, sequence: 2 },
	},
];

const VXLAN: Knobs = { matchAll: 1, tunnelPorts: [4789, 8472] };

const INNER = packet()
	.ethernet()
	.ipv4({ source: "10.244.1.2", destination: "10.244.2.3", ttl: 63 })
	.tcp({ source: 1, destination: 2, seq: 3, options: timestamps(4) })
	.payload(50)
	.build();

const outer4 = (port = 8472) =>
	packet()
		.ethernet()
		.ipv4({ source: "192.168.66.11", destination: "192.168.66.12", id: 1 })
		.udp({ source: 5555, destination: port });

const LONG = packet()
	.ethernet()
	.ipv4({ source: "10.244.1.2", destination: "10.244.2.3", ttl: 63 })
	.tcp({ source: 1, destination: 2, seq: 3, options: timestamps(4) })
	.payload(1000)
	.build();

/** Cut, as the kernel does where the underlay's MTU is too small. */
const cut4 = () =>
	packet()
		.ethernet()
		.ipv4({ source: "192.168.66.11", destination: "192.168.66.12", id: 1, moreFragments: true })
		.udp({ source: 5555, destination: 8472, length: 1074 })
		.vxlan();

const INSIDE: Partial<Event> = {
	source: "10.244.1.2",
	destination: "10.244.2.3",
	sourcePort: 1,
	destinationPort: 2,
	sequence: 3,
	tsval: 4,
	ttl: 63,
	payloadLength: 50,
	flags: Family.ipv4 | EventFlag.hasPorts | EventFlag.hasTsval | EventFlag.inner,
};

const TUNNEL: readonly Row[] = [
	{
		name: "VXLAN, entering",
		packet: outer4().vxlan({ vni: 0xabcdef }).payload(INNER),
		knobs: VXLAN,
		expected: { ...INSIDE, vni: 0xabcdef, outerPeer: "192.168.66.11", length: 50 + INNER.length },
	},
	{
		name: "VXLAN, leaving",
		packet: outer4(4789).vxlan().payload(INNER),
		knobs: { ...VXLAN, egress: true },
		expected: { ...INSIDE, vni: 1, outerPeer: "192.168.66.12" },
	},
	{
		name: "VXLAN on IPv6",
		packet: packet()
			.ethernet()
			.ipv6({ source: "fd66::11", destination: "fd66::12" })
			.udp({ destination: 8472 })
			.vxlan()
			.payload(INNER),
		knobs: VXLAN,
		expected: { ...INSIDE, outerPeer: "fd66:0:0:0:0:0:0:11" },
	},
	{
		name: "VXLAN with group policy",
		packet: outer4().vxlan({ flags: 0x88 }).payload(INNER),
		knobs: VXLAN,
		expected: INSIDE,
	},
	{
		name: "VXLAN behind IPv4 options and a VLAN tag",
		packet: packet()
			.ethernet()
			.vlan({ id: 5 })
			.ipv4({ options: [1, 1, 1, 1] })
			.udp({ destination: 8472 })
			.vxlan()
			.payload(INNER),
		knobs: VXLAN,
		expected: { ...INSIDE, outerPeer: "10.0.0.1", vlan: 0 },
	},
	{
		name: "VXLAN with a tag inside",
		packet: outer4().vxlan().ethernet().vlan({ id: 42 }).ipv4().udp({ source: 8 }).payload(4),
		knobs: VXLAN,
		expected: { vlan: 42, sourcePort: 8 },
	},
	{
		name: "ARP inside VXLAN",
		packet: outer4().vxlan().ethernet().arp(),
		knobs: VXLAN,
		expected: { ...V4, flags: Family.arp | EventFlag.inner },
	},
	{
		name: "VXLAN in VXLAN: the inner one is the UDP packet that it is",
		packet: outer4().vxlan().ethernet().ipv4().udp({ destination: 8472 }).vxlan({ vni: 9 }).payload(INNER),
		knobs: VXLAN,
		expected: { ...V4, destinationPort: 8472, protocol: 17, vni: 1, payloadLength: 8 + INNER.length },
	},
	{
		name: "VXLAN without the flag of the VNI: the outer packet is shown",
		packet: outer4().vxlan({ flags: 0 }).payload(INNER),
		knobs: VXLAN,
		expected: {
			parse: PARSE.tunnelInvalid,
			source: "192.168.66.11",
			destinationPort: 8472,
			outerPeer: "",
			flags: Family.ipv4 | EventFlag.hasPorts,
		},
	},
	{
		name: "VXLAN-GPE, whose inside need not be Ethernet",
		packet: outer4().vxlan({ flags: 0x0c }).payload(INNER),
		knobs: VXLAN,
		expected: { parse: PARSE.tunnelInvalid },
	},
	{
		name: "VXLAN header cut off",
		packet: outer4().payload(7),
		knobs: VXLAN,
		expected: { parse: PARSE.tunnelInvalid, payloadLength: 7 },
	},
	{
		name: "no frame behind the VXLAN header",
		packet: outer4().vxlan().payload(13),
		knobs: VXLAN,
		expected: { parse: PARSE.linkTruncated, flags: EventFlag.inner, source: "" },
	},
	{
		name: "the port of no tunnel",
		packet: outer4(8473).vxlan().payload(INNER),
		knobs: VXLAN,
		expected: { destinationPort: 8473, source: "192.168.66.11", outerPeer: "" },
	},
	{
		name: "first fragment of a tunnel's packet: the one inside is known by its own lengths",
		packet: cut4().payload(LONG.subarray(0, 200)),
		knobs: VXLAN,
		expected: { ...INSIDE, payloadLength: 1000, outerPeer: "192.168.66.11", length: 42 + 8 + 200 },
	},
	{
		name: "first fragment of a tunnel's packet, too short for what is read of the one inside",
		packet: cut4().payload(LONG.subarray(0, 14 + 151)),
		knobs: VXLAN,
		expected: { parse: PARSE.networkTruncated, source: "10.244.1.2", payloadLength: 0 },
	},
	{
		name: "the only fragment of a tunnel's packet that is shorter than the one inside says",
		packet: outer4().vxlan().payload(LONG.subarray(0, 200)),
		knobs: VXLAN,
		expected: { parse: PARSE.networkTruncated },
	},
	{
		name: "later fragment of a tunnel's packet: what is inside cannot be known",
		packet: packet().ethernet().ipv4({ fragmentOffset: 1480, protocol: 17 }).payload(INNER),
		knobs: VXLAN,
		expected: { ...V4, flags: Family.ipv4 | EventFlag.fragment | EventFlag.laterFragment },
	},
];

const BROKEN: readonly Row[] = [
	{ name: "IPv4 that says version 5", packet: packet().ethernet().ipv4({ version: 5 }).udp(), expected: { parse: 3 } },
	{
		name: "IPv4 header of 16 bytes",
		packet: packet().ethernet().ipv4({ ihl: 4 }).udp(),
		expected: { ...V4, parse: 3 },
	},
	{
		name: "IPv4 header longer than its packet",
		packet: packet().ethernet().ipv4({ ihl: 15 }).udp(),
		expected: { ...V4, parse: 3 },
	},
	{
		name: "IPv4 total length beyond the frame",
		packet: packet().ethernet().ipv4({ totalLength: 1000 }).udp().payload(10),
		expected: { ...V4, parse: 2, sourcePort: 0 },
	},
	{
		name: "IPv4 total length 0 without GSO",
		packet: packet().ethernet().ipv4({ totalLength: 0 }).udp(),
		expected: { ...V4, parse: 3 },
	},
	{
		name: "TCP data offset below 20 bytes",
		packet: packet().ethernet().ipv4().tcp({ source: 5, dataOffset: 4 }),
		expected: { parse: 7, sourcePort: 5, payloadLength: 0 },
	},
	{
		name: "TCP data offset beyond the packet",
		packet: packet().ethernet().ipv4().tcp({ dataOffset: 15 }).payload(8),
		expected: { parse: 7, payloadLength: 0 },
	},
	{
		name: "UDP length beyond the packet",
		packet: packet().ethernet().ipv4().udp({ source: 6, length: 2000 }),
		expected: { parse: 7, sourcePort: 6 },
	},
	{ name: "UDP length below 8", packet: packet().ethernet().ipv4().udp({ length: 7 }), expected: { parse: 7 } },
	{
		name: "IPv6 that says version 4",
		packet: packet().ethernet().ipv6({ version: 4 }).udp(),
		expected: { parse: 3, source: "" },
	},
	{
		name: "IPv6 payload length beyond the frame",
		packet: packet().ethernet().ipv6({ payloadLength: 900 }).udp(),
		expected: { ...V6, parse: 2 },
	},
	{
		name: "an extension header longer than the packet",
		packet: packet()
			.ethernet()
			.ipv6({ next: 60 })
			.payload(Uint8Array.of(17, 200, 0, 0, 0, 0, 0, 0)),
		expected: { ...V6, parse: 4 },
	},
	{
		name: "nine extension headers",
		packet: Array.from({ length: 9 })
			.reduce<PacketBuilder>((p) => p.extension(60), packet().ethernet().ipv6())
			.udp(),
		expected: { ...V6, parse: 5, sourcePort: 0 },
	},
	{
		name: "eight extension headers are followed",
		packet: Array.from({ length: 8 })
			.reduce<PacketBuilder>((p) => p.extension(60), packet().ethernet().ipv6())
			.udp({ source: 12 }),
		expected: { parse: 0, sourcePort: 12 },
	},
	{
		name: "three VLAN tags",
		packet: packet().ethernet().vlan({ id: 1 }).vlan({ id: 2 }).vlan({ id: 3 }).ipv4().udp(),
		expected: { parse: 9, vlan: 1, flags: EventFlag.vlan },
	},
	{
		name: "a VLAN tag cut off",
		packet: packet().ethernet({ ethertype: 0x8100 }).payload(3),
		expected: { parse: 1 },
	},
	{
		name: "ARP of another network protocol",
		packet: packet().ethernet().arp({ protocol: 0x86dd }),
		expected: { parse: 3, source: "", flags: Family.arp },
	},
];

describe("parsing", () => {
	for (const row of [...PLAIN, ...TUNNEL, ...BROKEN]) {
		it(row.name, async () => {
			const bytes = row.packet.build();
			const { events, counters } = await trace([bytes], row.knobs);
			assert.equal(events.length, 1);
			for (const [field, value] of Object.entries(row.expected)) {
				assert.equal(events[0]?.[field as keyof Event], value, field);
			}
			const parse = events[0]?.parse ?? 0;
			assert.equal(
				counters.unparseable.reduce((sum, count) => sum + count, 0),
				parse === 0 ? 0 : 1,
			);
			assert.equal(counters.unparseable[parse], parse === 0 ? 0 : 1, "counted by its cause");
		});
	}
});

describe("a packet cut off at every byte", () => {
	const WHOLE: readonly (readonly [string, PacketBuilder, Knobs?])[] = [
		[
			"TCP",
			packet()
				.ethernet()
				.ipv4()
				.tcp({ options: timestamps(9) })
				.payload(40),
		],
		[
			"UDP behind options",
			packet()
				.ethernet()
				.ipv4({ options: [1, 1, 1, 1] })
				.udp()
				.payload(40),
		],
		["ICMP behind a tag", packet().ethernet().vlan().ipv4().icmp({ id: 3 }).payload(40)],
		["UDP behind extensions", packet().ethernet().ipv6().extension(0).fragment({ id: 3 }).udp().payload(40)],
		["ARP", packet().ethernet().arp()],
		["TCP inside VXLAN", outer4().vxlan().payload(INNER), VXLAN],
		["TCP on IPv4 without a link header", packet().ipv4().tcp().payload(40), { matchAll: 1, l3: true }],
		["TCP on IPv6 without a link header", packet().ipv6().tcp().payload(40), { matchAll: 1, l3: true }],
	];
	/** BPF_PROG_TEST_RUN refuses less than a link header, and Ethernet frames with less than an IP header. */
	const shortest = (bytes: Uint8Array, knobs: Knobs): number => (knobs.l3 === true ? 14 : bytes[12] === 0x86 ? 54 : 34);
	/** Fields that stay as in the whole packet, or are absent (0, ""): never anything else. */
	const FIELDS = [
		"source",
		"destination",
		"sourcePort",
		"destinationPort",
		"sequence",
		"acknowledgement",
		"tsval",
		"ipId",
		"protocol",
		"ttl",
		"window",
		"tcpFlags",
		"vni",
	] as const;

	for (const [name, builder, knobs = { matchAll: 1 }] of WHOLE) {
		it(name, async () => {
			const bytes = builder.build();
			const least = shortest(bytes, knobs);
			const cuts = Array.from({ length: bytes.length - least }, (_, i) => bytes.subarray(0, i + least));
			const { events, counters } = await trace([...cuts, bytes], knobs);
			assert.equal(events.length, cuts.length + 1, "each is emitted");
			const whole = events.at(-1);
			assert.ok(whole !== undefined);
			assert.equal(whole.parse, PARSE.ok);
			let unparseable = 0;
			for (const [i, event] of events.entries()) {
				unparseable += event.parse === PARSE.ok ? 0 : 1;
				assert.equal(event.length, i < cuts.length ? i + least : bytes.length);
				const outer = (event.flags & EventFlag.inner) !== (whole.flags & EventFlag.inner);
				for (const field of FIELDS) {
					if (event[field] !== 0 && event[field] !== "" && !outer) {
						assert.equal(event[field], whole[field], `${field} of the first ${event.length} bytes`);
					}
				}
				if (i < cuts.length && name !== "ARP") {
					assert.notEqual(event.parse, PARSE.ok, `the first ${event.length} bytes are not a whole packet`);
				}
			}
			assert.equal(
				counters.unparseable.reduce((sum, count) => sum + count, 0),
				unparseable,
			);
		});
	}
});

describe("payload hash", () => {
	it("is of the first 32 bytes, wherever they lie, and of their number", async () => {
		const of = (content: string) => packet().ethernet().ipv4().udp().payload(content).build();
		const behind = (content: string) =>
			packet()
				.ethernet()
				.vlan()
				.ipv4({ options: [1, 1, 1, 1] })
				.udp()
				.payload(content)
				.build();
		const long = "0123456789abcdef0123456789abcdef";
		const { events } = await trace([
			of(long),
			behind(long),
			of(`${long}tail`),
			of(`${long.slice(0, 31)}x`),
			of("abc"),
			of("abc\0"),
			behind("abc"),
		]);
		const [first, moved, longer, other, short, padded, shortMoved] = events.map((event) => event.payloadHash);
		assert.equal(moved, first);
		assert.equal(longer, first);
		assert.notEqual(other, first);
		assert.notEqual(short, padded);
		assert.equal(shortMoved, short);
	});

	it("is the same at every length whether read in place or not: by arithmetic on the zero-padded words", async () => {
		const salt = 0x0123456789abcdefn;
		const content = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff);
		const lengths = Array.from({ length: 41 }, (_, length) => length);
		// With link padding behind it, a payload's end is not the packet's.
		const frames = lengths.flatMap((length) => {
			const bytes = packet().ethernet().ipv4().udp().payload(content(length)).build();
			return [bytes, Uint8Array.from([...bytes, ...new Uint8Array(40).fill(0xee)])];
		});
		const { events } = await trace(frames, { matchAll: 1, salt });
		const hashes = events.map(({ payloadHash }) => payloadHash);
		assert.deepEqual(
			hashes,
			lengths.flatMap((length) => Array(2).fill(hashOf(content(length), salt))),
		);
	});

	it("says nothing without the salt", async () => {
		const bytes = packet().ethernet().ipv4().udp().payload(40).build();
		const one = await trace([bytes], { matchAll: 1, salt: 1n });
		const two = await trace([bytes], { matchAll: 1, salt: 2n });
		assert.notEqual(one.events[0]?.payloadHash, two.events[0]?.payloadHash);
	});
});

/** What bpf/details.h computes, from the definition. */
function hashOf(payload: Uint8Array, salt: bigint): number {
	if (payload.length === 0) return 0;
	const padded = new Uint8Array(32);
	padded.set(payload.subarray(0, 32));
	const words = new BigUint64Array(padded.buffer);
	const odd = [0x6a09e667f3bcc909n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n];
	let sum = BigInt(Math.min(payload.length, 32));
	for (const [i, word] of words.entries()) sum += (word ^ salt) * (odd[i] as bigint);
	sum = BigInt.asUintN(64, sum);
	sum = BigInt.asUintN(64, (sum ^ (sum >> 32n)) * 0x5be0cd19137e2179n);
	return Number((sum ^ (sum >> 29n)) >> 32n) || 1;
}

describe("devices without a link header", () => {
	const L3: Knobs = { matchAll: 1, l3: true };
	it("IPv4", async () => {
		const { events } = await trace([packet().ipv4().udp({ source: 3 }).payload(20).build()], L3);
		assert.equal(events[0]?.source, V4.source);
		assert.equal(events[0]?.sourcePort, 3);
		assert.equal(events[0]?.length, 48);
		assert.equal(events[0]?.payloadLength, 20);
	});
	it("IPv6", async () => {
		const { events } = await trace([packet().ipv6().tcp({ seq: 3 }).build()], L3);
		assert.equal(events[0]?.source, V6.source);
		assert.equal(events[0]?.sequence, 3);
	});
	it("neither", async () => {
		const { events } = await trace([packet().payload(new Uint8Array(40).fill(0xf0)).build()], L3);
		assert.equal(events[0]?.source, "");
		assert.equal((events[0]?.flags ?? -1) & EventFlag.familyMask, Family.other);
	});
});

describe("GSO", () => {
	it("shows the segment size; BIG TCP's length is that of the skb", async () => {
		const bytes = packet().ethernet().ipv4({ totalLength: 0 }).tcp().payload(3000).build();
		const { events } = await trace([{ bytes, context: { gsoSize: 1400 } }]);
		assert.equal(events[0]?.gsoSize, 1400);
		assert.equal(events[0]?.parse, PARSE.ok);
		assert.equal(events[0]?.payloadLength, 3000);
	});
});
