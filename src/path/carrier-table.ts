import { giveBack, makeRecords, take } from "./records.js";

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
	/** Fingerprint, two signed words. */
	keyA = 14,
	keyB = 15,
}
const SIZE = 16; /* one cache line */

/**
 * One skb's life on one node: which pointer, which packet, where it was seen last, and whose path it carries.
 *
 *     buckets  [ 0 | 7 | 0 | 3 ]        hash of (source, pointer) → newest carrier of the bucket
 *     chain      7 → 2 → 0              by `next`
 *     of a path: PathTable.carrier → by `sibling` → … → 0
 *
 * A pointer alone identifies nothing: a flood of 650,000 packets used two. There is at most one carrier for a pointer;
 * whoever finds another packet under it takes it away from its path.
 */
export type CarrierTable = ReturnType<typeof makeCarrierTable>;

/** @param capacity carriers for which there is room from the start, a power of two */
export function makeCarrierTable(capacity: number) {
	const records = makeRecords(SIZE, CarrierAt.next, capacity);
	const index = { buckets: new Uint32Array(capacity * 2) };
	let mask = capacity * 2 - 1;
	return Object.assign(records, { find, likely, add, remove });

	/** 0: none. */
	function find(source: number, low: number, high: number): number {
		let id = index.buckets[bucketOf(source, low, high)] as number;
		while (id !== 0) {
			if (
				records.words[id | CarrierAt.low] === low &&
				records.words[id | CarrierAt.high] === high &&
				records.words[id | CarrierAt.source] === source
			)
				return id;
			id = records.words[id | CarrierAt.next] as number;
		}
		return 0;
	}

	/** The newest carrier of the bucket: the one, or another. */
	function likely(source: number, low: number, high: number): number {
		return index.buckets[bucketOf(source, low, high)] as number;
	}

	/** A new carrier for a pointer that has none; the caller sets what is not a parameter, `sibling` included. */
	function add(source: number, low: number, high: number): number {
		const before = records.capacity;
		const id = take(records);
		if (records.capacity !== before) enlarge(id);
		records.words[id | CarrierAt.source] = source;
		records.words[id | CarrierAt.low] = low;
		records.words[id | CarrierAt.high] = high;
		chain(id, bucketOf(source, low, high));
		return id;
	}

	/** Forgets the pointer. Unlinking from the path is the caller's. */
	function remove(id: number): void {
		const bucket = bucketAt(id);
		let at = index.buckets[bucket] as number;
		if (at === id) index.buckets[bucket] = records.words[id | CarrierAt.next] as number;
		else {
			while (records.words[at | CarrierAt.next] !== id) at = records.words[at | CarrierAt.next] as number;
			records.words[at | CarrierAt.next] = records.words[id | CarrierAt.next] as number;
		}
		giveBack(records, id);
	}

	function chain(id: number, bucket: number): void {
		records.words[id | CarrierAt.next] = index.buckets[bucket] as number;
		index.buckets[bucket] = id;
	}

	function bucketAt(id: number): number {
		return bucketOf(
			records.words[id | CarrierAt.source] as number,
			records.words[id | CarrierAt.low] as number,
			records.words[id | CarrierAt.high] as number,
		);
	}

	function bucketOf(source: number, low: number, high: number): number {
		const mixed = Math.imul(low ^ (low >>> 16) ^ (source << 7), 0x7feb352d) ^ high;
		return (mixed ^ (mixed >>> 15)) & mask;
	}

	/** All were in use before `newest` was taken: the chains are made anew, of all that there were. */
	function enlarge(newest: number): void {
		index.buckets = new Uint32Array(records.capacity * 2);
		mask = records.capacity * 2 - 1;
		for (let id = SIZE; id < newest; id += SIZE) chain(id, bucketAt(id));
	}
}
