import type { Words } from "../../collector/explained.js";
import type { JoinedPath } from "../../path/path-view.js";

/** How long a path waits for an agent's words on why it ended. */
const PATIENCE_MS = 1500;
/** Words whose path is not closed yet; the oldest go. */
const MOST_EARLY = 4096;

/** Dropped paths and the words on why they were dropped, which come in any order: each path is told once. */
export class AwaitedWords {
	readonly #tell: (path: JoinedPath, words: Words | null) => void;
	readonly #paths = new Map<number, JoinedPath>();
	readonly #early = new Map<number, Words | null>();

	/** @param tell words are null where none came */
	constructor(tell: (path: JoinedPath, words: Words | null) => void) {
		this.#tell = tell;
	}

	wait(ticket: number, path: JoinedPath): void {
		const words = this.#early.get(ticket);
		if (words !== undefined || this.#paths.has(ticket)) {
			this.#early.delete(ticket);
			this.#tell(path, words ?? null);
			return;
		}
		this.#paths.set(ticket, path);
		setTimeout(() => this.#give(ticket, null), PATIENCE_MS).unref();
	}

	came(ticket: number, words: Words | null): void {
		if (this.#give(ticket, words)) return;
		this.#early.set(ticket, words);
		const [oldest] = this.#early.keys();
		if (this.#early.size > MOST_EARLY && oldest !== undefined) this.#early.delete(oldest);
	}

	/** Whoever still waits is told with the words that it has. */
	end(): void {
		for (const ticket of [...this.#paths.keys()]) this.#give(ticket, null);
	}

	#give(ticket: number, words: Words | null): boolean {
		const path = this.#paths.get(ticket);
		if (path === undefined) return false;
		this.#paths.delete(ticket);
		this.#tell(path, words);
		return true;
	}
}
