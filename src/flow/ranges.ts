/** Intervals beyond which the oldest gap is taken for sent: it was lost before the trace, or never seen. */
const MOST_INTERVALS = 32;

/**
 * Which bytes of a direction were seen sent, as disjoint intervals [start, end) in rising order. Nearly always one, and
 * it grows at its end.
 */
export class SentRanges {
	readonly #starts: number[] = [];
	readonly #ends: number[] = [];

	/** One past the highest byte; −Infinity: nothing was sent. */
	get frontier(): number {
		return this.#ends.at(-1) ?? Number.NEGATIVE_INFINITY;
	}

	/** Adds an interval; how many of its bytes were there before. */
	add(start: number, end: number): number {
		const latest = this.#ends.length - 1;
		if (latest >= 0 && start === this.#ends[latest]) {
			this.#ends[latest] = end;
			return 0;
		}
		return this.#insert(start, end);
	}

	intervals(): readonly (readonly [number, number])[] {
		return this.#starts.map((start, i) => [start, this.#ends[i] ?? start]);
	}

	#insert(start: number, end: number): number {
		const starts = this.#starts;
		const ends = this.#ends;
		let from = 0;
		while (from < ends.length && (ends[from] as number) < start) from++;
		let to = from;
		let overlap = 0;
		let lowest = start;
		let highest = end;
		while (to < starts.length && (starts[to] as number) <= end) {
			const left = starts[to] as number;
			const right = ends[to] as number;
			overlap += Math.max(0, Math.min(end, right) - Math.max(start, left));
			lowest = Math.min(lowest, left);
			highest = Math.max(highest, right);
			to++;
		}
		starts.splice(from, to - from, lowest);
		ends.splice(from, to - from, highest);
		if (starts.length > MOST_INTERVALS) {
			starts.splice(1, 1);
			ends.splice(0, 1);
		}
		return overlap;
	}
}
