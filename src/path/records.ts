/**
 * Records of one size side by side in one block of memory. The members of a record share cache lines and one bound to be
 * checked against, where columns have a line and a bound each.
 *
 *     id = 2 · size          words[id | n]            the record's nth word
 *                            signed[id | n]           the same, signed
 *                            doubles[(id >> 1) | n]   the record's nth double
 *
 * An id is where its record begins, in words; 0 is no record. The size is a power of two: or-ing cannot overflow, so that
 * no check of V8's stands before the one for the bound.
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

	constructor(size: number, capacity: number) {
		this.size = size;
		this.capacity = capacity;
		this.words = new Uint32Array((capacity + 1) * size);
		this.signed = new Int32Array(this.words.buffer);
		this.doubles = new Float64Array(this.words.buffer);
	}

	/** The highest id that there is room for. */
	get highest(): number {
		return this.capacity * this.size;
	}

	grow(capacity: number): void {
		const { words } = this;
		this.capacity = capacity;
		this.words = new Uint32Array((capacity + 1) * this.size);
		this.words.set(words);
		this.signed = new Int32Array(this.words.buffer);
		this.doubles = new Float64Array(this.words.buffer);
	}
}
