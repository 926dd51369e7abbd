/**
 * Interns keys of a fixed number of 32-bit words into dense ids 1…capacity, over typed arrays: nothing is allocated
 * after construction. Open addressing with linear probing, at most half full.
 *
 *     index   [ ·  3  ·  ·  1  2  ·  · ]     slot = hash & mask; holds an id, 0 is empty
 *     keys    [ –––– | key 1 | key 2 | key 3 | … ]     id × width
 *
 * The law of ids, on which whoever holds one relies:
 *   1. While an id is in use, equal keys have equal ids and different keys different ones.
 *   2. An id changes its meaning only through `retire(epoch)`, which frees the ids that were neither interned nor
 *      `keep`ed since that epoch began. So an owner that keeps (or has met in a row) every id it holds, and retires
 *      nothing younger than its oldest unread row, never sees an id reinterpreted.
 *   3. Without room there is no id: `intern` answers 0, and the caller counts what it could not name.
 */
export class Interner {
	readonly capacity: number;
	/** Words of all keys: that of id n starts at n × width. Read only. */
	readonly keys: Uint32Array;
	readonly #width: number;
	readonly #index: Uint32Array;
	readonly #mask: number;
	readonly #hashes: Uint32Array;
	/** The epoch in which the id was last interned or kept; 0: free. */
	readonly #touched: Uint32Array;
	/** Random and odd: whoever sends packets cannot choose tuples that collide. */
	readonly #multipliers: Int32Array;
	readonly #free: Uint32Array;
	#freeCount = 0;
	/** Ids above it were never handed out. */
	#highest = 0;
	#used = 0;
	#epoch = 1;

	/** @param width 32-bit words of a key  @param capacity ids at the most; a power of two */
	constructor(width: number, capacity: number) {
		if (capacity < 1 || capacity > 2 ** 24 || (capacity & (capacity - 1)) !== 0) {
			throw new RangeError(`capacity ${capacity} is not a power of two up to 2^24`);
		}
		this.capacity = capacity;
		this.#width = width;
		this.keys = new Uint32Array((capacity + 1) * width);
		this.#index = new Uint32Array(capacity * 2);
		this.#mask = capacity * 2 - 1;
		this.#hashes = new Uint32Array(capacity + 1);
		this.#touched = new Uint32Array(capacity + 1);
		this.#free = new Uint32Array(capacity);
		this.#multipliers = crypto.getRandomValues(new Int32Array(width)).map((n) => n | 1);
	}

	/** Ids in use. */
	get used(): number {
		return this.#used;
	}

	/** Seven eighths are in use: time for the owner to `retire`. */
	get crowded(): boolean {
		return this.#used >= this.capacity - (this.capacity >>> 3);
	}

	/** The id of the key at words[at…at + width), new if need be; 0 when there is no room. */
	intern(words: Uint32Array, at: number): number {
		const hash = this.#hash(words, at);
		let slot = hash & this.#mask;
		for (;;) {
			const id = this.#index[slot] as number;
			if (id === 0) return this.#add(words, at, hash, slot);
			if (this.#hashes[id] === hash && this.#equals(id, words, at)) {
				this.#touched[id] = this.#epoch;
				return id;
			}
			slot = (slot + 1) & this.#mask;
		}
	}

	/** Like `intern`, but a key that is not there stays so: 0. */
	find(words: Uint32Array, at: number): number {
		const hash = this.#hash(words, at);
		let slot = hash & this.#mask;
		for (;;) {
			const id = this.#index[slot] as number;
			if (id === 0) return 0;
			if (this.#hashes[id] === hash && this.#equals(id, words, at)) return id;
			slot = (slot + 1) & this.#mask;
		}
	}

	has(id: number): boolean {
		return id > 0 && id <= this.capacity && this.#touched[id] !== 0;
	}

	/** Starts a new epoch and returns it. */
	tick(): number {
		this.#epoch++;
		return this.#epoch;
	}

	/** The current epoch. */
	get epoch(): number {
		return this.#epoch;
	}

	/** Says that `id` is in use now, as if it had been interned again. */
	keep(id: number): void {
		if (this.has(id)) this.#touched[id] = this.#epoch;
	}

	/**
	 * Frees the ids that were neither interned nor kept since `epoch` began; each is told to `onFreed` first, for those
	 * who index by id. Returns how many. Takes about a millisecond for 2^17 ids: call it when `crowded`, not per batch.
	 */
	retire(epoch: number, onFreed?: (id: number) => void): number {
		let freed = 0;
		for (let id = this.#highest; id > 0; id--) {
			const touched = this.#touched[id] as number;
			if (touched === 0 || touched >= epoch) continue;
			onFreed?.(id);
			this.#touched[id] = 0;
			this.#free[this.#freeCount++] = id;
			freed++;
		}
		this.#used -= freed;
		if (freed > 0) this.#rebuildIndex();
		return freed;
	}

	#add(words: Uint32Array, at: number, hash: number, slot: number): number {
		let id: number;
		if (this.#freeCount > 0) id = this.#free[--this.#freeCount] as number;
		else if (this.#highest < this.capacity) id = ++this.#highest;
		else return 0;
		const start = id * this.#width;
		for (let i = 0; i < this.#width; i++) this.keys[start + i] = words[at + i] as number;
		this.#hashes[id] = hash;
		this.#touched[id] = this.#epoch;
		this.#index[slot] = id;
		this.#used++;
		return id;
	}

	#equals(id: number, words: Uint32Array, at: number): boolean {
		const start = id * this.#width;
		for (let i = 0; i < this.#width; i++) {
			if (this.keys[start + i] !== words[at + i]) return false;
		}
		return true;
	}

	/** Multilinear, so that the multiplications do not wait for each other; folded first, as products only carry up. */
	#hash(words: Uint32Array, at: number): number {
		let hash = 0;
		for (let i = 0; i < this.#width; i++) {
			const word = words[at + i] as number;
			hash = (hash + Math.imul(word ^ (word >>> 15), this.#multipliers[i] as number)) | 0;
		}
		hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
		return (hash ^ (hash >>> 15)) >>> 0;
	}

	#rebuildIndex(): void {
		this.#index.fill(0);
		for (let id = 1; id <= this.#highest; id++) {
			if (this.#touched[id] === 0) continue;
			let slot = (this.#hashes[id] as number) & this.#mask;
			while (this.#index[slot] !== 0) slot = (slot + 1) & this.#mask;
			this.#index[slot] = id;
		}
	}
}
