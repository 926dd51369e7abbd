import { grown } from "./columns.js";

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
export class CarrierTable {
	capacity: number;
	used = 0;
	next: Uint32Array;
	sibling: Uint32Array;
	low: Uint32Array;
	high: Uint32Array;
	source: Uint16Array;
	path: Uint32Array;
	/** Fingerprint, two words. */
	keyA: Int32Array;
	keyB: Int32Array;
	hook: Uint16Array;
	rank: Uint8Array;
	/** ifindex of the device by which it came in, as the last ingress hook showed it; else what the first egress said. */
	cameBy: Uint32Array;
	tuple: Uint32Array;
	branch: Uint8Array;
	/** 1: carries one path's range exactly; 0: a part, or several (look the range up again). */
	whole: Uint8Array;
	time: Float64Array;
	#buckets: Uint32Array;
	#mask: number;
	#free = 0;
	#highest = 0;

	constructor(capacity: number) {
		this.capacity = capacity;
		const n = capacity + 1;
		this.next = new Uint32Array(n);
		this.sibling = new Uint32Array(n);
		this.low = new Uint32Array(n);
		this.high = new Uint32Array(n);
		this.source = new Uint16Array(n);
		this.path = new Uint32Array(n);
		this.keyA = new Int32Array(n);
		this.keyB = new Int32Array(n);
		this.hook = new Uint16Array(n);
		this.rank = new Uint8Array(n);
		this.cameBy = new Uint32Array(n);
		this.tuple = new Uint32Array(n);
		this.branch = new Uint8Array(n);
		this.whole = new Uint8Array(n);
		this.time = new Float64Array(n);
		this.#buckets = new Uint32Array(capacity * 2);
		this.#mask = capacity * 2 - 1;
	}

	/** 0: none. */
	find(source: number, low: number, high: number): number {
		let id = this.#buckets[this.#bucket(source, low, high)] as number;
		while (id !== 0) {
			if (this.low[id] === low && this.high[id] === high && this.source[id] === source) return id;
			id = this.next[id] as number;
		}
		return 0;
	}

	/** A new carrier for a pointer that has none; the caller sets what is not a parameter, `sibling` included. */
	add(source: number, low: number, high: number): number {
		let id = this.#free;
		if (id !== 0) this.#free = this.next[id] as number;
		else {
			if (this.#highest === this.capacity) this.#grow();
			id = ++this.#highest;
		}
		this.used++;
		this.source[id] = source;
		this.low[id] = low;
		this.high[id] = high;
		const bucket = this.#bucket(source, low, high);
		this.next[id] = this.#buckets[bucket] as number;
		this.#buckets[bucket] = id;
		return id;
	}

	/** Forgets the pointer. Unlinking from the path is the caller's. */
	free(id: number): void {
		const bucket = this.#bucket(this.source[id] as number, this.low[id] as number, this.high[id] as number);
		let at = this.#buckets[bucket] as number;
		if (at === id) this.#buckets[bucket] = this.next[id] as number;
		else {
			while (this.next[at] !== id) at = this.next[at] as number;
			this.next[at] = this.next[id] as number;
		}
		this.used--;
		this.next[id] = this.#free;
		this.#free = id;
	}

	#bucket(source: number, low: number, high: number): number {
		const mixed = Math.imul(low ^ (low >>> 16) ^ (source << 7), 0x7feb352d) ^ high;
		return (mixed ^ (mixed >>> 15)) & this.#mask;
	}

	#grow(): void {
		this.capacity *= 2;
		const n = this.capacity + 1;
		this.next = grown(this.next, n);
		this.sibling = grown(this.sibling, n);
		this.low = grown(this.low, n);
		this.high = grown(this.high, n);
		this.source = grown(this.source, n);
		this.path = grown(this.path, n);
		this.keyA = grown(this.keyA, n);
		this.keyB = grown(this.keyB, n);
		this.hook = grown(this.hook, n);
		this.rank = grown(this.rank, n);
		this.cameBy = grown(this.cameBy, n);
		this.tuple = grown(this.tuple, n);
		this.branch = grown(this.branch, n);
		this.whole = grown(this.whole, n);
		this.time = grown(this.time, n);
		this.#rebuild();
	}

	/** Every id is in use when this is called: the table was full. */
	#rebuild(): void {
		this.#buckets = new Uint32Array(this.capacity * 2);
		this.#mask = this.capacity * 2 - 1;
		for (let id = 1; id <= this.#highest; id++) {
			const bucket = this.#bucket(this.source[id] as number, this.low[id] as number, this.high[id] as number);
			this.next[id] = this.#buckets[bucket] as number;
			this.#buckets[bucket] = id;
		}
	}
}
