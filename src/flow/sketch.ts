import type { RttQuantiles } from "./record.js";

/** Buckets an octave, and octaves from 1 µs: 16 s is the last. */
const SUBDIVISION = 16;
const OCTAVES = 24;
const BUCKETS = SUBDIVISION * OCTAVES;
const FINEST_NS = 1000;

/**
 * A histogram of durations: nothing without a sample, then 768 bytes, twice that from 65,536 samples in a bucket on. A quantile is off by at most 1/32 (half a bucket of a
 * sixteenth of an octave), above 1 µs; the largest is exact.
 */
export class RttSketch {
	#buckets: Uint16Array | Uint32Array | null = null;
	#count = 0;
	#least = Number.POSITIVE_INFINITY;
	#largest = 0;

	get count(): number {
		return this.#count;
	}

	/** @param ns 0 or more */
	add(ns: number): void {
		this.#buckets ??= new Uint16Array(BUCKETS);
		const bucket = bucketOf(ns);
		if (this.#buckets[bucket] === 0xffff) this.#buckets = Uint32Array.from(this.#buckets);
		this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
		this.#count++;
		this.#least = Math.min(this.#least, ns);
		this.#largest = Math.max(this.#largest, ns);
	}

	merge(other: RttSketch): void {
		const theirs = other.#buckets;
		if (theirs === null) return;
		const ours = this.#buckets;
		this.#buckets = Uint32Array.from(theirs, (count, i) => count + (ours?.[i] ?? 0));
		this.#count += other.#count;
		this.#least = Math.min(this.#least, other.#least);
		this.#largest = Math.max(this.#largest, other.#largest);
	}

	/** null without a sample. */
	quantiles(): RttQuantiles | null {
		if (this.#count === 0) return null;
		return {
			count: this.#count,
			p50Ns: this.#quantile(0.5),
			p90Ns: this.#quantile(0.9),
			p99Ns: this.#quantile(0.99),
			maxNs: Math.round(this.#largest),
		};
	}

	/** Nearest rank. */
	#quantile(fraction: number): number {
		const rank = Math.max(1, Math.ceil(fraction * this.#count));
		let below = 0;
		for (const [bucket, count] of (this.#buckets ?? []).entries()) {
			below += count;
			if (below >= rank) return Math.round(Math.min(this.#largest, Math.max(this.#least, middleOf(bucket))));
		}
		return Math.round(this.#largest);
	}
}

function bucketOf(ns: number): number {
	const units = ns / FINEST_NS;
	if (units < 1) return 0;
	const octave = Math.min(OCTAVES - 1, Math.floor(Math.log2(units)));
	const within = Math.floor((units / 2 ** octave - 1) * SUBDIVISION);
	return octave * SUBDIVISION + Math.min(SUBDIVISION - 1, Math.max(0, within));
}

function middleOf(bucket: number): number {
	const octave = Math.floor(bucket / SUBDIVISION);
	return FINEST_NS * 2 ** octave * (1 + ((bucket % SUBDIVISION) + 0.5) / SUBDIVISION);
}
