/**
 * Framing of netlink (RFC 3549; linux/netlink.h): messages, attributes and requests, without any idea of what they
 * mean. Every length that a message claims is checked against the bytes that are there; one that lies gives a
 * NetlinkFormatError, never a field of something else. Integers are in host order unless said otherwise.
 */

import { endianness } from "node:os";

/** Bytes that are no well-formed netlink message. */
export class NetlinkFormatError extends Error {
	override readonly name = "NetlinkFormatError";
	/** Bytes from the start of the buffer. */
	readonly offset: number;

	constructor(what: string, offset: number) {
		super(`malformed netlink message: ${what} at byte ${offset}; dump again, and report it if it stays`);
		this.offset = offset;
	}
}

/** One struct nlmsghdr and what follows it. */
export interface NetlinkMessage {
	/** RTM_* or NLMSG_*. */
	readonly type: number;
	readonly flags: number;
	readonly body: Span;
}

const LITTLE = endianness() === "LE";
const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER share the type's field. */
const ATTRIBUTE_TYPE = 0x3fff;
/** No attribute that anything here asks for has a higher type. */
const KNOWN_TYPES = 64;

/** Control messages of netlink itself: below NLMSG_MIN_TYPE. */
export const Control = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/** The messages of a buffer as the kernel wrote it; NLMSG_DONE and NLMSG_NOOP are passed over. */
export function* messages(bytes: Uint8Array): Generator<NetlinkMessage> {
	const buffer = new Span(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength);
	let at = 0;
	while (at < buffer.length) {
		if (buffer.length - at < HEADER) throw new NetlinkFormatError("a header cut short", at);
		const length = buffer.u32(at);
		if (length < HEADER || length > buffer.length - at) {
			throw new NetlinkFormatError(`a length of ${length} where ${buffer.length - at} bytes are left`, at);
		}
		const type = buffer.u16(at + 4);
		if (type !== Control.done && type !== Control.noop) {
			yield { type, flags: buffer.u16(at + 6), body: buffer.slice(at + HEADER, at + length) };
		}
		at += align(length);
	}
}

/** A checked window over a message: reads outside of it throw. */
export class Span {
	readonly length: number;
	readonly #view: DataView;
	readonly #start: number;

	constructor(view: DataView, start: number, end: number) {
		this.#view = view;
		this.#start = start;
		this.length = end - start;
	}

	u8(at: number): number {
		return this.#view.getUint8(this.#checked(at, 1));
	}

	u16(at: number): number {
		return this.#view.getUint16(this.#checked(at, 2), LITTLE);
	}

	/** Network order. */
	be16(at: number): number {
		return this.#view.getUint16(this.#checked(at, 2), false);
	}

	u32(at: number): number {
		return this.#view.getUint32(this.#checked(at, 4), LITTLE);
	}

	s32(at: number): number {
		return this.#view.getInt32(this.#checked(at, 4), LITTLE);
	}

	/** As a double: exact up to 2⁵³. */
	u64(at: number): number {
		const start = this.#checked(at, 8);
		const [low, high] = LITTLE ? [start, start + 4] : [start + 4, start];
		return this.#view.getUint32(low, LITTLE) + this.#view.getUint32(high, LITTLE) * 2 ** 32;
	}

	bytes(): Uint8Array {
		return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#start, this.length);
	}

	slice(from: number, to: number): Span {
		if (from < 0 || to < from || to > this.length) throw new NetlinkFormatError("a field cut short", this.#start);
		return new Span(this.#view, this.#start + from, this.#start + to);
	}

	/** The attributes (struct rtattr) from `at` to the end. Every length is checked; payloads are read when asked for. */
	attributes(at: number): Attributes {
		const starts: number[] = [];
		while (at < this.length) {
			if (this.length - at < ATTRIBUTE_HEADER) {
				throw new NetlinkFormatError("an attribute cut short", this.#start + at);
			}
			const length = this.u16(at);
			if (length < ATTRIBUTE_HEADER || length > this.length - at) {
				throw new NetlinkFormatError(`an attribute of ${length} bytes`, this.#start + at);
			}
			const type = this.u16(at + 2) & ATTRIBUTE_TYPE;
			if (type < KNOWN_TYPES) starts[type] = at;
			at += align(length);
		}
		return new Attributes(this, starts);
	}

	/** The payloads of all attributes of one type, where a type may repeat (IFLA_ALT_IFNAME). */
	repeated(type: number): readonly Span[] {
		const found: Span[] = [];
		for (let at = 0; at < this.length; ) {
			const one = this.slice(at, this.length);
			if (one.length < ATTRIBUTE_HEADER) throw new NetlinkFormatError("an attribute cut short", this.#start + at);
			const length = one.u16(0);
			if (length < ATTRIBUTE_HEADER || length > one.length) {
				throw new NetlinkFormatError(`an attribute of ${length} bytes`, this.#start + at);
			}
			if ((one.u16(2) & ATTRIBUTE_TYPE) === type) found.push(one.slice(ATTRIBUTE_HEADER, length));
			at += align(length);
		}
		return found;
	}

	/** Of an integer attribute: any other size than asked for is a lie. */
	exactly(size: number): Span {
		if (this.length !== size) {
			throw new NetlinkFormatError(`${this.length} bytes where ${size} are due`, this.#start);
		}
		return this;
	}

	/** A string up to its NUL. */
	text(): string {
		let text = "";
		for (let at = 0; at < this.length; at++) {
			const byte = this.#view.getUint8(this.#start + at);
			if (byte === 0) return text;
			// Nearly every name is ASCII, and short: a Buffer for each would cost more than the loop.
			if (byte > 0x7f) return this.#utf8();
			text += String.fromCharCode(byte);
		}
		return text;
	}

	#utf8(): string {
		const bytes = this.bytes();
		const end = bytes.indexOf(0);
		return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
	}

	#checked(at: number, size: number): number {
		if (at < 0 || at + size > this.length) throw new NetlinkFormatError("a field cut short", this.#start + at);
		return this.#start + at;
	}
}

/** Attributes by type; of repeated ones the last. Absent ones are null. */
export class Attributes {
	readonly #message: Span;
	/** Offset of the header of each type. */
	readonly #starts: readonly number[];

	constructor(message: Span, starts: readonly number[]) {
		this.#message = message;
		this.#starts = starts;
	}

	span(type: number): Span | null {
		const start = this.#starts[type];
		if (start === undefined) return null;
		return this.#message.slice(start + ATTRIBUTE_HEADER, start + this.#message.u16(start));
	}

	u8(type: number): number | null {
		return this.span(type)?.exactly(1).u8(0) ?? null;
	}

	u16(type: number): number | null {
		return this.span(type)?.exactly(2).u16(0) ?? null;
	}

	be16(type: number): number | null {
		return this.span(type)?.exactly(2).be16(0) ?? null;
	}

	u32(type: number): number | null {
		return this.span(type)?.exactly(4).u32(0) ?? null;
	}

	s32(type: number): number | null {
		return this.span(type)?.exactly(4).s32(0) ?? null;
	}

	text(type: number): string | null {
		return this.span(type)?.text() ?? null;
	}

	nested(type: number): Attributes | null {
		return this.span(type)?.attributes(0) ?? null;
	}
}

/** A payload for `request`. */
export interface RequestAttribute {
	readonly type: number;
	readonly payload: Uint8Array;
}

/** A whole struct nlmsghdr with NLM_F_REQUEST; the sequence number is left to whoever sends it. */
export function request(
	type: number,
	flags: number,
	header: Uint8Array,
	attributes: readonly RequestAttribute[] = [],
): Uint8Array {
	const run = attributeRun(attributes);
	const start = HEADER + align(header.length);
	const bytes = new Uint8Array(start + run.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, bytes.length, LITTLE);
	view.setUint16(4, type, LITTLE);
	view.setUint16(6, flags | REQUEST, LITTLE);
	bytes.set(header, HEADER);
	bytes.set(run, start);
	return bytes;
}

function attributeRun(attributes: readonly RequestAttribute[]): Uint8Array {
	const length = attributes.reduce((sum, { payload }) => sum + align(ATTRIBUTE_HEADER + payload.length), 0);
	const bytes = new Uint8Array(length);
	const view = new DataView(bytes.buffer);
	let at = 0;
	for (const { type, payload } of attributes) {
		view.setUint16(at, ATTRIBUTE_HEADER + payload.length, LITTLE);
		view.setUint16(at + 2, type, LITTLE);
		bytes.set(payload, at + ATTRIBUTE_HEADER);
		at += align(ATTRIBUTE_HEADER + payload.length);
	}
	return bytes;
}

/** NLM_F_ROOT | NLM_F_MATCH: all there are. */
export const DUMP = 0x300;
/** NETLINK_NETFILTER: the protocol of a socket to nf_tables. */
export const NETFILTER = 12;
const REQUEST = 1;

/** A 32-bit integer as an attribute's payload. */
export function word(value: number): Uint8Array {
	const bytes = new Uint8Array(4);
	new DataView(bytes.buffer).setInt32(0, value | 0, LITTLE);
	return bytes;
}

/** NLMSG_ALIGN, RTA_ALIGN. */
function align(length: number): number {
	return (length + 3) & ~3;
}
