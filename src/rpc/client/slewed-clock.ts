import type { ClockReading } from "./clock-estimate.js";

/** So quickly an offset is taken over: a hop of 10 µs is off by 5 ns. */
const MOST_SLEW = 500e-6;
/** In which time a difference is to be gone, ns. */
const HORIZON_NS = 500e6;

/**
 * Times of a node's clock on the Joiner's line. What is learned of the offset is taken over gradually: a step between
 * two batches would tear hops of one packet apart.
 */
export class SlewedClock {
	/** Wall clock at 0 of the line, ns since 1970. */
	readonly #lineBase: bigint;
	#begun = false;
	/** Where the line of offsets was bent last, in theirs minus `lineBase`. */
	#anchorNs = 0;
	#offsetNs = 0;
	#slope = 0;
	#latestNs = Number.NEGATIVE_INFINITY;
	#errorNs = Number.POSITIVE_INFINITY;

	constructor(lineBase: bigint) {
		this.#lineBase = lineBase;
	}

	/** Give or take, ns: of the estimate, and of what is not taken over yet. */
	get errorNs(): number {
		return this.#errorNs;
	}

	/** @param reading of their clock against the line's: `atNs` on the line */
	learn(reading: ClockReading): void {
		const { atNs, offsetNs, rate, errorNs } = reading;
		if (!this.#begun) {
			this.#begun = true;
			this.#anchorNs = atNs + offsetNs;
			this.#offsetNs = offsetNs;
			this.#slope = rate;
			this.#errorNs = errorNs;
			return;
		}
		const hereNs = Math.max(this.#anchorNs, this.#latestNs);
		const applied = this.#offsetAt(hereNs);
		const target = offsetNs + rate * (hereNs - offsetNs - atNs);
		const correction = Math.max(-MOST_SLEW, Math.min(MOST_SLEW, (target - applied) / HORIZON_NS));
		this.#anchorNs = hereNs;
		this.#offsetNs = applied;
		this.#slope = rate + correction;
		this.#errorNs = errorNs + Math.abs(target - applied);
	}

	/** Of a time of theirs, ns since 1970: on the line, and ns of the line in a ns of theirs. Never goes back. */
	line(wallNs: bigint): { readonly timeNs: number; readonly rate: number } {
		const theirs = Number(wallNs - this.#lineBase);
		if (theirs > this.#latestNs) this.#latestNs = theirs;
		return { timeNs: theirs - this.#offsetAt(theirs), rate: 1 - this.#slope };
	}

	#offsetAt(theirsNs: number): number {
		return this.#offsetNs + this.#slope * (theirsNs - this.#anchorNs);
	}
}
