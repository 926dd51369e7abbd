/*
 * The protobuf wire format for columns (https://protobuf.dev/programming-guides/encoding/): packed fields written from
 * typed arrays and read into them, without an object or a call per value.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** Values of one column: a typed array, and which rows of it are meant. */
export type Values = Uint32Array | Uint16Array | Uint8Array;

/** A growing buffer. Lengths of what is nested are written as five bytes, so that nothing is moved. */
export class WireWriter {
	#bytes = Buffer.allocUnsafe(1 << 16);
	#at = 0;

	/** Bytes written so far. */
	get length(): number {
		return this.#at;
	}

	/** A copy of what was written; the writer starts anew. */
	take(): Uint8Array<ArrayBuffer> {
		const taken = new Uint8Array(this.#at);
		taken.set(this.#bytes.subarray(0, this.#at));
		this.#at = 0;
		return taken;
	}

	tag(field: number, type: number): void {
		this.#reserve(16);
		this.#varint((field << 3) | type);
	}

	uint32(field: number, value: number): void {
		if (value === 0) return;
		this.tag(field, VARINT);
		this.#varint(value);
	}

	/** Of an optional field: also when it is 0. */
	present(field: number, value: number): void {
		this.tag(field, VARINT);
		this.#varint(value);
	}

	/** A whole number up to 2⁵², either way; zigzag. */
	sint53(field: number, value: number): void {
		this.uint53(field, value < 0 ? -2 * value - 1 : 2 * value);
	}

	/** A whole number up to 2⁵³. */
	uint53(field: number, value: number): void {
		if (value === 0) return;
		this.tag(field, VARINT);
		let rest = value;
		for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[this.#at++] = (rest % 128) | 0x80;
		this.#bytes[this.#at++] = rest;
	}

	fixed64(field: number, value: bigint): void {
		this.tag(field, FIXED64);
		this.#at = this.#bytes.writeBigUInt64LE(value, this.#at);
	}

	fixed64Words(field: number, low: number, high: number): void {
		this.tag(field, FIXED64);
		this.#at = put32(this.#bytes, put32(this.#bytes, this.#at, low), high);
	}

	/** Fields that are encoded already. */
	raw(fields: Uint8Array): void {
		this.#reserve(fields.length);
		this.#bytes.set(fields, this.#at);
		this.#at += fields.length;
	}

	bytes(field: number, value: Uint8Array): void {
		if (value.length === 0) return;
		this.tag(field, BYTES);
		this.#varint(value.length);
		this.#reserve(value.length);
		this.#bytes.set(value, this.#at);
		this.#at += value.length;
	}

	string(field: number, value: string): void {
		this.bytes(field, Buffer.from(value, "utf8"));
	}

	/** Begins a nested message; give what it returns to `end`. */
	begin(field: number): number {
		this.tag(field, BYTES);
		this.#at += 5;
		return this.#at;
	}

	end(start: number): void {
		let length = this.#at - start;
		for (let i = 0; i < 4; i++, length >>>= 7) this.#bytes[start - 5 + i] = (length & 0x7f) | 0x80;
		this.#bytes[start - 1] = length;
	}

	/** `values[rows[0]], …` as packed varints; nothing when all are 0. */
	packed(field: number, values: Values, rows: Uint32Array, count: number): void {
		if (allZero(values, rows, count)) return;
		const start = this.begin(field);
		this.#reserve(count * 5);
		const bytes = this.#bytes;
		let at = this.#at;
		for (let i = 0; i < count; i++) {
			let value = values[rows[i] as number] as number;
			while (value > 0x7f) {
				bytes[at++] = (value & 0x7f) | 0x80;
				value >>>= 7;
			}
			bytes[at++] = value;
		}
		this.#at = at;
		this.end(start);
	}

	/** …as packed 32-bit words. */
	packedFixed32(field: number, values: Uint32Array, rows: Uint32Array, count: number): void {
		if (allZero(values, rows, count)) return;
		const start = this.begin(field);
		this.#reserve(count * 4);
		const bytes = this.#bytes;
		let at = this.#at;
		for (let i = 0; i < count; i++) at = put32(bytes, at, values[rows[i] as number] as number);
		this.#at = at;
		this.end(start);
	}

	/** …as packed 64-bit words of two columns. */
	packedFixed64(field: number, low: Uint32Array, high: Uint32Array, rows: Uint32Array, count: number): void {
		const start = this.begin(field);
		this.#reserve(count * 8);
		const bytes = this.#bytes;
		let at = this.#at;
		for (let i = 0; i < count; i++) {
			const row = rows[i] as number;
			at = put32(bytes, at, low[row] as number);
			at = put32(bytes, at, high[row] as number);
		}
		this.#at = at;
		this.end(start);
	}

	#varint(value: number): void {
		while (value > 0x7f) {
			this.#bytes[this.#at++] = (value & 0x7f) | 0x80;
			value >>>= 7;
		}
		this.#bytes[this.#at++] = value;
	}

	#reserve(more: number): void {
		if (this.#at + more + 16 <= this.#bytes.length) return;
		const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + more + 16));
		larger.set(this.#bytes.subarray(0, this.#at));
		this.#bytes = larger;
	}
}

function put32(bytes: Uint8Array, at: number, value: number): number {
	bytes[at] = value;
	bytes[at + 1] = value >>> 8;
	bytes[at + 2] = value >>> 16;
	bytes[at + 3] = value >>> 24;
	return at + 4;
}

function allZero(values: Values, rows: Uint32Array, count: number): boolean {
	for (let i = 0; i < count; i++) if (values[rows[i] as number] !== 0) return false;
	return true;
}

/** Reads fields in order; whatever is wrong with the bytes is a RangeError. */
export class WireReader {
	readonly bytes: Uint8Array;
	at: number;
	readonly end: number;
	/** Of the field that `next` came to. */
	field = 0;
	type = 0;

	constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
		this.bytes = bytes;
		this.at = at;
		this.end = end;
	}

	/** Steps to the next field; false: there is none. */
	next(): boolean {
		if (this.at >= this.end) return false;
		const tag = this.uint32();
		this.field = tag >>> 3;
		this.type = tag & 7;
		if (this.field === 0) throw new RangeError("field 0");
		return true;
	}

	uint32(): number {
		let value = 0;
		for (let shift = 0; shift < 35; shift += 7) {
			const byte = this.#byte();
			value = (value | ((byte & 0x7f) << shift)) >>> 0;
			if (byte < 0x80) return value;
		}
		// Negative int32 has ten bytes; the upper ones say nothing new.
		for (let i = 0; i < 5; i++) if (this.#byte() < 0x80) return value;
		throw new RangeError("a varint without an end");
	}

	uint53(): number {
		let value = 0;
		for (let factor = 1, i = 0; i < 10; i++, factor *= 128) {
			const byte = this.#byte();
			value += (byte & 0x7f) * factor;
			if (byte < 0x80) return value;
		}
		throw new RangeError("a varint without an end");
	}

	fixed64(): bigint {
		const at = this.#take(8);
		return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getBigUint64(0, true);
	}

	/** What is nested, as a reader of its own. */
	nested(): WireReader {
		const length = this.uint32();
		const at = this.#take(length);
		return new WireReader(this.bytes, at, at + length);
	}

	view(): Uint8Array {
		const length = this.uint32();
		const at = this.#take(length);
		return this.bytes.subarray(at, at + length);
	}

	string(): string {
		const view = this.view();
		return Buffer.from(view.buffer, view.byteOffset, view.length).toString("utf8");
	}

	skip(): void {
		switch (this.type) {
			case VARINT:
				this.uint53();
				return;
			case FIXED64:
				this.#take(8);
				return;
			case BYTES:
				this.#take(this.uint32());
				return;
			case FIXED32:
				this.#take(4);
				return;
			default:
				throw new RangeError(`wire type ${this.type}`);
		}
	}

	/** Packed varints (or a single one) behind `filled` rows of a column. Returns how many rows it has now. */
	packed(into: Values, filled: number): number {
		const { bytes } = this;
		const end = this.#packedEnd(VARINT);
		let at = this.at;
		let row = filled;
		while (at < end) {
			let byte = bytes[at++] as number;
			let value = byte & 0x7f;
			for (let shift = 7; byte > 0x7f; shift += 7) {
				if (at >= end || shift > 63) throw new RangeError("a varint without an end");
				byte = bytes[at++] as number;
				if (shift < 32) value |= (byte & 0x7f) << shift;
			}
			if (row >= into.length) throw new RangeError(`more than ${into.length} rows`);
			into[row++] = value;
		}
		this.at = at;
		return row;
	}

	packedFixed32(into: Uint32Array, filled: number): number {
		const { bytes } = this;
		const end = this.#packedEnd(FIXED32);
		if ((end - this.at) % 4 !== 0) throw new RangeError("half a word");
		if (filled + (end - this.at) / 4 > into.length) throw new RangeError(`more than ${into.length} rows`);
		let row = filled;
		for (let at = this.at; at < end; at += 4) into[row++] = word(bytes, at);
		this.at = end;
		return row;
	}

	packedFixed64(low: Uint32Array, high: Uint32Array, filled: number): number {
		const { bytes } = this;
		const end = this.#packedEnd(FIXED64);
		if ((end - this.at) % 8 !== 0) throw new RangeError("half a word");
		if (filled + (end - this.at) / 8 > low.length) throw new RangeError(`more than ${low.length} rows`);
		let row = filled;
		for (let at = this.at; at < end; at += 8, row++) {
			low[row] = word(bytes, at);
			high[row] = word(bytes, at + 4);
		}
		this.at = end;
		return row;
	}

	/** A repeated scalar may come packed or one by one. */
	#packedEnd(single: number): number {
		if (this.type === BYTES) {
			const length = this.uint32();
			if (this.at + length > this.end) throw new RangeError("beyond the end");
			return this.at + length;
		}
		if (this.type !== single) throw new RangeError(`wire type ${this.type} in a column`);
		if (single === FIXED32) return this.#within(this.at + 4);
		if (single === FIXED64) return this.#within(this.at + 8);
		let end = this.at;
		while ((this.bytes[this.#within(end + 1) - 1] as number) > 0x7f) end++;
		return end + 1;
	}

	#within(end: number): number {
		if (end > this.end) throw new RangeError("beyond the end");
		return end;
	}

	#byte(): number {
		if (this.at >= this.end) throw new RangeError("beyond the end");
		return this.bytes[this.at++] as number;
	}

	#take(length: number): number {
		const at = this.at;
		this.at = this.#within(at + length);
		return at;
	}
}

function word(bytes: Uint8Array, at: number): number {
	return (
		((bytes[at] as number) |
			((bytes[at + 1] as number) << 8) |
			((bytes[at + 2] as number) << 16) |
			((bytes[at + 3] as number) << 24)) >>>
		0
	);
}
