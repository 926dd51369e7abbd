const SLOTS = 2 ** 15;

/** When keys were last opened, in a direct-mapped table: an older key may have made room for a younger. */
export class RecentKeys {
	readonly #keys = new Int32Array(SLOTS);
	readonly #times = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY);

	/** Notes the key at `time` and returns when it was noted before; -Infinity: not that is known. */
	note(keyA: number, keyB: number, time: number): number {
		const slot = keyA & (SLOTS - 1);
		const before = this.#keys[slot] === keyB ? (this.#times[slot] as number) : Number.NEGATIVE_INFINITY;
		this.#keys[slot] = keyB;
		this.#times[slot] = time;
		return before;
	}
}
