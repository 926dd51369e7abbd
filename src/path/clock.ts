import type { SourceClock } from "../packet/source.js";

/**
 * Offsets between clocks of nodes, as intervals that hold the truth:
 *
 * - A question over the network is asked at s and answered at r of the reference; the answer's own time T was read in
 *   between, so `offset = reference − clock` lies in [s − T, r − T] (as in NTP, RFC 5905, 8).
 * - A packet leaves a at `sent` and comes to b at `received`, each by its own clock. It cannot arrive before it left:
 *   offset(b) − offset(a) ≥ sent − received. Traffic both ways holds the difference from both sides, much tighter than
 *   questions do, as tc hooks stand close to the wire.
 * - Between observations a clock drifts. How fast is bounded by what was seen over the last half minute, give or take
 *   `wander`; before that by `maxDrift`.
 *
 * Intervals are intersected; when nothing is left, the clock was set or changed its pace, and only the newest counts.
 */
export interface ClockLimits {
	/** How far a clock's pace may be off at all: CLOCK_MONOTONIC is slewed by 500 ppm at the most, on either side. */
	readonly maxDrift: number;
	/** How much a pace may change within half a minute. */
	readonly wander: number;
}

export const DEFAULT_CLOCK_LIMITS: ClockLimits = { maxDrift: 1000e-6, wander: 2e-6 };

/** Two anchors are kept, so that the pace always rests on half to all of this, ns. */
const BASELINE_NS = 30e9;
/** A shorter baseline says nothing about the pace, ns. */
const MIN_BASELINE_NS = 100e6;

interface Anchor {
	readonly at: number;
	readonly low: number;
	readonly high: number;
}

/** The offset of one clock to the reference. Times are of that clock, ns. */
export class ClockBounds {
	readonly #limits: ClockLimits;
	#at = 0;
	#low = Number.NEGATIVE_INFINITY;
	#high = Number.POSITIVE_INFINITY;
	#slowest: number;
	#fastest: number;
	#anchor: Anchor | null = null;
	#nextAnchor: Anchor | null = null;

	constructor(limits: ClockLimits = DEFAULT_CLOCK_LIMITS) {
		this.#limits = limits;
		this.#slowest = -limits.maxDrift;
		this.#fastest = limits.maxDrift;
	}

	/** The offset that is known at `time`: from low to high. Infinite where nothing is known. */
	interval(time: number): { readonly low: number; readonly high: number } {
		return { low: this.#lowAt(time), high: this.#highAt(time) };
	}

	/** The middle, give or take; an infinite error when one side is open. */
	estimate(time: number): SourceClock {
		const low = this.#lowAt(time);
		const high = this.#highAt(time);
		if (low === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) {
			const known = low === Number.NEGATIVE_INFINITY ? high : low;
			return { offsetNs: Number.isFinite(known) ? known : 0, errorNs: Number.POSITIVE_INFINITY };
		}
		return { offsetNs: (low + high) / 2, errorNs: (high - low) / 2 };
	}

	/** At `time` the offset was in [low, high]; either may be infinite. */
	observe(time: number, low: number, high: number): void {
		const before = { low: this.#lowAt(time), high: this.#highAt(time) };
		this.#at = time;
		this.#low = Math.max(before.low, low);
		this.#high = Math.min(before.high, high);
		if (this.#low > this.#high) this.#restart(low, high, before);
		this.#learnPace();
	}

	/** The newest observation contradicts all before it. */
	#restart(low: number, high: number, before: { readonly low: number; readonly high: number }): void {
		this.#anchor = null;
		this.#nextAnchor = null;
		this.#slowest = -this.#limits.maxDrift;
		this.#fastest = this.#limits.maxDrift;
		const width = before.high - before.low;
		// One side alone says how far it moved at least; the width that there was is taken as the doubt.
		this.#low = low === Number.NEGATIVE_INFINITY ? high - 2 * width : low;
		this.#high = high === Number.POSITIVE_INFINITY ? low + 2 * width : high;
	}

	#learnPace(): void {
		if (!Number.isFinite(this.#low) || !Number.isFinite(this.#high)) return;
		const now: Anchor = { at: this.#at, low: this.#low, high: this.#high };
		if (this.#anchor === null || this.#nextAnchor === null) {
			this.#anchor = now;
			this.#nextAnchor = now;
			return;
		}
		const width = (anchor: Anchor) => anchor.high - anchor.low;
		if (now.at - this.#nextAnchor.at > BASELINE_NS / 2) {
			this.#anchor = this.#nextAnchor;
			this.#nextAnchor = now;
		} else if (width(now) < width(this.#anchor) / 4 && now.at - this.#anchor.at < BASELINE_NS / 4) {
			// Much better known than when the baseline began: begin it anew.
			this.#anchor = now;
			this.#nextAnchor = now;
		}
		const baseline = now.at - this.#anchor.at;
		if (baseline < MIN_BASELINE_NS) return;
		const { maxDrift, wander } = this.#limits;
		this.#slowest = Math.max(-maxDrift, (now.low - this.#anchor.high) / baseline - wander);
		this.#fastest = Math.min(maxDrift, (now.high - this.#anchor.low) / baseline + wander);
	}

	#lowAt(time: number): number {
		const since = time - this.#at;
		return this.#low + since * (since >= 0 ? this.#slowest : this.#fastest);
	}

	#highAt(time: number): number {
		const since = time - this.#at;
		return this.#high + since * (since >= 0 ? this.#fastest : this.#slowest);
	}
}

/** All clocks of a trace; the reference is exact. */
export class ClockNetwork<Name> {
	readonly #reference: Name;
	readonly #limits: ClockLimits;
	readonly #clocks = new Map<Name, ClockBounds>();

	constructor(reference: Name, limits: ClockLimits = DEFAULT_CLOCK_LIMITS) {
		this.#reference = reference;
		this.#limits = limits;
	}

	/** Asked at `askedNs` and answered at `answeredNs` of the reference; the clock read `clockNs` in between. */
	asked(name: Name, askedNs: number, clockNs: number, answeredNs: number): void {
		if (name === this.#reference) return;
		this.#clock(name).observe(clockNs, askedNs - clockNs, answeredNs - clockNs);
	}

	/** A packet left `from` at `sentNs` and came to `to` at `receivedNs`, each by its own clock. */
	crossed(from: Name, to: Name, sentNs: number, receivedNs: number): void {
		const open = Number.POSITIVE_INFINITY;
		const lead = sentNs - receivedNs;
		const sender = this.#interval(from, sentNs);
		const receiver = this.#interval(to, receivedNs);
		if (to !== this.#reference) this.#clock(to).observe(receivedNs, sender.low + lead, open);
		if (from !== this.#reference) this.#clock(from).observe(sentNs, -open, receiver.high - lead);
	}

	/** @param timeNs of that clock */
	estimate(name: Name, timeNs: number): SourceClock {
		return name === this.#reference ? { offsetNs: 0, errorNs: 0 } : this.#clock(name).estimate(timeNs);
	}

	#interval(name: Name, time: number): { readonly low: number; readonly high: number } {
		return name === this.#reference ? { low: 0, high: 0 } : this.#clock(name).interval(time);
	}

	#clock(name: Name): ClockBounds {
		const known = this.#clocks.get(name);
		if (known !== undefined) return known;
		const clock = new ClockBounds(this.#limits);
		this.#clocks.set(name, clock);
		return clock;
	}
}
