import type { Sightings } from "./sightings.js";

type Column = Exclude<keyof Sightings, "count">;
type Constructor = Float64ArrayConstructor | Uint32ArrayConstructor | Uint16ArrayConstructor | Uint8ArrayConstructor;

/**
 * Every column and its element, widest first: so each starts aligned in the one buffer behind a batch.
 *
 *     [ time × capacity | skbLow | … u32 … | hook | … u16 … | tcpFlags | … u8 ]
 */
const LAYOUT = {
	time: Float64Array,
	skbLow: Uint32Array,
	skbHigh: Uint32Array,
	tuple: Uint32Array,
	outer: Uint32Array,
	ingress: Uint32Array,
	length: Uint32Array,
	sequence: Uint32Array,
	acknowledgement: Uint32Array,
	tsval: Uint32Array,
	ipId: Uint32Array,
	payload: Uint32Array,
	hash: Uint32Array,
	subscribers: Uint32Array,
	hook: Uint16Array,
	gsoSize: Uint16Array,
	segments: Uint16Array,
	window: Uint16Array,
	flags: Uint16Array,
	vlan: Uint16Array,
	lost: Uint16Array,
	tcpFlags: Uint8Array,
	ttl: Uint8Array,
	generation: Uint8Array,
} as const satisfies Record<Column, Constructor>;

/** The columns of a batch, in the order in which they lie in its buffer. */
export const COLUMNS = Object.keys(LAYOUT) as readonly Column[];

/** Bytes of one row over all columns. */
export const ROW_BYTES = COLUMNS.reduce((sum, name) => sum + LAYOUT[name].BYTES_PER_ELEMENT, 0);

/** An empty batch for `capacity` rows, over one buffer of its own. */
export function allocateSightings(capacity: number): Sightings {
	return sightingsOver(new ArrayBuffer(bytesFor(capacity)), 0);
}

/** The buffers to transfer with a batch (`postMessage(…, sightingBuffers(rows))`): there is one. */
export function sightingBuffers(rows: Sightings): ArrayBuffer[] {
	return [rows.time.buffer as ArrayBuffer];
}

/** Rows that a batch can hold. */
export function capacityOf(rows: Sightings): number {
	return rows.time.length;
}

/** The views over a buffer that came from `sightingBuffers`, on this thread or another; `count` rows are valid. */
export function sightingsOver(buffer: ArrayBuffer, count: number): Sightings {
	const capacity = capacityFor(buffer.byteLength);
	if (bytesFor(capacity) !== buffer.byteLength || count > capacity) {
		throw new RangeError(`a buffer of ${buffer.byteLength} bytes does not hold ${count} sightings`);
	}
	let offset = 0;
	const columns = COLUMNS.map((name) => {
		const column = new LAYOUT[name](buffer, offset, capacity);
		offset += column.byteLength;
		return [name, column] as const;
	});
	return literal(count, Object.fromEntries(columns) as unknown as Omit<Sightings, "count">);
}

/** Copies row `i` of `from` over row `j` of `to`; `count` stays as it is. */
export function copyRow(from: Sightings, i: number, to: Sightings, j: number): void {
	to.time[j] = from.time[i] as number;
	to.skbLow[j] = from.skbLow[i] as number;
	to.skbHigh[j] = from.skbHigh[i] as number;
	to.tuple[j] = from.tuple[i] as number;
	to.outer[j] = from.outer[i] as number;
	to.ingress[j] = from.ingress[i] as number;
	to.length[j] = from.length[i] as number;
	to.sequence[j] = from.sequence[i] as number;
	to.acknowledgement[j] = from.acknowledgement[i] as number;
	to.tsval[j] = from.tsval[i] as number;
	to.ipId[j] = from.ipId[i] as number;
	to.payload[j] = from.payload[i] as number;
	to.hash[j] = from.hash[i] as number;
	to.subscribers[j] = from.subscribers[i] as number;
	to.hook[j] = from.hook[i] as number;
	to.gsoSize[j] = from.gsoSize[i] as number;
	to.segments[j] = from.segments[i] as number;
	to.window[j] = from.window[i] as number;
	to.flags[j] = from.flags[i] as number;
	to.vlan[j] = from.vlan[i] as number;
	to.lost[j] = from.lost[i] as number;
	to.tcpFlags[j] = from.tcpFlags[i] as number;
	to.ttl[j] = from.ttl[i] as number;
	to.generation[j] = from.generation[i] as number;
}

/** Copies rows [start, end) of `from` behind the rows of `to`. @throws RangeError when they do not fit. */
export function appendRows(from: Sightings, start: number, end: number, to: Sightings): void {
	for (const name of COLUMNS) to[name].set(from[name].subarray(start, end), to.count);
	to.count += end - start;
}

/** Room for 8-byte multiples only, so that the capacity can be told from the buffer's length. */
function bytesFor(capacity: number): number {
	return Math.ceil((capacity * ROW_BYTES) / 8) * 8;
}

function capacityFor(bytes: number): number {
	return Math.floor(bytes / ROW_BYTES);
}

/** One object shape for all batches, whoever made them: readers stay monomorphic. */
function literal(count: number, c: Omit<Sightings, "count">): Sightings {
	return {
		count,
		time: c.time,
		skbLow: c.skbLow,
		skbHigh: c.skbHigh,
		hook: c.hook,
		tuple: c.tuple,
		outer: c.outer,
		ingress: c.ingress,
		length: c.length,
		sequence: c.sequence,
		acknowledgement: c.acknowledgement,
		tsval: c.tsval,
		ipId: c.ipId,
		payload: c.payload,
		hash: c.hash,
		gsoSize: c.gsoSize,
		segments: c.segments,
		window: c.window,
		flags: c.flags,
		vlan: c.vlan,
		tcpFlags: c.tcpFlags,
		ttl: c.ttl,
		generation: c.generation,
		subscribers: c.subscribers,
		lost: c.lost,
	};
}
