import { CarrierAt, type CarrierTable } from "./carrier-table.js";
import { giveBack, take } from "./records.js";

/** A power of two. So few that they stay in the cache; chains are short enough until there are FULL carriers for each. */
const FIRST_BUCKETS = 2 ** 13;
const FULL = 4;

/**
 * Carriers by pointer.
 *
 *     buckets  [ 0 | 7 | 0 | 3 ]        hash of (source, pointer) → newest carrier of the bucket
 *     chain      7 → 2 → 0              by `next`
 *     of a path: PathTable.carrier → by `sibling` → … → 0
 *
 * A pointer alone identifies nothing: a flood of 650,000 packets used two. There is at most one carrier for a pointer;
 * whoever finds another packet under it takes it away from its path.
 */
export type PointerIndex = ReturnType<typeof makePointerIndex>;

export function makePointerIndex(carriers: CarrierTable) {
	const index = { buckets: new Uint32Array(FIRST_BUCKETS), mostIds: FIRST_BUCKETS * FULL * carriers.size };
	return { find, likely, add, remove };

	/** 0: none. */
	function find(source: number, low: number, high: number): number {
		let id = index.buckets[bucketOf(source, low, high)] as number;
		while (id !== 0) {
			if (
				carriers.words[id | CarrierAt.low] === low &&
				carriers.words[id | CarrierAt.high] === high &&
				carriers.words[id | CarrierAt.source] === source
			)
				return id;
			id = carriers.words[id | CarrierAt.next] as number;
		}
		return 0;
	}

	/** The newest carrier of the bucket: the one, or another. */
	function likely(source: number, low: number, high: number): number {
		return index.buckets[bucketOf(source, low, high)] as number;
	}

	/** A new carrier for a pointer that has none; the caller sets what is not a parameter, `sibling` included. */
	function add(source: number, low: number, high: number): number {
		const id = take(carriers);
		if (id > index.mostIds) enlarge(id);
		carriers.words[id | CarrierAt.source] = source;
		carriers.words[id | CarrierAt.low] = low;
		carriers.words[id | CarrierAt.high] = high;
		chain(id, bucketOf(source, low, high));
		return id;
	}

	/** Forgets the pointer. Unlinking from the path is the caller's. */
	function remove(id: number): void {
		const bucket = bucketAt(id);
		let at = index.buckets[bucket] as number;
		if (at === id) index.buckets[bucket] = carriers.words[id | CarrierAt.next] as number;
		else {
			while (carriers.words[at | CarrierAt.next] !== id) at = carriers.words[at | CarrierAt.next] as number;
			carriers.words[at | CarrierAt.next] = carriers.words[id | CarrierAt.next] as number;
		}
		giveBack(carriers, id);
	}

	function chain(id: number, bucket: number): void {
		carriers.words[id | CarrierAt.next] = index.buckets[bucket] as number;
		index.buckets[bucket] = id;
	}

	function bucketAt(id: number): number {
		return bucketOf(
			carriers.words[id | CarrierAt.source] as number,
			carriers.words[id | CarrierAt.low] as number,
			carriers.words[id | CarrierAt.high] as number,
		);
	}

	function bucketOf(source: number, low: number, high: number): number {
		const mixed = Math.imul(low ^ (low >>> 16) ^ (source << 7), 0x7feb352d) ^ high;
		return (mixed ^ (mixed >>> 15)) & (index.buckets.length - 1);
	}

	/** All were in use before `newest` was taken: the chains are made anew, of all that there were. */
	function enlarge(newest: number): void {
		index.buckets = new Uint32Array(index.buckets.length * FULL);
		index.mostIds *= FULL;
		for (let id = carriers.size; id < newest; id += carriers.size) chain(id, bucketAt(id));
	}
}
