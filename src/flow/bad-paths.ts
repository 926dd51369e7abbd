import type { FlowWay } from "./flow.js";

/** Paths that are called lost or dropped and may be revised; beyond these a verdict stays. */
const MOST = 2 ** 14;

/** Counts paths that did not arrive, and takes back what was revised. */
export class BadPaths {
	readonly #verdicts = new Map<number, "lost" | "dropped">();

	add(serial: number, verdict: "lost" | "dropped", way: FlowWay): void {
		way[verdict]++;
		this.#verdicts.set(serial, verdict);
		if (this.#verdicts.size <= MOST) return;
		const [oldest] = this.#verdicts.keys();
		if (oldest !== undefined) this.#verdicts.delete(oldest);
	}

	/** Whether it had been counted; it is not any more. */
	takeBack(serial: number, way: FlowWay): boolean {
		const verdict = this.#verdicts.get(serial);
		if (verdict === undefined) return false;
		way[verdict]--;
		return this.#verdicts.delete(serial);
	}
}
