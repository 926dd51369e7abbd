import * as zlib from "node:zlib";

/** CRC-32 of ISO 3309 (as in zlib), continued from `value`. */
export const crc32: (bytes: Uint8Array, value?: number) => number = zlib.crc32 ?? tabled;

/** For Node before 20.15, whose zlib keeps its own to itself. */
export function tabled(bytes: Uint8Array, value = 0): number {
	let crc = ~value;
	for (let i = 0; i < bytes.length; i++) crc = (TABLE[(crc ^ (bytes[i] as number)) & 255] as number) ^ (crc >>> 8);
	return ~crc >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
	let crc = byte;
	for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	return crc;
});
