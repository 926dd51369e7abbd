/** The file format of recordings, version 1; described in FORMAT.md. */

export const MAGIC = Uint8Array.from("weftrec\n", (character) => character.charCodeAt(0));

/**
 * A reader refuses another major; within a major, blocks, calls and columns that it does not know are skipped. Since 1.1
 * there are drops.
 */
export const MAJOR = 1;
export const MINOR = 1;

/** Magic, u16 major, u16 minor, u32 zero. */
export const PREAMBLE_BYTES = 16;

/** u32 length of the stored body, u8 type, u8 flags, u16 zero, u32 CRC of what precedes and the body, u32 length inflated. */
export const BLOCK_HEADER_BYTES = 16;

/** The largest body, stored or inflated; checked before anything is buffered. A batch of 65,536 rows takes 5 MB. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

export const BlockType = {
	header: 1,
	source: 2,
	call: 3,
	tuples: 4,
	outers: 5,
	sightings: 6,
	snapshot: 7,
	end: 8,
} as const;
export type BlockType = (typeof BlockType)[keyof typeof BlockType];

export const BlockFlag = { deflated: 1 } as const;

/** What JSON can hold: snapshots are handed in and out as such. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** First block of a recording. */
export interface RecordingHeader {
	/** Version of weft that wrote it. */
	readonly weft: string;
	/** RFC 3339, UTC. */
	readonly createdAt: string;
	readonly anonymized: boolean;
	/** Whatever the writer wants to have beside the sightings from the start: clock base, question, names of nodes. */
	readonly details: Json;
}

/** Last block: a recording without it was cut off. */
export interface RecordingTotals {
	readonly batches: number;
	readonly sightings: number;
	/** Sightings that the writer could not keep, told as `lost` in the recording too. */
	readonly dropped: number;
}

/** Thrown for what is no recording, or cannot be one of ours. A cut-off or damaged end is no error: see Replayed. */
export class RecordingError extends Error {
	override readonly name = "RecordingError";
}
