import { type Sightings, TcpFlag } from "../packet/sightings.js";
import { kindOf, PathAt, PathMore, type PathTable, segmentsOf } from "./path-table.js";
import { PacketAt } from "./records.js";
import type { Sight } from "./sight.js";
import { Kind } from "./tuple-facts.js";

/**
 * What neither NAT, routing nor encapsulation changes in a packet, compared field by field; as a hash of 32 bits where it
 * must be looked up, and as a fingerprint of 64 where it must be remembered: equal packets have equal ones, others differ
 * but for 2^-64. Segment sizes are left out: a wire may change them and leave the packet.
 */

/** ECN's echo bits are the peers' own; everything else stays from hook to hook. */
const STEADY_SHAPE = ~(TcpFlag.ece | TcpFlag.cwr);

/** Does the packet at `words[at]` equal the sighting's in every field? @param otherKind of its tuple */
export function isSamePacket(words: Uint32Array, at: number, otherKind: number, { rows, i, kind }: Sight): boolean {
	return (
		words[at | PacketAt.ipId] === rows.ipId[i] &&
		words[at | PacketAt.sequence] === rows.sequence[i] &&
		words[at | PacketAt.payload] === rows.payload[i] &&
		words[at | PacketAt.acknowledgement] === rows.acknowledgement[i] &&
		words[at | PacketAt.tsval] === rows.tsval[i] &&
		(((words[at | PacketAt.shape] as number) ^ shapeOf(rows, i)) & STEADY_SHAPE) === 0 &&
		words[at | PacketAt.hash] === contentOf(rows.hash[i] as number, kind) &&
		((otherKind ^ kind) & Kind.packet) === 0
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

/** The fields of a sighting as a path keeps them, or a carrier, to `words[at]`. */
export function setPacket(words: Uint32Array, at: number, { rows, i, kind }: Sight): void {
	words[at | PacketAt.ipId] = rows.ipId[i] as number;
	words[at | PacketAt.sequence] = rows.sequence[i] as number;
	words[at | PacketAt.payload] = rows.payload[i] as number;
	words[at | PacketAt.acknowledgement] = rows.acknowledgement[i] as number;
	words[at | PacketAt.tsval] = rows.tsval[i] as number;
	words[at | PacketAt.shape] = shapeOf(rows, i);
	words[at | PacketAt.hash] = contentOf(rows.hash[i] as number, kind);
}

/** Is the path's packet the sighting's, in every field? */
export function isPacketOf(paths: PathTable, path: number, sight: Sight): boolean {
	return isSamePacket(paths.words, path | PathAt.ipId, kindOf(paths, path), sight);
}

/** Are the packets of two paths equal in every field? */
export function areEqual(paths: PathTable, a: number, b: number): boolean {
	const { words } = paths;
	return (
		words[a | PathAt.ipId] === words[b | PathAt.ipId] &&
		words[a | PathAt.sequence] === words[b | PathAt.sequence] &&
		words[a | PathAt.payload] === words[b | PathAt.payload] &&
		words[a | PathAt.acknowledgement] === words[b | PathAt.acknowledgement] &&
		words[a | PathAt.tsval] === words[b | PathAt.tsval] &&
		(((words[a | PathAt.shape] as number) ^ (words[b | PathAt.shape] as number)) & STEADY_SHAPE) === 0 &&
		words[a | PathAt.hash] === words[b | PathAt.hash] &&
		kindOf(paths, a) === kindOf(paths, b)
	);
}

/** Makes it a path that can be looked up, from its fields. */
export function setKey(paths: PathTable, path: number): void {
	paths.moreSigned[(path >> 1) | PathMore.keyHash] = mix(
		paths.words[path | PathAt.sequence] as number,
		paths.words[path | PathAt.acknowledgement] as number,
		paths.words[path | PathAt.hash] as number,
		keyId(paths.words[path | PathAt.ipId] as number, kindOf(paths, path)),
		paths.words[path | PathAt.payload] as number,
	);
}

/** Signed; that of a path with an equal packet is the same. */
export function keyHash({ rows, i, kind }: Sight): number {
	return mix(
		rows.sequence[i] as number,
		rows.acknowledgement[i] as number,
		contentOf(rows.hash[i] as number, kind),
		keyId(rows.ipId[i] as number, kind),
		rows.payload[i] as number,
	);
}

/** The fingerprint of a path: two signed words to `to`. */
export function fingerprint(paths: PathTable, path: number, to: Int32Array): void {
	const sequence = paths.words[path | PathAt.sequence] as number;
	const acknowledgement = paths.words[path | PathAt.acknowledgement] as number;
	const tsval = paths.words[path | PathAt.tsval] as number;
	const content = paths.words[path | PathAt.hash] as number;
	const id = keyId(paths.words[path | PathAt.ipId] as number, kindOf(paths, path));
	const payload = paths.words[path | PathAt.payload] as number;
	const shape = (paths.words[path | PathAt.shape] as number) & STEADY_SHAPE;
	to[0] = mixA(sequence, acknowledgement, tsval, content, id, payload, shape);
	to[1] = mixB(sequence, acknowledgement, tsval, content, id, payload, shape);
}

/** The IP ID, and what the tuple has that no NAT changes. */
function keyId(ipId: number, kind: number): number {
	return ipId ^ (kind << 16);
}

/** ICMP's errors quote headers, which NAT rewrites. */
function contentOf(hash: number, kind: number): number {
	return (kind & Kind.icmpError) === 0 ? hash : 0;
}

function mix(sequence: number, acknowledgement: number, content: number, id: number, payload: number): number {
	let sum = Math.imul(sequence ^ content, 0x85ebca6b);
	sum = (sum + Math.imul(acknowledgement ^ (payload << 8), 0x165667b1)) | 0;
	sum = (sum + Math.imul(id, 0x9e3779b1)) | 0;
	return sum ^ (sum >>> 15);
}

function mixA(
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

function mixB(
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
