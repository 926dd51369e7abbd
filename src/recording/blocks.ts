import { deflateRawSync, inflateRawSync } from "node:zlib";
import { crc32 } from "./crc32.js";
import {
	BLOCK_HEADER_BYTES,
	BlockFlag,
	type BlockType,
	MAGIC,
	MAJOR,
	MAX_BODY_BYTES,
	MINOR,
	PREAMBLE_BYTES,
	RecordingError,
} from "./format.js";

/** Blocks below this gain nothing from deflate. */
const WORTH_DEFLATING = 256;

export interface Block {
	readonly type: number;
	/** Bytes from the start of the file to the block, and to the next. */
	readonly offset: number;
	readonly end: number;
	/** Inflated; its start is 8-byte aligned in its buffer. */
	readonly body: Uint8Array;
}

/** Where reading stopped: bytes from the start of the file; `reason` is null behind a whole block. */
export interface Stop {
	readonly offset: number;
	readonly reason: string | null;
}

export function encodePreamble(): Uint8Array {
	const bytes = new Uint8Array(PREAMBLE_BYTES);
	bytes.set(MAGIC);
	const view = new DataView(bytes.buffer);
	view.setUint16(8, MAJOR, true);
	view.setUint16(10, MINOR, true);
	return bytes;
}

/** Header and body as they are written one after the other. @throws RangeError beyond MAX_BODY_BYTES */
export function encodeBlock(type: BlockType, body: Uint8Array, deflate: boolean): Uint8Array[] {
	if (body.length > MAX_BODY_BYTES) throw new RangeError(`a block of ${body.length} bytes is over ${MAX_BODY_BYTES}`);
	const deflated = deflate && body.length >= WORTH_DEFLATING ? deflateRawSync(body, { level: 1 }) : body;
	const smaller = deflated.length < body.length;
	const stored = smaller ? deflated : body;
	const header = new Uint8Array(BLOCK_HEADER_BYTES);
	const view = new DataView(header.buffer);
	view.setUint32(0, stored.length, true);
	view.setUint8(4, type);
	view.setUint8(5, smaller ? BlockFlag.deflated : 0);
	view.setUint32(12, body.length, true);
	view.setUint32(8, checksum(header, stored), true);
	return [header, stored];
}

/**
 * Whole blocks of a recording that arrives in pieces of any size. Returns where and why it stopped: what follows a
 * damaged block may refer to it, so nothing after it is read. The input is closed at the end, however it comes.
 * @throws RecordingError when the bytes are no recording, or one of another major version
 */
export async function* readBlocks(
	input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Block, Stop> {
	const pieces = new Pieces(input);
	try {
		await checkPreamble(pieces);
		let offset = PREAMBLE_BYTES;
		for (;;) {
			const block = await readBlock(pieces, offset);
			if (block === null) return { offset, reason: null };
			if (typeof block === "string") return { offset, reason: block };
			yield block;
			offset = block.end;
		}
	} finally {
		await pieces.close();
	}
}

/** Null: no byte is left. Text: why there is no whole block. */
async function readBlock(pieces: Pieces, offset: number): Promise<Block | string | null> {
	const header = await pieces.take(BLOCK_HEADER_BYTES);
	if (header === null) return pieces.rest > 0 ? "cut off inside a block's header" : null;
	const view = new DataView(header.buffer, header.byteOffset);
	const stored = view.getUint32(0, true);
	const length = view.getUint32(12, true);
	if (stored > MAX_BODY_BYTES || length > MAX_BODY_BYTES) return "a block is longer than any can be";
	const bytes = await pieces.take(stored);
	if (bytes === null) return "cut off inside a block";
	if (checksum(header, bytes) !== view.getUint32(8, true)) return "a block's checksum is wrong";
	const deflated = (view.getUint8(5) & BlockFlag.deflated) !== 0;
	const body = deflated ? inflate(bytes, length) : bytes;
	if (body === null || body.length !== length) return "a block does not inflate to its length";
	return { type: view.getUint8(4), offset, end: offset + BLOCK_HEADER_BYTES + stored, body: aligned(body) };
}

/** Over the header with the field of the checksum left out, and the stored body. */
function checksum(header: Uint8Array, stored: Uint8Array): number {
	return crc32(stored, crc32(header.subarray(12, 16), crc32(header.subarray(0, 8))));
}

function inflate(stored: Uint8Array, length: number): Uint8Array | null {
	try {
		return inflateRawSync(stored, { maxOutputLength: Math.max(1, length) });
	} catch {
		return null; // the caller says where
	}
}

function aligned(bytes: Uint8Array): Uint8Array {
	return bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes); // a Buffer's slice() is a view
}

async function checkPreamble(pieces: Pieces): Promise<void> {
	const preamble = await pieces.take(PREAMBLE_BYTES);
	if (preamble === null || MAGIC.some((byte, i) => preamble[i] !== byte)) {
		throw new RecordingError("this is not a recording of weft: write one with weft trace -w FILE");
	}
	const major = new DataView(preamble.buffer, preamble.byteOffset).getUint16(8, true);
	if (major !== MAJOR) {
		throw new RecordingError(`the recording has format ${major}, this weft reads ${MAJOR}: use the weft that wrote it`);
	}
}

/** Takes exact lengths out of a stream of pieces. */
class Pieces {
	readonly #input: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
	#waiting: Uint8Array[] = [];
	#bytes = 0;
	#ended = false;

	constructor(input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
		this.#input = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
	}

	/** Bytes that came but were not taken. */
	get rest(): number {
		return this.#bytes;
	}

	/** `length` bytes, or null (and nothing taken) when fewer are left. */
	async take(length: number): Promise<Uint8Array | null> {
		while (this.#bytes < length && !this.#ended) {
			const next = await this.#input.next();
			if (next.done === true) this.#ended = true;
			else if (next.value.length > 0) {
				this.#waiting.push(next.value);
				this.#bytes += next.value.length;
			}
		}
		return this.#bytes < length ? null : this.#remove(length);
	}

	async close(): Promise<void> {
		await this.#input.return?.();
	}

	#remove(length: number): Uint8Array {
		this.#bytes -= length;
		const first = this.#waiting[0];
		if (first !== undefined && first.length > length) {
			this.#waiting[0] = first.subarray(length);
			return first.subarray(0, length);
		}
		const taken = new Uint8Array(length);
		let filled = 0;
		while (filled < length) {
			const piece = this.#waiting.shift() ?? new Uint8Array();
			const part = piece.subarray(0, length - filled);
			taken.set(part, filled);
			filled += part.length;
			if (part.length < piece.length) this.#waiting.unshift(piece.subarray(part.length));
		}
		return taken;
	}
}
