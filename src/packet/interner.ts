/** Words of an address; slots of an empty index. */
const ADDRESS = 4;
const FIRST_SLOTS = 256;

/**
 * Interns keys, one or two addresses and two more words, into dense ids 1…capacity over typed arrays: a look-up allocates
 * nothing. Open addressing with linear probing, at most half full; the index grows with what is used, so that few keys
 * stay in the processor's cache.
 *
 *     index     [ ·  · | hash 3 | · · | hash 1 | … ]        slot = hash & mask: the hash and the id, id 0 is empty
 *     entries   [ –––– | addresses, a, b, epoch, hash | … ]   that of id n starts at n × stride
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
	/** The words of all keys, in order: addresses, a, b. Read only. */
	readonly entries: Uint32Array;
	/** From one id's entry to the next. */
	readonly stride: number;
	readonly #addressWords: number;
	/** Offset of the epoch in which an id was last interned or kept; 0: the id is free. */
	readonly #touched: number;
	#index = new Uint32Array(FIRST_SLOTS * 2);
	#mask = FIRST_SLOTS - 1;
	/** Random and odd: whoever sends packets cannot choose keys that collide. */
	readonly #multipliers: Int32Array;
	readonly #free: Uint32Array;
	#freeCount = 0;
	/** Ids above it were never handed out. */
	#highest = 0;
	#used = 0;
	#epoch = 1;
	/** What the last look-up found, in this epoch; 0: unknown. Neighbouring rows are mostly of one flow. */
	#latest = 0;

	/** @param addresses in a key  @param capacity ids at the most; a power of two */
	constructor(addresses: 1 | 2, capacity: number) {
		if (capacity < 1 || capacity > 2 ** 24 || (capacity & (capacity - 1)) !== 0) {
			throw new RangeError(`capacity ${capacity} is not a power of two up to 2^24`);
		}
		this.capacity = capacity;
		this.#addressWords = addresses * ADDRESS;
		this.#touched = this.#addressWords + 2;
		this.stride = this.#addressWords + 4;
		this.entries = new Uint32Array((capacity + 1) * this.stride);
		this.#free = new Uint32Array(capacity);
		this.#multipliers = crypto.getRandomValues(new Int32Array(10)).map((n) => n | 1);
	}

	/** Ids in use. */
	get used(): number {
		return this.#used;
	}

	/** Seven eighths are in use: time for the owner to `retire`. */
	get crowded(): boolean {
		return this.#used >= this.capacity - (this.capacity >>> 3);
	}

	/** The id of the addresses at words[at…] with a and b, new if need be; 0 when there is no room. */
	intern(words: Uint32Array, at: number, a: number, b: number): number {
		if (this.#latest !== 0 && this.#equals(this.#latest, words, at, a, b)) return this.#latest;
		const hash = this.#hash(words, at, a, b);
		let slot = hash & this.#mask;
		for (;;) {
			const id = this.#index[slot * 2 + 1] as number;
			if (id === 0) return this.#add(words, at, a, b, hash, slot);
			if (this.#index[slot * 2] === hash && this.#equals(id, words, at, a, b)) {
				this.entries[id * this.stride + this.#touched] = this.#epoch;
				this.#latest = id;
				return id;
			}
			slot = (slot + 1) & this.#mask;
		}
	}

	has(id: number): boolean {
		return id > 0 && id <= this.capacity && this.entries[id * this.stride + this.#touched] !== 0;
	}

	/** The current epoch. */
	get epoch(): number {
		return this.#epoch;
	}

	/** Starts a new epoch and returns it. */
	tick(): number {
		this.#latest = 0;
		return ++this.#epoch;
	}

	/** Says that `id` is in use now, as if it had been interned again. */
	keep(id: number): void {
		if (this.has(id)) this.entries[id * this.stride + this.#touched] = this.#epoch;
	}

	/**
	 * Frees the ids that were neither interned nor kept since `epoch` began; each is told to `onFreed` first, for those
	 * who index by id. Returns how many. Takes milliseconds for 2^17 ids: call it when `crowded`, not per batch.
	 */
	retire(epoch: number, onFreed?: (id: number) => void): number {
		let freed = 0;
		for (let id = this.#highest; id > 0; id--) {
			const touched = this.entries[id * this.stride + this.#touched] as number;
			if (touched === 0 || touched >= epoch) continue;
			onFreed?.(id);
			this.entries[id * this.stride + this.#touched] = 0;
			this.#free[this.#freeCount++] = id;
			freed++;
		}
		this.#used -= freed;
		this.#latest = 0;
		if (freed > 0) this.#rebuildIndex(this.#mask + 1);
		return freed;
	}

	#add(words: Uint32Array, at: number, a: number, b: number, hash: number, slot: number): number {
		let id: number;
		if (this.#freeCount > 0) id = this.#free[--this.#freeCount] as number;
		else if (this.#highest < this.capacity) id = ++this.#highest;
		else return 0;
		const entry = id * this.stride;
		for (let i = 0; i < this.#addressWords; i++) this.entries[entry + i] = words[at + i] as number;
		this.entries[entry + this.#addressWords] = a;
		this.entries[entry + this.#addressWords + 1] = b;
		this.entries[entry + this.#touched] = this.#epoch;
		this.entries[entry + this.#touched + 1] = hash;
		this.#index[slot * 2] = hash;
		this.#index[slot * 2 + 1] = id;
		this.#used++;
		this.#latest = id;
		if (this.#used * 2 > this.#mask) this.#rebuildIndex((this.#mask + 1) * 2);
		return id;
	}

	#equals(id: number, words: Uint32Array, at: number, a: number, b: number): boolean {
		const { entries } = this;
		const entry = Math.imul(id, this.stride);
		const end = entry + this.#addressWords;
		if (entries[end] !== a || entries[end | 1] !== b || !isSameAddress(entries, entry, words, at)) return false;
		return this.#addressWords === ADDRESS || isSameAddress(entries, entry + ADDRESS, words, at + ADDRESS);
	}

	/** Multilinear, so that the multiplications do not wait for each other; folded first, as products only carry up. */
	#hash(words: Uint32Array, at: number, a: number, b: number): number {
		const m = this.#multipliers;
		let hash = (Math.imul(fold(a), m[8] as number) + Math.imul(fold(b), m[9] as number)) | 0;
		for (let i = 0; i < this.#addressWords; i += ADDRESS) {
			hash =
				(hash +
					Math.imul(fold(words[at + i] as number), m[i] as number) +
					Math.imul(fold(words[at + i + 1] as number), m[i + 1] as number) +
					Math.imul(fold(words[at + i + 2] as number), m[i + 2] as number) +
					Math.imul(fold(words[at + i + 3] as number), m[i + 3] as number)) |
				0;
		}
		hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
		return (hash ^ (hash >>> 15)) >>> 0;
	}

	#rebuildIndex(slots: number): void {
		const index = new Uint32Array(slots * 2);
		const mask = slots - 1;
		for (let id = 1; id <= this.#highest; id++) {
			const entry = id * this.stride;
			if (this.entries[entry + this.#touched] === 0) continue;
			const hash = this.entries[entry + this.#touched + 1] as number;
			let slot = hash & mask;
			while (index[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
			index[slot * 2] = hash;
			index[slot * 2 + 1] = id;
		}
		this.#index = index;
		this.#mask = mask;
	}
}

/** Last words first: that is where IPv4 addresses differ. @param i a multiple of 4, as entries begin */
function isSameAddress(entries: Uint32Array, i: number, words: Uint32Array, at: number): boolean {
	return (
		entries[i | 3] === words[at + 3] &&
		entries[i | 2] === words[at + 2] &&
		entries[i | 1] === words[at + 1] &&
		entries[i] === words[at]
	);
}

function fold(word: number): number {
	return word ^ (word >>> 15);
}
