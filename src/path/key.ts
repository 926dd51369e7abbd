import type { Sightings } from "../packet/sightings.js";
import { TcpFlag } from "../packet/sightings.js";
import { Kind } from "./tuple-facts.js";

/**
 * A key of 64 bits in two signed words over what neither NAT, routing nor encapsulation changes in a packet: equal packets
 * have equal keys, others differ but for 2^-64. Segment sizes are left out: a wire may change them and leave the packet.
 */

/** ECN's echo bits are the peers' own; everything else stays from hook to hook. */
const STEADY_FLAGS = 0xff & ~(TcpFlag.ece | TcpFlag.cwr);

/** @param kind of the tuple, see TupleFacts */
export function keyA(rows: Sightings, i: number, kind: number): number {
	const sequence = rows.sequence[i] as number;
	const acknowledgement = rows.acknowledgement[i] as number;
	const tsval = rows.tsval[i] as number;
	const hash = hashOf(rows, i, kind);
	let sum = Math.imul(sequence ^ (sequence >>> 15), 0x85ebca6b);
	sum = (sum + Math.imul(acknowledgement ^ (acknowledgement >>> 13), 0x165667b1)) | 0;
	sum = (sum + Math.imul(tsval ^ (tsval >>> 16), 0x2c1b3c6d)) | 0;
	sum = (sum + Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35)) | 0;
	sum = (sum + Math.imul((rows.ipId[i] as number) ^ (kind << 16), 0x9e3779b1)) | 0;
	sum = (sum + Math.imul(rows.payload[i] as number, 0x27d4eb2f)) | 0;
	sum = (sum + Math.imul(shapeOf(rows, i), 0x297a2d39)) | 0;
	sum = Math.imul(sum ^ (sum >>> 16), 0x7feb352d);
	return sum ^ (sum >>> 15);
}

/** @param kind of the tuple, see TupleFacts */
export function keyB(rows: Sightings, i: number, kind: number): number {
	const sequence = rows.sequence[i] as number;
	const acknowledgement = rows.acknowledgement[i] as number;
	const tsval = rows.tsval[i] as number;
	const hash = hashOf(rows, i, kind);
	const id = (rows.ipId[i] as number) ^ (kind << 16);
	let sum = Math.imul(sequence ^ (sequence >>> 13), 0xcc9e2d51);
	sum = (sum + Math.imul(acknowledgement ^ (acknowledgement >>> 16), 0x1b873593)) | 0;
	sum = (sum + Math.imul(tsval ^ (tsval >>> 15), 0xe6546b65)) | 0;
	sum = (sum + Math.imul(hash ^ (hash >>> 16), 0x7feb352d)) | 0;
	sum = (sum + Math.imul(id ^ (id << 9), 0x846ca68b)) | 0;
	sum = (sum + Math.imul(rows.payload[i] as number, 0x58f38ded)) | 0;
	sum = (sum + Math.imul(shapeOf(rows, i), 0x6c8e9cf5)) | 0;
	return sum ^ (sum >>> 16);
}

/** An ICMP error quotes addresses that NAT rewrites: its payload does not count. */
function hashOf(rows: Sightings, i: number, kind: number): number {
	return (kind & Kind.icmpError) === 0 ? (rows.hash[i] as number) : 0;
}

function shapeOf(rows: Sightings, i: number): number {
	return ((rows.window[i] as number) << 8) | ((rows.tcpFlags[i] as number) & STEADY_FLAGS);
}
