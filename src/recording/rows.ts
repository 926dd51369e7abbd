import { allocateSightings, COLUMNS } from "../packet/columns.js";
import type { Sightings } from "../packet/sightings.js";

/**
 * The columns of a batch in bytes, little-endian. Each column is a base (its least value) and what every row is above
 * it, in as few bytes as the widest row needs: none when all are equal. Fingerprints stay 4 bytes wide, most others
 * shrink to one or none, and both ways are plain loops over typed arrays.
 *
 *     u32 rows, u16 source, u16 columns
 *     columns × { u8 column, u8 width (0 1 2 4 8), u16 0, u32 offset of the values, f64 base }
 *     values of each column, from its offset, a multiple of 8
 */

type Column = (typeof COLUMNS)[number];

/** Numbers in the file; never given to another column. A column that is absent holds zeros. */
const CODES: Readonly<Record<Column, number>> = {
	time: 1,
	skbLow: 2,
	skbHigh: 3,
	hook: 4,
	tuple: 5,
	outer: 6,
	ingress: 7,
	length: 8,
	sequence: 9,
	acknowledgement: 10,
	tsval: 11,
	ipId: 12,
	payload: 13,
	hash: 14,
	gsoSize: 15,
	segments: 16,
	window: 17,
	flags: 18,
	vlan: 19,
	tcpFlags: 20,
	ttl: 21,
	generation: 22,
	subscribers: 23,
	lost: 24,
};
const COLUMN_OF = new Map(COLUMNS.map((name) => [CODES[name], name]));

/** Rows of a batch at the most. */
export const MAX_ROWS = 2 ** 18;

const HEAD_BYTES = 8;
const ENTRY_BYTES = 16;

type Values = Float64Array | Uint32Array | Uint16Array | Uint8Array;

/** What a block of sightings says. */
export interface DecodedRows {
	readonly source: number;
	readonly rows: Sightings;
}

/** `replaced` columns are written instead of the batch's own. */
export function encodeRows(
	source: number,
	rows: Sightings,
	replaced: Readonly<Partial<Record<Column, Uint32Array>>>,
): Uint8Array {
	const { count } = rows;
	const columns = COLUMNS.map((name) => packed(name, replaced[name] ?? rows[name], count)).filter(
		({ values, base }) => values !== null || base !== 0,
	);
	const head = align(HEAD_BYTES + columns.length * ENTRY_BYTES);
	const bytes = columns.reduce((sum, { values }) => sum + align(values?.byteLength ?? 0), head);
	const body = new Uint8Array(bytes);
	const view = new DataView(body.buffer);
	view.setUint32(0, count, true);
	view.setUint16(4, source, true);
	view.setUint16(6, columns.length, true);
	let offset = head;
	columns.forEach(({ name, base, values }, i) => {
		const entry = HEAD_BYTES + i * ENTRY_BYTES;
		view.setUint8(entry, CODES[name]);
		view.setUint8(entry + 1, values?.BYTES_PER_ELEMENT ?? 0);
		view.setUint32(entry + 4, offset, true);
		view.setFloat64(entry + 8, base, true);
		if (values === null) return;
		body.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
		offset += align(values.byteLength);
	});
	return body;
}

/** @throws RangeError when the bytes contradict themselves */
export function decodeRows(body: Uint8Array): DecodedRows {
	const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
	const count = view.getUint32(0, true);
	const columns = view.getUint16(6, true);
	// A column takes no byte when all its rows are equal: nothing else bounds what is allocated for them.
	if (count > MAX_ROWS) throw new RangeError(`${count} rows are more than a batch can have`);
	const rows = allocateSightings(count);
	for (let i = 0; i < columns; i++) {
		const entry = HEAD_BYTES + i * ENTRY_BYTES;
		const name = COLUMN_OF.get(view.getUint8(entry));
		const width = view.getUint8(entry + 1);
		const offset = view.getUint32(entry + 4, true);
		const base = view.getFloat64(entry + 8, true);
		if (name === undefined) continue; // of a later minor version
		if (width === 0) rows[name].fill(base);
		else unpack(over(body, offset, width, count), base, rows[name]);
	}
	rows.count = count;
	return { source: view.getUint16(4, true), rows };
}

/** A column as it is written; null: every row is `base`. */
interface Packed {
	readonly name: Column;
	readonly base: number;
	readonly values: Values | null;
}

function packed(name: Column, column: Values, count: number): Packed {
	const values = column.subarray(0, count);
	return values instanceof Float64Array ? packedTimes(name, values) : packedIntegers(name, new Uint32Array(values));
}

/*
 * Loops over one type of array are several times as fast as those that meet four: everything passes through a
 * Uint32Array, and the conversions before and after are the engine's own.
 */

function packedIntegers(name: Column, values: Uint32Array): Packed {
	let least = values.length === 0 ? 0 : 0xffffffff;
	let most = 0;
	for (let i = 0; i < values.length; i++) {
		const value = values[i] as number;
		if (value < least) least = value;
		if (value > most) most = value;
	}
	if (most === least) return { name, base: least, values: null };
	if (least > 0) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) - least;
	return { name, base: least, values: narrowed(values, most - least) };
}

/** Whole numbers within 2^32 of each other, which a batch's times are, pack like others; else as they are. */
function packedTimes(name: Column, values: Float64Array): Packed {
	let least = values[0] ?? 0;
	let most = least;
	let whole = true;
	for (let i = 0; i < values.length; i++) {
		const value = values[i] as number;
		if (value < least) least = value;
		if (value > most) most = value;
		if (Math.floor(value) !== value) whole = false;
	}
	if (!whole || most - least >= 2 ** 32) return { name, base: 0, values };
	if (most === least) return { name, base: least, values: null };
	const above = new Uint32Array(values.length);
	for (let i = 0; i < values.length; i++) above[i] = (values[i] as number) - least;
	return { name, base: least, values: narrowed(above, most - least) };
}

function narrowed(values: Uint32Array, most: number): Values {
	if (most < 2 ** 8) return new Uint8Array(values);
	return most < 2 ** 16 ? new Uint16Array(values) : values;
}

function unpack(values: Values, base: number, to: Values): void {
	if (values instanceof Float64Array) {
		to.set(values);
		return;
	}
	const wide = new Uint32Array(values);
	if (to instanceof Float64Array) {
		for (let i = 0; i < wide.length; i++) to[i] = (wide[i] as number) + base;
		return;
	}
	if (base !== 0) for (let i = 0; i < wide.length; i++) wide[i] = (wide[i] as number) + base;
	to.set(wide);
}

/** A view of `width` bytes a row. Typed arrays have the machine's byte order: little on all that weft runs on. */
function over(body: Uint8Array, offset: number, width: number, count: number): Values {
	const at = body.byteOffset + offset;
	if (offset + width * count > body.byteLength) throw new RangeError("a column ends behind its block");
	switch (width) {
		case 1:
			return new Uint8Array(body.buffer, at, count);
		case 2:
			return new Uint16Array(body.buffer, at, count);
		case 4:
			return new Uint32Array(body.buffer, at, count);
		case 8:
			return new Float64Array(body.buffer, at, count);
		default:
			throw new RangeError(`a column is ${width} bytes wide`);
	}
}

function align(bytes: number): number {
	return Math.ceil(bytes / 8) * 8;
}
