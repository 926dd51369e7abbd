const FIRST_MS = 100;
const LAST_MS = 5000;

/** Tries again what failed, ever less often: after 100 ms, and after 5 s at the latest. */
export class Backoff {
	readonly #again: () => void;
	readonly #factor: () => number;
	#ms = FIRST_MS;
	#timer: NodeJS.Timeout | null = null;

	/** @param factor of each wait: those that failed together need not come back together. Default: 1 */
	constructor(again: () => void, factor: () => number = () => 1) {
		this.#again = again;
		this.#factor = factor;
	}

	/** It has not failed since it last worked. */
	get isFresh(): boolean {
		return this.#ms === FIRST_MS;
	}

	/** Its turn has not come. */
	get isWaiting(): boolean {
		return this.#timer !== null;
	}

	failed(): void {
		if (this.#timer !== null) return;
		this.#timer = setTimeout(() => {
			this.#timer = null;
			this.#again();
		}, this.#ms * this.#factor());
		this.#ms = Math.min(this.#ms * 2, LAST_MS);
	}

	worked(): void {
		this.#ms = FIRST_MS;
	}

	close(): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
	}
}
