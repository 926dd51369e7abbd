import { isIPv4, isIPv6 } from "node:net";

/**
 * Addresses as 16 bytes on the wire, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), and as four words: the numbers that
 * the bytes spell in network order, so 10.244.1.2 is [0, 0, 0xffff, 0x0af40102] on every machine.
 */
export type AddressWords = readonly [number, number, number, number];

const MAPPED = 0x0000ffff;

/** The word that a 32-bit load of four bytes in network order gave, turned into the number that they spell. */
export const networkWord: (loaded: number) => number =
	new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? swap : (loaded) => loaded >>> 0;

function swap(word: number): number {
	return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

/** Text form: dotted for mapped IPv4, RFC 5952 for IPv6. */
export function formatWords(a: number, b: number, c: number, d: number): string {
	return a === 0 && b === 0 && c === MAPPED ? formatIpv4(d) : formatIpv6(a, b, c, d);
}

/** Text form of the 16 bytes at `offset`. */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
	return formatWords(...wordsAt(bytes, offset));
}

/** 16 bytes, or null when the text is not one address. Zones (fe80::1%eth0) are refused. */
export function parseAddress(text: string): Uint8Array | null {
	if (isIPv4(text)) return mappedBytes(text.split(".").map(Number));
	if (!isIPv6(text) || text.includes("%")) return null;
	return ipv6Bytes(text);
}

/** The four words of 16 bytes. */
export function wordsAt(bytes: Uint8Array, offset = 0): AddressWords {
	const word = (at: number) =>
		(((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>>
		0;
	return [word(offset), word(offset + 4), word(offset + 8), word(offset + 12)];
}

/** The 16 bytes of four words. */
export function bytesOf(words: AddressWords): Uint8Array {
	const bytes = new Uint8Array(16);
	const view = new DataView(bytes.buffer);
	words.forEach((word, i) => {
		view.setUint32(i * 4, word);
	});
	return bytes;
}

/** Four words of a text address, or null. */
export function parseWords(text: string): AddressWords | null {
	const bytes = parseAddress(text);
	return bytes === null ? null : wordsAt(bytes);
}

export function isIpv4Mapped(words: AddressWords): boolean {
	return words[0] === 0 && words[1] === 0 && words[2] === MAPPED;
}

/** A prefix over 128 bits: that of an IPv4 prefix is 96 longer than it is written. Bits behind it are zero. */
export interface Prefix {
	readonly words: AddressWords;
	readonly mask: AddressWords;
	/** 0…128. */
	readonly bits: number;
}

/** `10.244.0.0/16`, `fd00::/8` or a bare address; null when it is neither. Host bits are cleared. */
export function parsePrefix(text: string): Prefix | null {
	const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text);
	const words = parseWords(match?.[1] ?? "");
	if (match === null || words === null) return null;
	const ipv4 = isIPv4(match[1] ?? "");
	const width = ipv4 ? 32 : 128;
	const written = match[2] === undefined ? width : Number(match[2]);
	if (written > width) return null;
	return prefixOf(words, written + (ipv4 ? 96 : 0));
}

/** The first `bits` of 128 bits. */
export function prefixOf(words: AddressWords, bits: number): Prefix {
	const mask = maskOf(bits);
	const masked = (i: 0 | 1 | 2 | 3) => (words[i] & mask[i]) >>> 0;
	return { words: [masked(0), masked(1), masked(2), masked(3)], mask, bits };
}

/** As one writes it: 10.244.0.0/16. */
export function formatPrefix(prefix: Prefix): string {
	const ipv4 = prefix.bits >= 96 && isIpv4Mapped(prefix.words);
	return `${formatWords(...prefix.words)}/${ipv4 ? prefix.bits - 96 : prefix.bits}`;
}

export function prefixContains(prefix: Prefix, address: AddressWords): boolean {
	for (const i of [0, 1, 2, 3] as const) {
		if ((address[i] & prefix.mask[i]) >>> 0 !== prefix.words[i]) return false;
	}
	return true;
}

/** Words whose first `bits` of 128 are one. */
export function maskOf(bits: number): AddressWords {
	return MASKS[Math.min(128, Math.max(0, bits))] as AddressWords;
}

/** By the number of ones: planning a trace asks for the same few again and again. */
const MASKS: readonly AddressWords[] = Array.from({ length: 129 }, (_, bits) => {
	const word = (i: number) => {
		const ones = Math.min(32, Math.max(0, bits - i * 32));
		return ones === 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
	};
	return [word(0), word(1), word(2), word(3)];
});

function formatIpv4(word: number): string {
	return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatIpv6(a: number, b: number, c: number, d: number): string {
	const groups = [a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff]);
	let start = -1;
	let longest = 1;
	for (let i = 0; i < 8; i++) {
		let end = i;
		while (end < 8 && groups[end] === 0) end++;
		if (end - i > longest) {
			start = i;
			longest = end - i;
		}
		if (end > i) i = end;
	}
	const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
	if (start < 0) return hex(groups);
	return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + longest))}`;
}

function mappedBytes(octets: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(16);
	bytes.fill(255, 10, 12);
	bytes.set(octets, 12);
	return bytes;
}

/** Of a text that is known to be IPv6. */
function ipv6Bytes(text: string): Uint8Array {
	const [head = "", tail] = text.split("::");
	const before = groupBytes(head);
	const after = groupBytes(tail ?? "");
	const bytes = new Uint8Array(16);
	bytes.set(before);
	bytes.set(after, 16 - after.length);
	return bytes;
}

function groupBytes(text: string): number[] {
	if (text === "") return [];
	return text.split(":").flatMap((group) => {
		if (group.includes(".")) return group.split(".").map(Number);
		const value = Number.parseInt(group, 16);
		return [value >>> 8, value & 255];
	});
}
