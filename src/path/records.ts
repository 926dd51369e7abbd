import { alignedWords } from "../packet/lines.js";

/** Where the fields of a packet stand behind its place in a record. */
export const enum PacketAt {
	ipId = 0,
	sequence = 1,
	payload = 2,
	acknowledgement = 3,
	tsval = 4,
	/** TCP flags | window << 8. */
	shape = 5,
	hash = 6,
}

/**
 * Records of one size side by side in one block of memory. The members of a record share cache lines and one bound to be
 * checked against, where columns have a line and a bound each.
 *
 *     id = 2 · size          words[id | n]            the record's nth word
 *                            doubles[(id >> 1) | n]   the record's nth double
 *                            more[(id >> 1) | n]      the nth word of what few need: half as many, elsewhere
 *
 * An id is where its record begins, in words; 0 is no record. The size is a power of two: or-ing cannot overflow, so that
 * no check of V8's stands before the one for the bound. What was given back last is taken next: it is in the cache.
 */
export interface Records {
	/** Both are the same memory; so are the other two. */
	words: Uint32Array<ArrayBuffer>;
	doubles: Float64Array<ArrayBuffer>;
	more: Uint32Array<ArrayBuffer>;
	moreSigned: Int32Array<ArrayBuffer>;
	/** Words of a record: a power of two. */
	readonly size: number;
	/** Records for which there is room. */
	capacity: number;
	/** The highest id that was ever taken; 0: none. */
	last: number;
	/** The next one to be taken of those that were given back; 0: there is none. */
	free: number;
	readonly limit: number;
	readonly link: number;
}

/**
 * @param link the word that names the next free record, in one that is free
 * @param capacity records for which there is room from the start: memory is taken when it is used first
 * @param limit records at the most
 * @param more false: nobody needs it
 */
export function makeRecords(
	size: number,
	link: number,
	capacity: number,
	{ limit = Number.POSITIVE_INFINITY, more = true } = {},
): Records {
	const room = Math.min(capacity, limit);
	const words = (room + 1) * size;
	return {
		...views(alignedWords(words), alignedWords(more ? words / 2 : 0)),
		size,
		capacity: room,
		last: 0,
		free: 0,
		limit,
		link,
	};
}

/** All that may be are in use. */
export function isFull(records: Records): boolean {
	return records.free === 0 && records.last === records.limit * records.size;
}

/** A record with whatever was in it; 0 when full. */
export function take(records: Records): number {
	const id = records.free;
	if (id === 0) return takeNew(records);
	records.free = records.words[id | records.link] as number;
	return id;
}

export function giveBack(records: Records, id: number): void {
	records.words[id | records.link] = records.free;
	records.free = id;
}

/** Records that are linked already, in order. */
export function giveBackAll(records: Records, first: number, last: number): void {
	records.words[last | records.link] = records.free;
	records.free = first;
}

function takeNew(records: Records): number {
	if (isFull(records)) return 0;
	if (records.last === records.capacity * records.size) grow(records);
	records.last += records.size;
	return records.last;
}

function grow(records: Records): void {
	const { words, more } = records;
	const capacity = Math.min(records.capacity * 2, records.limit);
	records.capacity = capacity;
	const larger = alignedWords((capacity + 1) * records.size);
	larger.set(words);
	const muchMore = alignedWords(more.length === 0 ? 0 : larger.length / 2);
	muchMore.set(more);
	Object.assign(records, views(larger, muchMore));
}

type Views = Pick<Records, "words" | "doubles" | "more" | "moreSigned">;

function views(words: Uint32Array<ArrayBuffer>, more: Uint32Array<ArrayBuffer>): Views {
	const { buffer, byteOffset, length } = words;
	return {
		words,
		doubles: new Float64Array(buffer, byteOffset, length / 2),
		more,
		moreSigned: new Int32Array(more.buffer, more.byteOffset, more.length),
	};
}
