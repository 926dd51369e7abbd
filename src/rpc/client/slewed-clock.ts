import type { ClockReading } from "./clock-estimate.js";

/** So quickly an offset is taken over: a hop of 10 µs is off by 50 ns meanwhile, and a millisecond gone in 0.2 s. */
const MOST_SLEW = 5e-3;
/** In which time a difference is to be gone, ns. */
const HORIZON_NS = 300e6;
/** Bends that are remembered: rows of the last second or two. */
const MOST_BENDS = 32;

/** From a time of theirs on: their offset there, and what it gains a ns. */
interface Bend {
	readonly atNs: number;
	readonly offsetNs: number;
	readonly slope: number;
}

/**
 * Times of a node's clock on the Joiner's line. What is learned of the offset is taken over gradually: a step between
 * two batches would tear hops of one packet apart.
 */
export class SlewedClock {
	/** Wall clock at 0 of the line, ns since 1970. */
	readonly #lineBase: bigint;
	/** The newest last; times are theirs minus `lineBase`. */
	readonly #bends: Bend[] = [];
	#latestNs = Number.NEGATIVE_INFINITY;
	#errorNs = Number.POSITIVE_INFINITY;
	#residualNs = 0;

	constructor(lineBase: bigint) {
		this.#lineBase = lineBase;
	}

	/** Give or take, ns: of the estimate, and of what is not taken over yet. */
	get errorNs(): number {
		return this.#errorNs;
	}

	/** How far it was from what was learned last, ns: that is taken over gradually. */
	get residualNs(): number {
		return this.#residualNs;
	}

	/** What their offset gains a ns, once that is taken over. */
	get slope(): number {
		return this.#bends.at(-1)?.slope ?? 0;
	}

	/** @param reading of their clock against the line's: `atNs` on the line */
	learn(reading: ClockReading): void {
		const { atNs, offsetNs, rate, errorNs } = reading;
		const [first] = this.#bends;
		if (first === undefined) {
			this.#bends.push({ atNs: atNs + offsetNs, offsetNs, slope: rate });
			this.#errorNs = errorNs;
			return;
		}
		const hereNs = Math.max(first.atNs, this.#latestNs);
		const applied = this.#offsetAt(hereNs);
		const target = offsetNs + rate * (hereNs - offsetNs - atNs);
		const difference = target - applied;
		const correction = Math.max(-MOST_SLEW, Math.min(MOST_SLEW, difference / HORIZON_NS));
		while ((this.#bends.at(-1)?.atNs ?? hereNs) > hereNs) this.#bends.pop();
		this.#bends.push({ atNs: hereNs, offsetNs: applied, slope: rate + correction });
		if (correction !== 0) {
			// No further than to the target, however late the next reading is.
			const lasts = difference / correction;
			this.#bends.push({ atNs: hereNs + lasts, offsetNs: target + rate * lasts, slope: rate });
		}
		if (this.#bends.length > MOST_BENDS) this.#bends.splice(0, this.#bends.length - MOST_BENDS);
		this.#residualNs = Math.abs(difference);
		this.#errorNs = errorNs + this.#residualNs;
	}

	/** Of a time of theirs, ns since 1970: on the line, and ns of the line in a ns of theirs. Never goes back. */
	line(wallNs: bigint): { readonly timeNs: number; readonly rate: number } {
		const theirs = Number(wallNs - this.#lineBase);
		if (theirs > this.#latestNs) this.#latestNs = theirs;
		return { timeNs: theirs - this.#offsetAt(theirs), rate: 1 - (this.#bendAt(theirs)?.slope ?? 0) };
	}

	/** The offset that a time on the line was made with. */
	offsetOnLine(lineNs: number): number {
		// theirs = line + offset at theirs: the second step is right to a ns.
		const near = lineNs + this.#offsetAt(this.#latestNs);
		return this.#offsetAt(lineNs + this.#offsetAt(near));
	}

	#offsetAt(theirsNs: number): number {
		const bend = this.#bendAt(theirsNs);
		return bend === undefined ? 0 : bend.offsetNs + bend.slope * (theirsNs - bend.atNs);
	}

	#bendAt(theirsNs: number): Bend | undefined {
		return this.#bends.findLast(({ atNs }) => atNs <= theirsNs) ?? this.#bends[0];
	}
}
