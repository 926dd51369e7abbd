import { BUCKETS, bucketOf, bucketStart } from "./scale.js";

export interface Bucket {
	/** Inclusive. */
	readonly fromNs: number;
	/** Exclusive. */
	readonly toNs: number;
	readonly count: number;
}

/** How often which duration was seen, on the kernel's scale. All times in ns. */
export class Histogram {
	readonly #buckets = new Float64Array(BUCKETS);
	count = 0;
	sumNs = 0;
	/** Infinity and 0 while there is nothing. */
	minNs = Number.POSITIVE_INFINITY;
	maxNs = 0;

	/** One duration. */
	record(ns: number): void {
		const bucket = bucketOf(ns);
		this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
		this.count++;
		this.sumNs += ns;
		this.minNs = Math.min(this.minNs, ns);
		this.maxNs = Math.max(this.maxNs, ns);
	}

	/** Durations that the kernel counted: by bucket, with their sum and bounds. */
	addCounts(counts: ArrayLike<number>, sumNs: number, minNs: number, maxNs: number): void {
		let count = 0;
		for (let i = 0; i < BUCKETS; i++) {
			const here = counts[i] as number;
			if (here === 0) continue;
			this.#buckets[i] = (this.#buckets[i] as number) + here;
			count += here;
		}
		if (count === 0) return;
		this.count += count;
		this.sumNs += sumNs;
		this.minNs = Math.min(this.minNs, minNs);
		this.maxNs = Math.max(this.maxNs, maxNs);
	}

	add(other: Histogram): void {
		this.addCounts(other.#buckets, other.sumNs, other.minNs, other.maxNs);
	}

	/**
	 * The duration that a share of all does not exceed, within QUANTILE_ERROR; null while there is nothing.
	 * @param share 0.5 is the median
	 */
	quantile(share: number): number | null {
		if (this.count === 0) return null;
		const rank = Math.max(1, Math.ceil(share * this.count));
		let seen = 0;
		for (let i = 0; i < BUCKETS; i++) {
			seen += this.#buckets[i] as number;
			if (seen >= rank) return clamp(middle(i), this.minNs, this.maxNs);
		}
		return this.maxNs;
	}

	/** Not empty ones, in order. */
	buckets(): readonly Bucket[] {
		const found: Bucket[] = [];
		for (let i = 0; i < BUCKETS; i++) {
			const count = this.#buckets[i] as number;
			if (count > 0) found.push({ fromNs: bucketStart(i), toNs: bucketStart(i + 1), count });
		}
		return found;
	}
}

/** Of the whole numbers in the bucket. */
function middle(index: number): number {
	return Math.floor((bucketStart(index) + bucketStart(index + 1) - 1) / 2);
}

function clamp(value: number, least: number, most: number): number {
	return Math.min(most, Math.max(least, value));
}
