/** Changes that come together are told together: a while after the first of them. */
export class Settling {
	readonly #ms: number;
	readonly #tell: () => void;
	#timer: NodeJS.Timeout | null = null;

	constructor(ms: number, tell: () => void) {
		this.#ms = ms;
		this.#tell = tell;
	}

	changed(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = null;
			this.#tell();
		}, this.#ms);
	}

	/** What has not been told is not told now. */
	cancel(): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
	}
}
