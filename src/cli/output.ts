import type { Writable } from "node:stream";

/** Bytes that may wait for a slow reader. */
const WAITING = 1 << 20;

/**
 * Lines to stdout, with bounded memory. A terminal or a socket that reads slowly makes write() answer false: up to a
 * megabyte waits for it, then rows are left out and counted. Pipes and files block instead and lose nothing.
 */
export class LineOutput {
	readonly #stream: Writable;
	#left = 0;

	constructor(stream: Writable) {
		this.#stream = stream;
	}

	/** Rows that were left out. */
	get dropped(): number {
		return this.#left;
	}

	/** A row that may be left out. */
	row(lines: readonly string[]): void {
		if (this.#stream.writableNeedDrain && this.#stream.writableLength > WAITING) {
			this.#left++;
			return;
		}
		this.always(lines);
	}

	/** What must not be left out: the first lines and the summary. */
	always(lines: readonly string[]): void {
		if (lines.length > 0 && this.#stream.writable) this.#stream.write(`${lines.join("\n")}\n`);
	}
}
