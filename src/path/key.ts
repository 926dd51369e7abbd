import { type Sightings, TcpFlag } from "../packet/sightings.js";
import { PathAt, type PathTable, segmentsOf } from "./path-table.js";
import type { Sight } from "./sight.js";
import { Kind } from "./tuple-facts.js";

/**
 * What neither NAT, routing nor encapsulation changes in a packet, compared field by field, or as a key of 64 bits in
 * two signed words where it must be looked up: equal packets have equal keys, others differ but for 2^-64. Segment sizes
 * are left out: a wire may change them and leave the packet.
 */

/** ECN's echo bits are the peers' own; everything else stays from hook to hook. */
export const STEADY_SHAPE = ~(TcpFlag.ece | TcpFlag.cwr);

/** Does the path's packet equal the sighting's in every field? */
export function isSamePacket(paths: PathTable, path: number, pathKind: number, sight: Sight): boolean {
	const { rows, i, kind } = sight;
	return (
		paths.words[path | PathAt.ipId] === rows.ipId[i] &&
		paths.words[path | PathAt.sequence] === rows.sequence[i] &&
		paths.words[path | PathAt.payload] === rows.payload[i] &&
		paths.words[path | PathAt.acknowledgement] === rows.acknowledgement[i] &&
		paths.words[path | PathAt.tsval] === rows.tsval[i] &&
		(((paths.words[path | PathAt.shape] as number) ^ shapeOf(rows, i)) & STEADY_SHAPE) === 0 &&
		(paths.words[path | PathAt.hash] === rows.hash[i] || (kind & Kind.icmpError) !== 0) &&
		((pathKind ^ kind) & Kind.packet) === 0
	);
}

/**
 * Two single segments of TCP with IP IDs of their own: one is a retransmission of the other. Of several segments in one
 * skb the ID says less: hardware may repeat it.
 */
export function isOtherSegment(paths: PathTable, path: number, segments: number, ipId: number): boolean {
	const own = paths.words[path | PathAt.ipId] as number;
	const single = segments < 2 && segmentsOf(paths, path) < 2;
	return single && own !== 0 && ipId !== 0 && own !== ipId;
}

/** TCP flags and window as a path keeps them. */
export function shapeOf(rows: Sightings, i: number): number {
	return (rows.tcpFlags[i] as number) | ((rows.window[i] as number) << 8);
}

/** The fields of a sighting as a path keeps them, in place. */
export function setPacket(paths: PathTable, path: number, sight: Sight): void {
	const { rows, i } = sight;
	paths.words[path | PathAt.ipId] = rows.ipId[i] as number;
	paths.words[path | PathAt.sequence] = rows.sequence[i] as number;
	paths.words[path | PathAt.payload] = rows.payload[i] as number;
	paths.words[path | PathAt.acknowledgement] = rows.acknowledgement[i] as number;
	paths.words[path | PathAt.tsval] = rows.tsval[i] as number;
	paths.words[path | PathAt.shape] = shapeOf(rows, i);
	paths.words[path | PathAt.hash] = rows.hash[i] as number;
}

/** Sets the key of a path from its fields. @param kind of its tuple */
export function setKey(paths: PathTable, path: number, kind: number): void {
	const sequence = paths.words[path | PathAt.sequence] as number;
	const acknowledgement = paths.words[path | PathAt.acknowledgement] as number;
	const tsval = paths.words[path | PathAt.tsval] as number;
	const hash = (kind & Kind.icmpError) === 0 ? (paths.words[path | PathAt.hash] as number) : 0;
	const id = (paths.words[path | PathAt.ipId] as number) ^ (kind << 16);
	const payload = paths.words[path | PathAt.payload] as number;
	const shape = (paths.words[path | PathAt.shape] as number) & STEADY_SHAPE;
	paths.signed[path | PathAt.keyA] = mixA(sequence, acknowledgement, tsval, hash, id, payload, shape);
	paths.signed[path | PathAt.keyB] = mixB(sequence, acknowledgement, tsval, hash, id, payload, shape);
}

export function mixA(
	sequence: number,
	acknowledgement: number,
	tsval: number,
	hash: number,
	id: number,
	payload: number,
	shape: number,
): number {
	let sum = Math.imul(sequence ^ (sequence >>> 15), 0x85ebca6b);
	sum = (sum + Math.imul(acknowledgement ^ (acknowledgement >>> 13), 0x165667b1)) | 0;
	sum = (sum + Math.imul(tsval ^ (tsval >>> 16), 0x2c1b3c6d)) | 0;
	sum = (sum + Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35)) | 0;
	sum = (sum + Math.imul(id, 0x9e3779b1)) | 0;
	sum = (sum + Math.imul(payload, 0x27d4eb2f)) | 0;
	sum = (sum + Math.imul(shape, 0x297a2d39)) | 0;
	sum = Math.imul(sum ^ (sum >>> 16), 0x7feb352d);
	return sum ^ (sum >>> 15);
}

export function mixB(
	sequence: number,
	acknowledgement: number,
	tsval: number,
	hash: number,
	id: number,
	payload: number,
	shape: number,
): number {
	let sum = Math.imul(sequence ^ (sequence >>> 13), 0xcc9e2d51);
	sum = (sum + Math.imul(acknowledgement ^ (acknowledgement >>> 16), 0x1b873593)) | 0;
	sum = (sum + Math.imul(tsval ^ (tsval >>> 15), 0xe6546b65)) | 0;
	sum = (sum + Math.imul(hash ^ (hash >>> 16), 0x7feb352d)) | 0;
	sum = (sum + Math.imul(id ^ (id << 9), 0x846ca68b)) | 0;
	sum = (sum + Math.imul(payload, 0x58f38ded)) | 0;
	sum = (sum + Math.imul(shape ^ (shape << 7), 0x6c8e9cf5)) | 0;
	return sum ^ (sum >>> 16);
}
