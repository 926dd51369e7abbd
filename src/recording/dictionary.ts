import { Interner } from "../packet/interner.js";
import { MAX_ROWS } from "./rows.js";

/**
 * Tuples and outer headers are written once and then named by a number of the file's own, as the ids of a live table
 * change their meaning in time. A dictionary block says "from number n on: these"; a number that is said again means the
 * new entry from there on.
 *
 *     u32 first, u32 count, count × { addresses as on the wire (16 bytes each), u32 …, u32 … }
 */

const HEAD_WORDS = 2;

/** Entries of a file's dictionary at the most: one batch always fits. */
const CAPACITY = MAX_ROWS;

/** A live table, seen from here. */
export interface LiveTable {
	readonly capacity: number;
	/** Words of an id's key, for `internRaw`. */
	copyRaw(id: number, to: Uint32Array, at: number): void;
}

/** What is done to the words of an entry before it is written. */
export type Rewrite = (words: Uint32Array, at: number) => void;

/** Live ids → numbers of the file, and the dictionary blocks that explain them. */
export class DictionaryWriter {
	readonly #table: LiveTable;
	readonly #addresses: 1 | 2;
	readonly #words: number;
	readonly #rewrite: Rewrite | null;
	#interner: Interner;
	/** Of live ids, valid where #batchOf is the current batch. */
	readonly #numbers: Uint32Array;
	readonly #batchOf: Uint32Array;
	#batch = 0;
	#described = 0;
	readonly #key: Uint32Array;

	/** @param words of an entry: those of its addresses and one or two more */
	constructor(table: LiveTable, addresses: 1 | 2, words: number, rewrite: Rewrite | null) {
		this.#table = table;
		this.#addresses = addresses;
		this.#words = words;
		this.#rewrite = rewrite;
		this.#interner = new Interner(addresses, CAPACITY);
		this.#numbers = new Uint32Array(table.capacity + 1);
		this.#batchOf = new Uint32Array(table.capacity + 1);
		this.#key = new Uint32Array(addresses * 4 + 2);
	}

	/** The file's numbers of `count` live ids; 0 stays 0. */
	number(ids: Uint32Array, count: number): Uint32Array {
		const numbers = new Uint32Array(count);
		if (this.#interner.capacity - this.#interner.used < count) this.#startAnew();
		this.#batch++;
		for (let i = 0; i < count; i++) {
			const id = ids[i] as number;
			if (id === 0) continue;
			if (this.#batchOf[id] !== this.#batch) {
				this.#batchOf[id] = this.#batch;
				this.#numbers[id] = this.#numberOf(id);
			}
			numbers[i] = this.#numbers[id] as number;
		}
		return numbers;
	}

	/** The block that explains what `number` returned first since the last call; null: nothing new. */
	describe(): Uint8Array | null {
		const count = this.#interner.used - this.#described;
		if (count === 0) return null;
		const block = new Uint32Array(HEAD_WORDS + count * this.#words);
		block[0] = this.#described + 1;
		block[1] = count;
		for (let i = 0; i < count; i++) {
			const entry = (this.#described + 1 + i) * this.#interner.stride;
			const at = HEAD_WORDS + i * this.#words;
			block.set(this.#interner.entries.subarray(entry, entry + this.#words), at);
			this.#rewrite?.(block, at);
		}
		this.#described = this.#interner.used;
		return new Uint8Array(block.buffer);
	}

	#numberOf(id: number): number {
		const key = this.#key;
		this.#table.copyRaw(id, key, 0);
		const extra = this.#addresses * 4;
		return this.#interner.intern(key, 0, key[extra] as number, key[extra + 1] as number);
	}

	#startAnew(): void {
		this.#interner = new Interner(this.#addresses, CAPACITY);
		this.#described = 0;
	}
}

/** Numbers of a file → ids of a live table. */
export class DictionaryReader {
	readonly #words: number;
	readonly #intern: (words: Uint32Array, at: number) => number;
	#entries: Uint32Array;
	/** Entries [1, known] were explained. */
	#known = 0;
	/** Of numbers, valid where #batchOf is the current batch: between batches the owner may retire ids. */
	#ids: Uint32Array;
	#batchOf: Uint32Array;
	#batch = 0;

	/** @param intern the words of an entry → an id; 0: no room */
	constructor(words: number, intern: (words: Uint32Array, at: number) => number) {
		this.#words = words;
		this.#intern = intern;
		this.#entries = new Uint32Array(words * 256);
		this.#ids = new Uint32Array(256);
		this.#batchOf = new Uint32Array(256);
	}

	/** Learns a dictionary block. @throws RangeError when it contradicts itself or leaves a gap */
	learn(body: Uint8Array): void {
		if (body.byteLength < HEAD_WORDS * 4 || body.byteLength % 4 !== 0) throw new RangeError("not whole words");
		const block = new Uint32Array(body.buffer, body.byteOffset, body.byteLength / 4);
		const first = block[0] as number;
		const count = block[1] as number;
		if (block.length !== HEAD_WORDS + count * this.#words) throw new RangeError("not as many entries as it says");
		if (first < 1 || first > this.#known + 1 || first + count > CAPACITY + 1)
			throw new RangeError(`starts at ${first}`);
		this.#grow(first + count);
		this.#entries.set(block.subarray(HEAD_WORDS), first * this.#words);
		this.#known = Math.max(this.#known, first + count - 1);
		this.#batch++;
	}

	/** Replaces the numbers in a column by ids; returns how many rows found no room and have id 0 now. */
	resolve(column: Uint32Array, count: number): number {
		let refused = 0;
		this.#batch++;
		for (let i = 0; i < count; i++) {
			const number = column[i] as number;
			if (number === 0) continue;
			if (number > this.#known) throw new RangeError(`entry ${number} was never explained`);
			if (this.#batchOf[number] !== this.#batch) {
				this.#batchOf[number] = this.#batch;
				this.#ids[number] = this.#intern(this.#entries, number * this.#words);
			}
			const id = this.#ids[number] as number;
			column[i] = id;
			if (id === 0) refused++;
		}
		return refused;
	}

	#grow(entries: number): void {
		if (entries <= this.#ids.length) return;
		const length = 2 ** Math.ceil(Math.log2(entries));
		this.#entries = enlarged(this.#entries, length * this.#words);
		this.#ids = enlarged(this.#ids, length);
		this.#batchOf = enlarged(this.#batchOf, length);
	}
}

function enlarged(old: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
	const larger = new Uint32Array(length);
	larger.set(old);
	return larger;
}
