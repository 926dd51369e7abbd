import { giveBackAll, makeRecords, type Records, take } from "./records.js";

/** Members of a hop's record in doubles: see Records. */
export const enum HopF64 {
	/** Joiner time, ns: when the first byte of the path's range was seen here. */
	first = 0,
	/** When the range was complete, or the latest that is known. */
	last = 1,
}

/** … and in words, behind the doubles. */
export const enum HopAt {
	/** Next hop of the same path; in the free list: the next free id. */
	next = 4,
	hook = 5,
	tuple = 6,
	outer = 7,
	/** skbs that overlap the path's range. */
	packets = 8,
	bytes = 9,
	/** Of these, what began before the range: counted for the path before, too. */
	leadingPackets = 10,
	leadingBytes = 11,
	branch = 12,
	/** TTL | VLAN id << 8 of the first skb here. */
	header = 13,
	/** Which units of the range were seen, 64 bits: see coverage.ts. */
	coverLow = 14,
	coverHigh = 15,
}
const SIZE = 16; /* one cache line */

/** Hops of all paths as records, in singly linked lists. */
export type HopTable = Records;

export function makeHopTable(capacity: number): HopTable {
	return makeRecords(SIZE, HopAt.next, capacity, { more: false });
}

/** A hop with every member to be set by the caller, except next and leading*, which are 0. */
export function allocateHop(hops: HopTable): number {
	const id = take(hops);
	hops.words[id | HopAt.next] = 0;
	hops.words[id | HopAt.leadingPackets] = 0;
	hops.words[id | HopAt.leadingBytes] = 0;
	return id;
}

/** Frees a whole list, whatever its length. @param first 0: there is none */
export function freeHops(hops: HopTable, first: number, last: number): void {
	if (first !== 0) giveBackAll(hops, first, last);
}
