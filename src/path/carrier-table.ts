import { Records } from "./records.js";

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
export class CarrierTable extends Records {
	#buckets: Uint32Array;
	#mask: number;

	constructor(capacity: number) {
		super(SIZE, CarrierAt.next, capacity);
		this.#buckets = new Uint32Array(capacity * 2);
		this.#mask = capacity * 2 - 1;
	}

	/** 0: none. */
	find(source: number, low: number, high: number): number {
		let id = this.#buckets[this.#bucket(source, low, high)] as number;
		while (id !== 0) {
			if (
				this.words[id | CarrierAt.low] === low &&
				this.words[id | CarrierAt.high] === high &&
				this.words[id | CarrierAt.source] === source
			)
				return id;
			id = this.words[id | CarrierAt.next] as number;
		}
		return 0;
	}

	/** The newest carrier of the bucket: the one, or another. */
	likely(source: number, low: number, high: number): number {
		return this.#buckets[this.#bucket(source, low, high)] as number;
	}

	/** A new carrier for a pointer that has none; the caller sets what is not a parameter, `sibling` included. */
	add(source: number, low: number, high: number): number {
		const id = this.take();
		this.words[id | CarrierAt.source] = source;
		this.words[id | CarrierAt.low] = low;
		this.words[id | CarrierAt.high] = high;
		const bucket = this.#bucket(source, low, high);
		this.words[id | CarrierAt.next] = this.#buckets[bucket] as number;
		this.#buckets[bucket] = id;
		return id;
	}

	/** Forgets the pointer. Unlinking from the path is the caller's. */
	free(id: number): void {
		const bucket = this.#bucket(
			this.words[id | CarrierAt.source] as number,
			this.words[id | CarrierAt.low] as number,
			this.words[id | CarrierAt.high] as number,
		);
		let at = this.#buckets[bucket] as number;
		if (at === id) this.#buckets[bucket] = this.words[id | CarrierAt.next] as number;
		else {
			while (this.words[at | CarrierAt.next] !== id) at = this.words[at | CarrierAt.next] as number;
			this.words[at | CarrierAt.next] = this.words[id | CarrierAt.next] as number;
		}
		this.giveBack(id);
	}

	#bucket(source: number, low: number, high: number): number {
		const mixed = Math.imul(low ^ (low >>> 16) ^ (source << 7), 0x7feb352d) ^ high;
		return (mixed ^ (mixed >>> 15)) & this.#mask;
	}

	/** The chains are made anew, of all ids that there were. */
	protected override grow(): void {
		const last = this.highest;
		super.grow();
		this.#buckets = new Uint32Array(this.capacity * 2);
		this.#mask = this.capacity * 2 - 1;
		for (let id = SIZE; id <= last; id += SIZE) {
			const bucket = this.#bucket(
				this.words[id | CarrierAt.source] as number,
				this.words[id | CarrierAt.low] as number,
				this.words[id | CarrierAt.high] as number,
			);
			this.words[id | CarrierAt.next] = this.#buckets[bucket] as number;
			this.#buckets[bucket] = id;
		}
	}
}
