/** Four times of one exchange, ns: ours when the request left and the answer came, theirs in between. */
export interface ClockSample {
	readonly sentNs: number;
	readonly receivedNs: number;
	readonly theirsReceivedNs: number;
	readonly theirsSentNs: number;
}

/** What is known of another clock at a moment of ours. theirs = ours + offset + rate × (time since). */
export interface ClockReading {
	/** By our clock, ns. */
	readonly atNs: number;
	readonly offsetNs: number;
	/** ns of offset a ns. */
	readonly rate: number;
	/** The true offset is within offset ± error, if the other clock's rate is steady. */
	readonly errorNs: number;
}

/** Between which two numbers an offset is at a moment, ns. */
export interface Bounds {
	readonly atNs: number;
	readonly low: number;
	readonly high: number;
}

const MOST_SAMPLES = 64;
/** No clock that keeps time at all runs further off: twice what a crystal may. */
const MOST_DRIFT = 200e-6;
/** What a steady clock's rate changes meanwhile (temperature). */
const WANDER = 1e-6;

/**
 * The offset of another clock, by bounds: a message cannot arrive before it was sent, so each exchange says between
 * which two numbers the offset is (RFC 5905, section 8, has the midpoint). Bounds of many exchanges, widened by what the
 * clock may have drifted meanwhile, are intersected. Pure.
 */
export class ClockEstimate {
	#bounds: Bounds[] = [];

	add({ sentNs, receivedNs, theirsReceivedNs, theirsSentNs }: ClockSample): void {
		this.addBounds({
			atNs: (sentNs + receivedNs) / 2,
			// Their answer left before we had it; our request left before they had it.
			low: theirsSentNs - receivedNs,
			high: theirsReceivedNs - sentNs,
		});
	}

	addBounds(bounds: Bounds): void {
		if (bounds.low > bounds.high) return;
		this.#bounds.push(bounds);
		if (this.#bounds.length > MOST_SAMPLES) this.#bounds.shift();
	}

	/** null: nothing is known yet. */
	at(nowNs: number): ClockReading | null {
		if (this.#bounds.length === 0) return null;
		const { low: slowest, high: fastest } = this.#rates();
		let low = Number.NEGATIVE_INFINITY;
		let high = Number.POSITIVE_INFINITY;
		// The newest first: if the clock was stepped, what is older contradicts them and does not count.
		for (let i = this.#bounds.length - 1; i >= 0; i--) {
			const bounds = this.#bounds[i] as Bounds;
			const age = nowNs - bounds.atNs;
			const [a, b] = [bounds.low + slowest * age, bounds.high + fastest * age];
			if (Math.max(low, a) > Math.min(high, b)) {
				this.#bounds = this.#bounds.slice(i + 1);
				break;
			}
			low = Math.max(low, a);
			high = Math.min(high, b);
		}
		return { atNs: nowNs, offsetNs: (low + high) / 2, rate: (slowest + fastest) / 2, errorNs: (high - low) / 2 };
	}

	/** Between which two numbers the rate is: by the narrowest exchange of long ago and the narrowest of late. */
	#rates(): { readonly low: number; readonly high: number } {
		const third = Math.floor(this.#bounds.length / 3);
		const before = narrowest(this.#bounds.slice(0, third));
		const after = narrowest(this.#bounds.slice(-third));
		if (third === 0 || before === null || after === null) return { low: -MOST_DRIFT, high: MOST_DRIFT };
		const elapsed = after.atNs - before.atNs;
		const low = (after.low - before.high) / elapsed - WANDER;
		const high = (after.high - before.low) / elapsed + WANDER;
		return { low: Math.max(low, -MOST_DRIFT), high: Math.min(high, MOST_DRIFT) };
	}
}

function narrowest(bounds: readonly Bounds[]): Bounds | null {
	let best: Bounds | null = null;
	for (const each of bounds) if (best === null || each.high - each.low < best.high - best.low) best = each;
	return best;
}
