import type { Writable } from "node:stream";

/** Bytes that may wait for a slow reader: a person misses nothing in what is older, a program wants everything. */
const WAITING = { terminal: 1 << 20, program: 64 << 20 } as const;

/**
 * Lines to stdout, with bounded memory. A reader that is slow makes write() answer false: so much waits for it, then rows
 * are left out and counted. Whoever makes rows does well to wait for `drained` before that.
 */
export class LineOutput {
	readonly #stream: Writable;
	readonly #mostWaiting: number;
	#left = 0;
	#drained: Promise<void> | null = null;

	constructor(stream: Writable, mostWaiting = isTerminal(stream) ? WAITING.terminal : WAITING.program) {
		this.#stream = stream;
		this.#mostWaiting = mostWaiting;
	}

	/** Rows that were left out. */
	get dropped(): number {
		return this.#left;
	}

	/** Resolves when the reader has caught up, or is gone; null: it has. */
	get drained(): Promise<void> | null {
		if (!this.#stream.writableNeedDrain) return null;
		this.#drained ??= new Promise((resolve) => {
			const done = () => {
				this.#drained = null;
				for (const event of ["drain", "close", "error"]) this.#stream.off(event, done);
				resolve();
			};
			for (const event of ["drain", "close", "error"]) this.#stream.on(event, done);
		});
		return this.#drained;
	}

	/** A row that may be left out. */
	row(lines: readonly string[]): void {
		if (this.#stream.writableNeedDrain && this.#stream.writableLength > this.#mostWaiting) {
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

function isTerminal(stream: Writable): boolean {
	return "isTTY" in stream && stream.isTTY === true;
}
