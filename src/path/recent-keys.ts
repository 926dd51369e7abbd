const SLOTS = 2 ** 15;

/** When keys were last opened, in a direct-mapped table: an older key may have made room for a younger. */
export class RecentKeys {
	readonly #keys = new Int32Array(SLOTS);
	readonly #times = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY);
	readonly #counts = new Uint32Array(SLOTS);

	/**
	 * Notes the key at `time` and returns when it was noted before; -Infinity: not that is known.
	 * @param windowNs longer ago does not count
	 */
	note(keyA: number, keyB: number, time: number, windowNs: number): number {
		const slot = keyA & (SLOTS - 1);
		const before = this.#keys[slot] === keyB ? (this.#times[slot] as number) : Number.NEGATIVE_INFINITY;
		this.#keys[slot] = keyB;
		this.#times[slot] = time;
		this.#counts[slot] = time - before < windowNs ? (this.#counts[slot] as number) + 1 : 1;
		return before;
	}

	/** How often it was noted, each time within the window of the time before; 0: not that is known. */
	count(keyA: number, keyB: number): number {
		const slot = keyA & (SLOTS - 1);
		return this.#keys[slot] === keyB ? (this.#counts[slot] as number) : 0;
	}
}
