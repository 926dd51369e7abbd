import type { Segment as Counted } from "../kernel/segments.js";
import { Histogram } from "./histogram.js";
import { BUCKETS, bucketStart } from "./scale.js";

/** What one of the kernel's segments counted in an interval. */
export interface Reading {
	readonly counted: Counted;
	/** Packets; of kinds without samples this is all there is. */
	readonly count: number;
	readonly histogram: Histogram;
}

interface Before {
	count: number;
	sumNs: number;
	readonly buckets: Uint32Array;
}

/** Turns the kernel's counters, which only ever grow, into what was added since the last call. */
export class Intervals {
	readonly #before = new Map<number, Before>();

	/** The first interval begins with the stopwatch. */
	next(segments: readonly Counted[]): readonly Reading[] {
		return segments.flatMap((counted) => {
			const before = this.#before.get(counted.index);
			const reading = difference(counted, before);
			const { count, sumNs, buckets } = counted;
			this.#before.set(counted.index, { count, sumNs, buckets });
			return reading.count > 0 ? [reading] : [];
		});
	}

	/** The same of segments that are no more: their entries may come to be others'. */
	last(segments: readonly Counted[]): readonly Reading[] {
		const readings = this.next(segments);
		for (const { index } of segments) this.#before.delete(index);
		return readings;
	}
}

function difference(counted: Counted, before: Before | undefined): Reading {
	const histogram = new Histogram();
	if (before === undefined) {
		histogram.addCounts(counted.buckets, counted.sumNs, counted.minNs, counted.maxNs);
		return { counted, count: counted.count, histogram };
	}
	const added = new Uint32Array(BUCKETS);
	let first = -1;
	let last = -1;
	for (let i = 0; i < BUCKETS; i++) {
		// They wrap at 2³²; the difference of two does not care.
		added[i] = (counted.buckets[i] as number) - (before.buckets[i] as number);
		if (added[i] === 0) continue;
		if (first < 0) first = i;
		last = i;
	}
	if (first >= 0) {
		// The kernel knows the bounds of all time; those of an interval are known as well as its buckets.
		const minNs = Math.max(bucketStart(first), counted.minNs);
		const maxNs = Math.min(bucketStart(last + 1) - 1, counted.maxNs);
		histogram.addCounts(added, counted.sumNs - before.sumNs, minNs, maxNs);
	}
	return { counted, count: counted.count - before.count, histogram };
}
