import type { AddressWords, Prefix } from "../packet/addresses.js";
import { EventFlag, Family } from "../packet/sightings.js";
import type { TupleTable } from "../packet/tuples.js";
import {
	type Arithmetic,
	calculate,
	compare,
	type Expression,
	type Header,
	isIpv4Prefix,
	type Link,
	type Primitive,
	type Side,
} from "./ast.js";
import { type FieldMeaning, findField } from "./fields.js";
import type { Face, ResolvedEnd } from "./resolve.js";

/** The raw words of tuples by id; a TupleTable is one. */
export type TupleWords = Pick<TupleTable, "word" | "sourcePort" | "destinationPort" | "family" | "protocol">;

/**
 * Packets by index: the rows of a batch, or the hops of a path. Meanings and units as in Sightings. All are read on
 * the hot path: no objects, no throwing.
 */
export interface Packets {
	readonly tuples: TupleWords;
	/** Id in `tuples`; 0: unknown, then nothing about addresses, ports and protocol holds. */
	tuple(index: number): number;
	flags(index: number): number;
	length(index: number): number;
	tcpFlags(index: number): number;
	ttl(index: number): number;
	vlan(index: number): number;
	sequence(index: number): number;
	acknowledgement(index: number): number;
	window(index: number): number;
	ipId(index: number): number;
}

export type PacketTest = (packets: Packets, index: number) => boolean;
type Value = (packets: Packets, index: number) => number;

/** Resolves `pod`, `svc` and `node` of a FILTER, as of now; see resolveName. */
export type NameResolver = (primitive: Primitive & { kind: "name" }) => ResolvedEnd;

/** Compiles one primitive into closures that allocate nothing. */
export function compilePrimitive(primitive: Primitive, resolve: NameResolver): PacketTest {
	switch (primitive.kind) {
		case "ethertype":
			return ethertype(primitive.value);
		case "protocol": {
			const { family, protocol } = primitive;
			const families = family === null ? IP_FAMILIES : family === "ip" ? 1 << Family.ipv4 : 1 << Family.ipv6;
			return (packets, i) => carries(packets, i, families, protocol);
		}
		case "net":
			return bySide(primitive.side, (at) => inPrefix(primitive.prefix, primitive.link, at));
		case "port":
			return port(primitive);
		case "vlan": {
			const { id } = primitive;
			if (id === null) return (packets, i) => (packets.flags(i) & EventFlag.vlan) !== 0;
			return (packets, i) => (packets.flags(i) & EventFlag.vlan) !== 0 && packets.vlan(i) === id;
		}
		case "relation":
			return relation(primitive);
		case "name": {
			const end = resolve(primitive);
			return bySide(primitive.side, (at) => endAt(end, at));
		}
	}
}

/** One packet at one hook, as tcpdump there would decide. */
export function compilePacket(expression: Expression, resolve: NameResolver): PacketTest {
	switch (expression.kind) {
		case "true":
			return () => true;
		case "and":
		case "or": {
			const left = compilePacket(expression.left, resolve);
			const right = compilePacket(expression.right, resolve);
			if (expression.kind === "and") return (packets, i) => left(packets, i) && right(packets, i);
			return (packets, i) => left(packets, i) || right(packets, i);
		}
		case "not": {
			const term = compilePacket(expression.term, resolve);
			return (packets, i) => !term(packets, i);
		}
		default:
			return compilePrimitive(expression, resolve);
	}
}

/** Whether an END's addresses or faces stand at one side of a packet. `at` is 0 for the source, 4 for the destination. */
export function endAt(end: ResolvedEnd, at: WordOffset): PacketTest {
	if (end.kind === "any") return () => true;
	const tests: PacketTest[] = [];
	const hosts = end.prefixes.filter(({ bits }) => bits === 128);
	if (hosts.length > 0) tests.push(hostSet(hosts, at));
	for (const prefix of end.prefixes) {
		if (prefix.bits < 128) tests.push(inPrefix(prefix, null, at));
	}
	for (const face of end.faces) tests.push(hasFace(face, at));
	const [first, second] = tests;
	if (first === undefined) return () => false;
	if (second === undefined) return first;
	return (packets, i) => {
		for (let n = 0; n < tests.length; n++) {
			if ((tests[n] as PacketTest)(packets, i)) return true;
		}
		return false;
	};
}

/** Where the words of an address begin in a tuple. */
export type WordOffset = 0 | 4;

const IP_FAMILIES = (1 << Family.ipv4) | (1 << Family.ipv6);

function familyBit(packets: Packets, i: number): number {
	return 1 << (packets.flags(i) & EventFlag.familyMask);
}

function carries(packets: Packets, i: number, families: number, protocol: number): boolean {
	return (familyBit(packets, i) & families) !== 0 && packets.tuples.protocol(packets.tuple(i)) === protocol;
}

function bySide(side: Side, test: (at: WordOffset) => PacketTest): PacketTest {
	if (side === "src") return test(0);
	if (side === "dst") return test(4);
	const source = test(0);
	const destination = test(4);
	if (side === "any") return (packets, i) => source(packets, i) || destination(packets, i);
	return (packets, i) => source(packets, i) && destination(packets, i);
}

const ETHERTYPE_FAMILIES: ReadonlyMap<number, Family> = new Map([
	[0x0800, Family.ipv4],
	[0x86dd, Family.ipv6],
	[0x0806, Family.arp],
]);

function ethertype(value: number): PacketTest {
	const family = ETHERTYPE_FAMILIES.get(value);
	if (family !== undefined) return (packets, i) => (packets.flags(i) & EventFlag.familyMask) === family;
	return (packets, i) =>
		(packets.flags(i) & EventFlag.familyMask) === Family.other && packets.tuples.sourcePort(packets.tuple(i)) === value;
}

/** IPv4 and ARP addresses for an IPv4 prefix, as tcpdump's `host`; IPv6 addresses for the others. */
function inPrefix(prefix: Prefix, link: Link | null, at: WordOffset): PacketTest {
	const [a, b, c, d] = prefix.words;
	const [maskA, maskB, maskC, maskD] = prefix.mask;
	const families = linkFamilies(prefix, link);
	const last = (at + 3) as 3 | 7;
	return (packets, i) => {
		if ((familyBit(packets, i) & families) === 0) return false;
		const tuple = packets.tuple(i);
		const { tuples } = packets;
		return (
			(tuples.word(tuple, last) & maskD) >>> 0 === d &&
			(tuples.word(tuple, at + 2) & maskC) >>> 0 === c &&
			(tuples.word(tuple, at + 1) & maskB) >>> 0 === b &&
			(tuples.word(tuple, at) & maskA) >>> 0 === a
		);
	};
}

function linkFamilies(prefix: Prefix, link: Link | null): number {
	if (!isIpv4Prefix(prefix)) return 1 << Family.ipv6;
	if (link === "ip") return 1 << Family.ipv4;
	if (link === "arp") return 1 << Family.arp;
	return (1 << Family.ipv4) | (1 << Family.arp);
}

/** Whole addresses, many of them: the last word decides nearly always. */
function hostSet(prefixes: readonly Prefix[], at: WordOffset): PacketTest {
	const lastWords = new Set(prefixes.map(({ words }) => words[3]));
	const addresses = prefixes.map(({ words }) => ({
		words,
		families: linkFamilies({ words, mask: words, bits: 128 }, null),
	}));
	const last = (at + 3) as 3 | 7;
	return (packets, i) => {
		const tuple = packets.tuple(i);
		const { tuples } = packets;
		if (!lastWords.has(tuples.word(tuple, last))) return false;
		const family = familyBit(packets, i);
		for (let n = 0; n < addresses.length; n++) {
			const { words, families } = addresses[n] as { words: AddressWords; families: number };
			if (
				(family & families) !== 0 &&
				tuples.word(tuple, last) === words[3] &&
				tuples.word(tuple, at + 2) === words[2] &&
				tuples.word(tuple, at + 1) === words[1] &&
				tuples.word(tuple, at) === words[0]
			) {
				return true;
			}
		}
		return false;
	};
}

function hasFace(face: Face, at: WordOffset): PacketTest {
	const address = hostSet([{ words: face.address, mask: face.address, bits: 128 }], at);
	const { port: number, protocol } = face;
	return (packets, i) =>
		carries(packets, i, IP_FAMILIES, protocol) && portAt(packets, i, at) === number && address(packets, i);
}

/** −1 without a transport header: a later fragment, or cut off. */
function portAt(packets: Packets, i: number, at: WordOffset): number {
	if ((packets.flags(i) & EventFlag.hasPorts) === 0) return -1;
	const tuple = packets.tuple(i);
	return at === 0 ? packets.tuples.sourcePort(tuple) : packets.tuples.destinationPort(tuple);
}

function port(primitive: Primitive & { kind: "port" }): PacketTest {
	const { min, max, protocol } = primitive;
	const within = bySide(primitive.side, (at) => (packets, i) => {
		const value = portAt(packets, i, at);
		return value >= min && value <= max;
	});
	return (packets, i) => {
		if ((familyBit(packets, i) & IP_FAMILIES) === 0) return false;
		const carried = packets.tuples.protocol(packets.tuple(i));
		const fits = protocol === null ? carried === 6 || carried === 17 || carried === 132 : carried === protocol;
		return fits && within(packets, i);
	};
}

/** Holds only when every header that it reads is there, on either side of an `or` or under a `!=` as well. */
function relation(primitive: Primitive & { kind: "relation" }): PacketTest {
	const left = value(primitive.left);
	const right = value(primitive.right);
	const { operator } = primitive;
	const headers = [...new Set([...headersOf(primitive.left), ...headersOf(primitive.right)])].map(headerPresent);
	return (packets, i) => {
		for (let n = 0; n < headers.length; n++) {
			if (!(headers[n] as PacketTest)(packets, i)) return false;
		}
		return compare(operator, left(packets, i), right(packets, i));
	};
}

function headersOf(arithmetic: Arithmetic): readonly Header[] {
	if (arithmetic.kind === "field") return [arithmetic.header];
	if (arithmetic.kind === "binary") return [...headersOf(arithmetic.left), ...headersOf(arithmetic.right)];
	return [];
}

function headerPresent(header: Header): PacketTest {
	switch (header) {
		case "ip":
			return (packets, i) => (packets.flags(i) & EventFlag.familyMask) === Family.ipv4;
		case "ip6":
			return (packets, i) => (packets.flags(i) & EventFlag.familyMask) === Family.ipv6;
		case "tcp":
			return transport(IP_FAMILIES, 6);
		case "udp":
			return transport(IP_FAMILIES, 17);
		case "icmp":
			return transport(1 << Family.ipv4, 1);
		case "icmp6":
			return transport(1 << Family.ipv6, 58);
	}
}

function transport(families: number, protocol: number): PacketTest {
	return (packets, i) => (packets.flags(i) & EventFlag.hasPorts) !== 0 && carries(packets, i, families, protocol);
}

function value(arithmetic: Arithmetic): Value {
	switch (arithmetic.kind) {
		case "constant": {
			const { value: constant } = arithmetic;
			return () => constant;
		}
		case "length":
			return (packets, i) => packets.length(i);
		case "field": {
			const field = findField(arithmetic.header, arithmetic.offset, arithmetic.size);
			return field === null ? () => 0 : READERS[field.meaning];
		}
		case "binary": {
			const left = value(arithmetic.left);
			const right = value(arithmetic.right);
			const { operator } = arithmetic;
			return (packets, i) => calculate(operator, left(packets, i), right(packets, i));
		}
	}
}

const READERS: Readonly<Record<FieldMeaning, Value>> = {
	sourcePort: (packets, i) => packets.tuples.sourcePort(packets.tuple(i)),
	destinationPort: (packets, i) => packets.tuples.destinationPort(packets.tuple(i)),
	sequence: (packets, i) => packets.sequence(i),
	acknowledgement: (packets, i) => packets.acknowledgement(i),
	tcpFlags: (packets, i) => packets.tcpFlags(i),
	window: (packets, i) => packets.window(i),
	icmpType: (packets, i) => packets.tuples.destinationPort(packets.tuple(i)) >>> 8,
	icmpCode: (packets, i) => packets.tuples.destinationPort(packets.tuple(i)) & 0xff,
	icmpTypeAndCode: (packets, i) => packets.tuples.destinationPort(packets.tuple(i)),
	ttl: (packets, i) => packets.ttl(i),
	protocol: (packets, i) => packets.tuples.protocol(packets.tuple(i)),
	ipId: (packets, i) => packets.ipId(i),
	fragmentWord,
	fragmentByte: (packets, i) => fragmentWord(packets, i) >>> 8,
	sourceWord: (packets, i) => packets.tuples.word(packets.tuple(i), 3),
	destinationWord: (packets, i) => packets.tuples.word(packets.tuple(i), 7),
};

/** RFC 791, 3.1: more-fragments and the offset in units of 8 bytes. */
function fragmentWord(packets: Packets, i: number): number {
	const flags = packets.flags(i);
	const more = (flags & EventFlag.moreFragments) === 0 ? 0 : 0x2000;
	return (flags & EventFlag.laterFragment) === 0 ? more : more | (packets.sequence(i) >>> 3);
}
