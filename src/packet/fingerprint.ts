import type { Sightings } from "./sightings.js";
import { EventFlag, TcpFlag } from "./sightings.js";

/**
 * What identifies a packet from hook to hook. Addresses and ports change under NAT, TTL at routed hops, the length with
 * the link header; these stay for one skb: IP ID, TCP sequence, acknowledgement, flags, window and TSval, payload
 * length and hash, segment size, fragment offset. Together with the skb's pointer and a legal transition they are
 * identity; alone they are as strong as the fields that are not zero (see `fingerprintStrength`).
 */

const SHAPE = EventFlag.fragment | EventFlag.laterFragment | EventFlag.hasPorts | EventFlag.hasTsval;

/** Can row i of `a` and row j of `b` be one skb at two hooks of a node? The pointer and the way are the caller's. */
export function sameSkbFingerprint(a: Sightings, i: number, b: Sightings, j: number): boolean {
	return (
		a.sequence[i] === b.sequence[j] &&
		a.ipId[i] === b.ipId[j] &&
		a.hash[i] === b.hash[j] &&
		a.payload[i] === b.payload[j] &&
		a.acknowledgement[i] === b.acknowledgement[j] &&
		a.tsval[i] === b.tsval[j] &&
		a.window[i] === b.window[j] &&
		a.tcpFlags[i] === b.tcpFlags[j] &&
		a.gsoSize[i] === b.gsoSize[j] &&
		((a.flags[i] as number) & SHAPE) === ((b.flags[j] as number) & SHAPE)
	);
}

/**
 * Can they be the same packet after a wire, where no segmentation came between? GSO size and the fragment flags may
 * differ there; a segment's payload, sequence and hash may not.
 */
export function samePacketFingerprint(a: Sightings, i: number, b: Sightings, j: number): boolean {
	return (
		a.sequence[i] === b.sequence[j] &&
		a.ipId[i] === b.ipId[j] &&
		a.hash[i] === b.hash[j] &&
		a.payload[i] === b.payload[j] &&
		a.acknowledgement[i] === b.acknowledgement[j] &&
		a.tsval[i] === b.tsval[j] &&
		a.window[i] === b.window[j] &&
		a.tcpFlags[i] === b.tcpFlags[j]
	);
}

/**
 * 32 bits over the fields of `sameSkbFingerprint`: equal fingerprints have equal hashes. A key into a table, not proof.
 */
export function fingerprintHash(rows: Sightings, i: number): number {
	const hash =
		Math.imul((rows.sequence[i] as number) ^ ((rows.sequence[i] as number) >>> 15), 0x85ebca6b) +
		Math.imul(rows.ipId[i] as number, 0x9e3779b1) +
		Math.imul((rows.hash[i] as number) ^ ((rows.hash[i] as number) >>> 15), 0xc2b2ae35) +
		Math.imul(rows.payload[i] as number, 0x27d4eb2f) +
		Math.imul((rows.acknowledgement[i] as number) ^ ((rows.acknowledgement[i] as number) >>> 15), 0x165667b1) +
		Math.imul((rows.tsval[i] as number) ^ ((rows.tsval[i] as number) >>> 15), 0x2c1b3c6d) +
		Math.imul(((rows.window[i] as number) << 8) | (rows.tcpFlags[i] as number), 0x297a2d39);
	const mixed = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
	return (mixed ^ (mixed >>> 15)) >>> 0;
}

/**
 * `exact`: the row has a field that tells it from its neighbours in the flow. `order`: equal packets are told apart only
 * by their order: datagrams with ID 0 or over IPv6, pure ACKs without an ID (duplicates repeat every field).
 */
export function fingerprintStrength(rows: Sightings, i: number, protocol: number): "exact" | "order" {
	if (rows.ipId[i] !== 0) return "exact";
	const flags = rows.flags[i] as number;
	if (protocol === IPPROTO_TCP && (flags & EventFlag.hasTsval) !== 0) {
		const takesSequence = (rows.payload[i] as number) > 0 || ((rows.tcpFlags[i] as number) & SYN_FIN) !== 0;
		return takesSequence ? "exact" : "order";
	}
	const echo = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
	return echo && rows.sequence[i] !== 0 ? "exact" : "order";
}

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_ICMPV6 = 58;
const SYN_FIN = TcpFlag.syn | TcpFlag.fin;
