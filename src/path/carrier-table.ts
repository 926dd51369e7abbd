import { makeRecords, type Records } from "./records.js";

/** Members of a carrier's record in doubles: see Records. */
export const enum CarrierF64 {
	/** Joiner time of its latest sighting, ns. */
	time = 0,
}

/** … and in words, behind the doubles. */
export const enum CarrierAt {
	next = 2,
	sibling = 3,
	low = 4,
	high = 5,
	source = 6,
	path = 7,
	hook = 8,
	/** The carrier of the same path of which it is the sibling; 0: it is the path's first. */
	elder = 9,
	/** ifindex of the device by which it came in, as the last ingress hook showed it; else what the first egress said. */
	cameBy = 10,
	tuple = 11,
	branch = 12,
	/** 1: carries one path's range exactly; 0: a part, or several (look the range up again). */
	whole = 13,
}
const SIZE = 16; /* one cache line; the packet of one that carries a part is in `more`, as PacketAt has it */

/** One skb's life on one node: which pointer, which packet, where it was seen last, and whose path it carries. */
export type CarrierTable = Records;

export function makeCarrierTable(capacity: number): CarrierTable {
	return makeRecords(SIZE, CarrierAt.next, capacity);
}
