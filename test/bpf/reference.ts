/**
 * Parsing as bpf/event.h promises it, written a second time and in another way: what the kernel's parser is held
 * against. Reads a packet front to back through a cursor that knows where the packet ends.
 */
import { EventFlag, Family } from "../../src/packet/sightings.js";

/** What of an event comes from the packet's bytes alone. */
export interface Parsed {
	parse: number;
	flags: number;
	source: string;
	destination: string;
	outerPeer: string;
	protocol: number;
	ttl: number;
	ipId: number;
	sourcePort: number;
	destinationPort: number;
	sequence: number;
	acknowledgement: number;
	tcpFlags: number;
	window: number;
	tsval: number;
	vlan: number;
	vni: number;
	payloadLength: number;
}

export interface ParseOptions {
	readonly l3: boolean;
	readonly egress: boolean;
	readonly tunnelPorts: readonly number[];
}

/** Stops parsing, for a cause of enum weft_parse. */
class Stop {
	readonly cause: number;
	constructor(cause: number) {
		this.cause = cause;
	}
}

class Cursor {
	readonly bytes: Uint8Array;
	at: number;
	/** Behind the last byte that belongs to the packet. */
	end: number;
	/** The first fragment of a tunnel's packet: the packet in it goes on in another skb. */
	readonly cut: boolean;

	constructor(bytes: Uint8Array, at: number, cut = false) {
		this.bytes = bytes;
		this.at = at;
		this.end = bytes.length;
		this.cut = cut;
	}

	/** A network packet is all there, or as much of it as is ever read: two headers with all options, 32 bytes more. */
	needPacket(size: number): void {
		if (!this.cut || this.left < 152) {
			this.need(size, 2);
		}
	}

	get here(): number {
		return this.bytes.length - this.at;
	}

	get left(): number {
		return this.end - this.at;
	}

	need(size: number, cause: number): void {
		if (this.left < size) {
			throw new Stop(cause);
		}
	}

	u8(offset: number): number {
		return this.bytes[this.at + offset] ?? 0;
	}

	u16(offset: number): number {
		return this.u8(offset) * 256 + this.u8(offset + 1);
	}

	u32(offset: number): number {
		return this.u16(offset) * 65536 + this.u16(offset + 2);
	}

	ipv4(offset: number): string {
		const text = [0, 1, 2, 3].map((i) => this.u8(offset + i)).join(".");
		return text;
	}

	/** As test/bpf/tracer.ts writes 16 bytes. */
	ipv6(offset: number): string {
		const groups = [0, 2, 4, 6, 8, 10, 12, 14].map((i) => this.u16(offset + i));
		if (groups.every((group) => group === 0)) {
			return "";
		}
		if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
			return this.ipv4(offset + 12);
		}
		return groups.map((group) => group.toString(16)).join(":");
	}
}

export function parse(bytes: Uint8Array, options: ParseOptions): Parsed {
	const outer = parseAt(bytes, 0, options.l3);
	if (
		outer.parsed.parse !== 0 ||
		outer.parsed.protocol !== 17 ||
		(outer.parsed.flags & EventFlag.hasPorts) === 0 ||
		!options.tunnelPorts.includes(outer.parsed.destinationPort)
	) {
		return outer.parsed;
	}
	const flags = bytes[outer.payloadAt] ?? 0;
	if (outer.parsed.payloadLength < 8 || (flags !== 0x08 && flags !== 0x88)) {
		return { ...outer.parsed, parse: 8, tsval: 0 };
	}
	const cut = (outer.parsed.flags & EventFlag.moreFragments) !== 0;
	const { parsed } = parseAt(bytes, outer.payloadAt + 8, false, cut);
	parsed.flags |= EventFlag.inner;
	parsed.outerPeer = options.egress ? outer.parsed.destination : outer.parsed.source;
	parsed.vni = new Cursor(bytes, outer.payloadAt).u32(4) >>> 8;
	return parsed;
}

function parseAt(
	bytes: Uint8Array,
	at: number,
	l3: boolean,
	cut = false,
): { readonly parsed: Parsed; readonly payloadAt: number } {
	const parsed: Parsed = {
		parse: 0,
		flags: 0,
		source: "",
		destination: "",
		outerPeer: "",
		protocol: 0,
		ttl: 0,
		ipId: 0,
		sourcePort: 0,
		destinationPort: 0,
		sequence: 0,
		acknowledgement: 0,
		tcpFlags: 0,
		window: 0,
		tsval: 0,
		vlan: 0,
		vni: 0,
		payloadLength: 0,
	};
	const cursor = new Cursor(bytes, at, cut);
	try {
		network(cursor, parsed, l3 ? versionType(cursor) : link(cursor, parsed));
	} catch (stop) {
		if (!(stop instanceof Stop)) {
			throw stop;
		}
		parsed.parse = stop.cause;
	}
	return { parsed, payloadAt: cursor.at };
}

/** Without a link header: null when the first nibble tells nothing. */
function versionType(cursor: Cursor): number | null {
	const version = cursor.u8(0) >> 4;
	return version === 4 ? 0x0800 : version === 6 ? 0x86dd : null;
}

function link(cursor: Cursor, parsed: Parsed): number {
	cursor.need(14, 1);
	let ethertype = cursor.u16(12);
	cursor.at += 14;
	for (let tags = 0; ethertype === 0x8100 || ethertype === 0x88a8; tags++) {
		if (tags === 2) {
			throw new Stop(9);
		}
		cursor.need(4, 1);
		if (tags === 0) {
			parsed.flags |= EventFlag.vlan;
			parsed.vlan = cursor.u16(0) & 0xfff;
		}
		ethertype = cursor.u16(2);
		cursor.at += 4;
	}
	return ethertype;
}

function network(cursor: Cursor, parsed: Parsed, ethertype: number | null): void {
	switch (ethertype) {
		case 0x0800:
			ipv4(cursor, parsed);
			break;
		case 0x86dd:
			ipv6(cursor, parsed);
			break;
		case 0x0806:
			arp(cursor, parsed);
			break;
		default:
			// A null ethertype is the skb's, which only the kernel knows.
			parsed.sourcePort = ethertype ?? 0;
	}
}

function arp(cursor: Cursor, parsed: Parsed): void {
	parsed.flags |= Family.arp;
	cursor.need(28, 2);
	if (cursor.u16(2) !== 0x0800 || cursor.u8(4) !== 6 || cursor.u8(5) !== 4) {
		throw new Stop(3);
	}
	parsed.destinationPort = cursor.u16(6);
	parsed.source = cursor.ipv4(14);
	parsed.destination = cursor.ipv4(24);
}

function ipv4(cursor: Cursor, parsed: Parsed): void {
	cursor.need(20, 2);
	if (cursor.u8(0) >> 4 !== 4) {
		throw new Stop(3);
	}
	parsed.flags |= Family.ipv4;
	parsed.source = cursor.ipv4(12);
	parsed.destination = cursor.ipv4(16);
	parsed.protocol = cursor.u8(9);
	parsed.ttl = cursor.u8(8);
	parsed.ipId = cursor.u16(4);
	const size = (cursor.u8(0) & 15) * 4;
	const total = cursor.u16(2);
	const fragment = cursor.u16(6);
	if (size < 20 || total < size) {
		throw new Stop(3);
	}
	cursor.needPacket(total);
	cursor.end = cursor.at + total;
	noteFragment(parsed, (fragment & 0x1fff) * 8, (fragment & 0x2000) !== 0);
	cursor.at += size;
	transport(cursor, parsed);
}

function noteFragment(parsed: Parsed, offset: number, more: boolean): void {
	if (offset > 0 || more) {
		parsed.flags |= EventFlag.fragment;
	}
	if (more) {
		parsed.flags |= EventFlag.moreFragments;
	}
	if (offset > 0) {
		parsed.flags |= EventFlag.laterFragment;
		parsed.sequence = offset;
	}
}

const EXTENSIONS: readonly number[] = [0, 43, 44, 51, 60, 135];

function ipv6(cursor: Cursor, parsed: Parsed): void {
	cursor.need(40, 2);
	if (cursor.u8(0) >> 4 !== 6) {
		throw new Stop(3);
	}
	parsed.flags |= Family.ipv6;
	parsed.source = cursor.ipv6(8);
	parsed.destination = cursor.ipv6(24);
	parsed.protocol = cursor.u8(6);
	parsed.ttl = cursor.u8(7);
	cursor.needPacket(40 + cursor.u16(4));
	cursor.end = cursor.at + 40 + cursor.u16(4);
	cursor.at += 40;
	for (let seen = 0; EXTENSIONS.includes(parsed.protocol); seen++) {
		if (seen === 8) {
			throw new Stop(5);
		}
		cursor.need(8, 4);
		if (cursor.here < 8) {
			throw new Stop(4);
		}
		const kind = parsed.protocol;
		if (kind === 44) {
			parsed.ipId = cursor.u32(4);
			noteFragment(parsed, cursor.u16(2) & 0xfff8, (cursor.u16(2) & 1) !== 0);
		}
		const size = kind === 44 ? 8 : kind === 51 ? (cursor.u8(1) + 2) * 4 : (cursor.u8(1) + 1) * 8;
		cursor.need(size, 4);
		parsed.protocol = cursor.u8(0);
		cursor.at += size;
		if ((parsed.flags & EventFlag.laterFragment) !== 0) {
			break;
		}
	}
	// Extension headers have taken the place of what is read of a cut packet.
	if (cursor.cut && cursor.here < 112) {
		throw new Stop(6);
	}
	transport(cursor, parsed);
}

function transport(cursor: Cursor, parsed: Parsed): void {
	if ((parsed.flags & EventFlag.laterFragment) === 0) {
		switch (parsed.protocol) {
			case 6:
				tcp(cursor, parsed);
				break;
			case 17:
				udp(cursor, parsed);
				break;
			case 1:
			case 58:
				icmp(cursor, parsed);
				break;
			case 132:
				cursor.need(12, 6);
				ports(cursor, parsed);
				cursor.at += 12;
				break;
		}
	}
	parsed.payloadLength = cursor.left;
}

function ports(cursor: Cursor, parsed: Parsed): void {
	parsed.flags |= EventFlag.hasPorts;
	parsed.sourcePort = cursor.u16(0);
	parsed.destinationPort = cursor.u16(2);
}

function tcp(cursor: Cursor, parsed: Parsed): void {
	cursor.need(20, 6);
	ports(cursor, parsed);
	parsed.sequence = cursor.u32(4);
	parsed.acknowledgement = cursor.u32(8);
	parsed.tcpFlags = cursor.u8(13);
	parsed.window = cursor.u16(14);
	const size = (cursor.u8(12) >> 4) * 4;
	if (size < 20 || size > cursor.left) {
		throw new Stop(7);
	}
	timestamp(cursor, parsed, size);
	cursor.at += size;
}

/** The first twelve options are looked at, and none that leaves no room for a timestamp. */
function timestamp(cursor: Cursor, parsed: Parsed, size: number): void {
	if (size - 20 >= 12 && cursor.u32(20) === 0x0101080a) {
		parsed.flags |= EventFlag.hasTsval;
		parsed.tsval = cursor.u32(24);
		return;
	}
	for (let at = 20, seen = 0; seen < 12 && at + 10 <= size; seen++) {
		const kind = cursor.u8(at);
		const length = cursor.u8(at + 1);
		if (kind === 8 && length === 10) {
			parsed.flags |= EventFlag.hasTsval;
			parsed.tsval = cursor.u32(at + 2);
			return;
		}
		if (kind === 0 || (kind !== 1 && length < 2)) {
			return;
		}
		at += kind === 1 ? 1 : length;
	}
}

function udp(cursor: Cursor, parsed: Parsed): void {
	cursor.need(8, 6);
	ports(cursor, parsed);
	const length = cursor.u16(4);
	if ((parsed.flags & EventFlag.fragment) === 0 && length !== 0) {
		if (length < 8 || length > cursor.left) {
			throw new Stop(7);
		}
		cursor.end = cursor.at + length;
	}
	cursor.at += 8;
}

function icmp(cursor: Cursor, parsed: Parsed): void {
	cursor.need(8, 6);
	parsed.flags |= EventFlag.hasPorts;
	parsed.destinationPort = cursor.u16(0);
	const type = cursor.u8(0);
	if (parsed.protocol === 58 ? type === 128 || type === 129 : [0, 8, 13, 14].includes(type)) {
		parsed.sourcePort = cursor.u16(4);
		parsed.sequence = cursor.u16(6);
	}
	cursor.at += 8;
}
