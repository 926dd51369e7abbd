/**
 * Records of one size side by side in one block of memory. The members of a record share cache lines and one bound to be
 * checked against, where columns have a line and a bound each.
 *
 *     id = 2 · size          words[id | n]            the record's nth word
 *                            signed[id | n]           the same, signed
 *                            doubles[(id >> 1) | n]   the record's nth double
 *
 * An id is where its record begins, in words; 0 is no record. The size is a power of two: or-ing cannot overflow, so that
 * no check of V8's stands before the one for the bound. What was given back last is taken next: it is in the cache.
 */
export class Records {
	/** All three are the same memory. */
	words: Uint32Array<ArrayBuffer>;
	signed: Int32Array<ArrayBuffer>;
	doubles: Float64Array<ArrayBuffer>;
	/** Words of a record: a power of two. */
	readonly size: number;
	/** Records for which there is room. */
	capacity: number;
	/** The word that names the next free record, in one that is free. */
	readonly #link: number;
	readonly #limit: number;
	#free = 0;
	#last = 0;

	/** @param limit records at the most */
	constructor(size: number, link: number, capacity: number, limit = Number.POSITIVE_INFINITY) {
		this.size = size;
		this.#link = link;
		this.#limit = limit;
		this.capacity = Math.min(capacity, limit);
		this.words = new Uint32Array((this.capacity + 1) * size);
		this.signed = new Int32Array(this.words.buffer);
		this.doubles = new Float64Array(this.words.buffer);
	}

	/** The highest id that there is room for. */
	get highest(): number {
		return this.capacity * this.size;
	}

	/** Most that were in use at once. */
	get ever(): number {
		return this.#last / this.size;
	}

	/** All that may be are in use. */
	get full(): boolean {
		return this.#free === 0 && this.#last === this.#limit * this.size;
	}

	/** A record with whatever was in it; 0 when full. */
	protected take(): number {
		const id = this.#free;
		if (id === 0) return this.#takeNew();
		this.#free = this.words[id | this.#link] as number;
		return id;
	}

	#takeNew(): number {
		if (this.full) return 0;
		if (this.#last === this.highest) this.grow();
		this.#last += this.size;
		return this.#last;
	}

	protected giveBack(id: number): void {
		this.words[id | this.#link] = this.#free;
		this.#free = id;
	}

	/** Records that are linked already, in order. */
	protected giveBackAll(first: number, last: number): void {
		this.words[last | this.#link] = this.#free;
		this.#free = first;
	}

	/** Called when every record is in use. */
	protected grow(): void {
		const { words } = this;
		const capacity = Math.min(this.capacity * 2, this.#limit);
		this.capacity = capacity;
		this.words = new Uint32Array((capacity + 1) * this.size);
		this.words.set(words);
		this.signed = new Int32Array(this.words.buffer);
		this.doubles = new Float64Array(this.words.buffer);
	}
}
