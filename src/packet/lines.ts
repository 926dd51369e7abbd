/** Bytes that a processor takes from memory at once. */
const LINE = 64;
/** What glibc keeps before a block that is large enough for pages of its own (malloc.c, mmap_chunk), bytes. */
const HEADER = 16;

/**
 * Words that begin where a cache line does, so that a record of 64 bytes lies in one line and not across two. It rests on
 * what the allocator does with large blocks: where it does otherwise, it is slower by the second line.
 */
export function alignedWords(count: number): Uint32Array<ArrayBuffer> {
	const offset = LINE - HEADER;
	return new Uint32Array(new ArrayBuffer(offset + count * Uint32Array.BYTES_PER_ELEMENT), offset, count);
}
