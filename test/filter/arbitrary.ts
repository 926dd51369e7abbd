import fc from "fast-check";
import type { Arithmetic, Expression, Primitive, Relation, Side } from "../../src/filter/ast.js";
import { FIELDS } from "../../src/filter/fields.js";
import { prefixOf, wordsAt } from "../../src/packet/addresses.js";
import { Family } from "../../src/packet/sightings.js";
import type { Packet } from "./packet.js";

/** Few values, so that random filters and random packets meet. */
const ADDRESSES4 = [
	[10, 244, 1, 2],
	[10, 244, 2, 3],
	[10, 96, 0, 11],
	[192, 168, 66, 11],
] as const;
const ADDRESSES6 = ["fd000000000000000000000000000001", "fd000000000000000000000000000002"];
const PORTS = [0, 1, 22, 53, 80, 443, 8080, 65535];
const LENGTHS = [42, 60, 66, 98, 1000, 1514, 64374];

export const address4 = fc.constantFrom(...ADDRESSES4).map((octets) => {
	const bytes = new Uint8Array(16);
	bytes.set([255, 255, ...octets], 10);
	return bytes;
});
export const address6 = fc.constantFrom(...ADDRESSES6).map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));

const side: fc.Arbitrary<Side> = fc.constantFrom("any", "src", "dst", "both");
export const port = fc.constantFrom(...PORTS);
const operator: fc.Arbitrary<Relation> = fc.constantFrom(">", "<", ">=", "<=", "==", "!=");
const constant = fc
	.constantFrom(0, 1, 2, 4, 8, 16, 18, 53, 80, 100, 255, 1000, 1514)
	.map((value): Arithmetic => ({ kind: "constant", value }));

const prefix = fc.oneof(
	fc
		.tuple(address4, fc.constantFrom(96, 104, 112, 120, 128, 128))
		.map(([bytes, bits]) => prefixOf(wordsAt(bytes), bits)),
	fc.tuple(address6, fc.constantFrom(0, 8, 64, 127, 128, 128)).map(([bytes, bits]) => prefixOf(wordsAt(bytes), bits)),
);

const arithmetic: fc.Arbitrary<Arithmetic> = fc.oneof(
	fc.constant<Arithmetic>({ kind: "length" }),
	// Flags and types have rules of their own in the kernel's table: ask for them more often.
	fc
		.constantFrom(
			...FIELDS,
			...Array(8).fill(FIELDS.find(({ meaning }) => meaning === "tcpFlags") ?? FIELDS[0]),
			...FIELDS.filter(({ header }) => header === "icmp"),
		)
		.chain((field): fc.Arbitrary<Arithmetic> => {
			const plain: Arithmetic = { kind: "field", header: field.header, offset: field.offset, size: field.size };
			const masked = fc.constantFrom(1, 2, 3, 0x12, 0x17, 0x20).map(
				(mask): Arithmetic => ({
					kind: "binary",
					operator: "&",
					left: plain,
					right: { kind: "constant", value: mask },
				}),
			);
			const whole = field.known === 2 ** (8 * field.size) - 1;
			return whole ? fc.oneof(fc.constant(plain), masked) : masked;
		}),
);

export const primitive: fc.Arbitrary<Primitive> = fc.oneof(
	fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x88cc).map((value): Primitive => ({ kind: "ethertype", value })),
	fc
		.record({
			family: fc.constantFrom("ip" as const, "ip6" as const, null),
			protocol: fc.constantFrom(1, 6, 17, 58, 89),
		})
		.map((fields): Primitive => ({ kind: "protocol", ...fields })),
	fc.record({ side, prefix }).map((fields): Primitive => ({ kind: "net", link: null, ...fields })),
	fc
		.record({ side, protocol: fc.constantFrom(6, 17, null), a: port, b: port })
		.map(({ a, b, ...fields }): Primitive => ({ kind: "port", ...fields, min: Math.min(a, b), max: Math.max(a, b) })),
	fc.constantFrom(null, 5, 100).map((id): Primitive => ({ kind: "vlan", id })),
	fc.tuple(arithmetic, operator, constant, fc.boolean()).map(
		([left, relation, right, turned]): Primitive => ({
			kind: "relation",
			left: turned ? right : left,
			operator: relation,
			right: turned ? left : right,
		}),
	),
);

export const expression: fc.Arbitrary<Expression> = fc.letrec<{ expression: Expression }>((tie) => ({
	expression: fc.oneof(
		{ maxDepth: 5, depthIdentifier: "expression" },
		{ weight: 3, arbitrary: primitive },
		{
			weight: 3,
			arbitrary: fc
				.record({
					kind: fc.constantFrom("and" as const, "or" as const),
					left: tie("expression"),
					right: tie("expression"),
				})
				.map((fields): Expression => fields),
		},
		{ weight: 1, arbitrary: tie("expression").map((term): Expression => ({ kind: "not", term })) },
	),
})).expression;

/** Shaped as the kernel's parser leaves them: fields of what is not there are 0. */
export const packet: fc.Arbitrary<Packet> = fc
	.record({
		shape: fc.constantFrom("tcp", "udp", "icmp", "icmp6", "arp", "lldp", "ospf", "later"),
		ipv6: fc.boolean(),
		source4: address4,
		destination4: address4,
		source6: address6,
		destination6: address6,
		sourcePort: port,
		destinationPort: port,
		length: fc.constantFrom(...LENGTHS),
		tcpFlags: fc.integer({ min: 0, max: 255 }),
		ttl: fc.constantFrom(1, 62, 64),
		vlan: fc.constantFrom(null, null, 5, 100),
		ifindex: fc.constantFrom(3, 7),
		more: fc.boolean(),
	})
	.map((random): Packet => {
		const ipv6 = random.shape === "icmp6" || (random.ipv6 && random.shape !== "icmp" && random.shape !== "arp");
		const addresses = ipv6
			? { source: random.source6, destination: random.destination6 }
			: { source: random.source4, destination: random.destination4 };
		const base: Packet = {
			...EMPTY,
			ifindex: random.ifindex,
			length: random.length,
			vlan: random.vlan,
			family: ipv6 ? Family.ipv6 : Family.ipv4,
			ttl: random.ttl,
			...addresses,
		};
		const ports = { sourcePort: random.sourcePort, destinationPort: random.destinationPort, hasPorts: true };
		switch (random.shape) {
			case "tcp":
				return { ...base, protocol: 6, ...ports, tcpFlags: random.tcpFlags };
			case "udp":
				return { ...base, protocol: 17, ...ports };
			case "icmp":
				return { ...base, protocol: 1, ...ports, destinationPort: random.tcpFlags << 8 };
			case "icmp6":
				return { ...base, protocol: 58, ...ports, destinationPort: random.tcpFlags << 8 };
			case "arp":
				return { ...base, family: Family.arp, ttl: 0, destinationPort: 1 };
			case "lldp":
				return { ...EMPTY, ifindex: random.ifindex, length: random.length, vlan: random.vlan, sourcePort: 0x88cc };
			case "later":
				return { ...base, protocol: 17, laterFragment: true, moreFragments: random.more, sequence: 1480 };
			default:
				return { ...base, protocol: 89 };
		}
	});

const EMPTY: Packet = {
	ifindex: 0,
	family: Family.other,
	protocol: 0,
	source: new Uint8Array(16),
	destination: new Uint8Array(16),
	sourcePort: 0,
	destinationPort: 0,
	hasPorts: false,
	laterFragment: false,
	moreFragments: false,
	length: 0,
	vlan: null,
	tcpFlags: 0,
	ttl: 0,
	sequence: 0,
	acknowledgement: 0,
	window: 0,
	ipId: 0,
};

/** The second fragment of a UDP datagram over IPv4, without addresses. */
export const LATER: Packet = { ...EMPTY, family: Family.ipv4, protocol: 17, laterFragment: true, sequence: 1480 };
