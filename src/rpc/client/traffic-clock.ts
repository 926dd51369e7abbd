import { ClockEstimate, type ClockReading } from "./clock-estimate.js";

/** A packet there and one back within this bound the offset of two clocks; drift meanwhile is some µs. */
const PAIR_NS = 20e6;
/** Of the pairs of this time only the narrowest counts. */
const BUCKET_NS = 250e6;

interface Crossing {
	/** When it left the one and reached the other, on the line. */
	readonly leftNs: number;
	readonly reachedNs: number;
	/** Their clocks' difference, plus what the wire took, ns. */
	readonly difference: number;
}

/** What is known of a pair of nodes. `there`: from the reference. */
interface Pair {
	estimate: ClockEstimate;
	there: Crossing | null;
	back: Crossing | null;
	best: { readonly atNs: number; readonly low: number; readonly high: number } | null;
	bucketNs: number;
}

/** How a time on the line came about. */
export type OffsetOf = (node: string, lineNs: number) => number | null;

/**
 * The offset between nodes' clocks by the packets that cross between them: none arrives before it was sent, so one each
 * way says between which two numbers the offset is. The wire is quicker than any RPC, so these bounds are narrow. All
 * are against one node, the reference: the first that was seen to have traffic both ways. Pure.
 */
export class TrafficClock {
	readonly #offsetOf: OffsetOf;
	readonly #pairs = new Map<string, Pair>();
	/** One-way crossings until a reference is chosen. */
	readonly #crossed = new Set<string>();
	#reference: string | null = null;

	constructor(offsetOf: OffsetOf) {
		this.#offsetOf = offsetOf;
	}

	get reference(): string | null {
		return this.#reference;
	}

	/** A packet left `from` and was seen next on `to`; times on the line. */
	crossed(from: string, leftNs: number, to: string, reachedNs: number): void {
		this.#chooseReference(from, to);
		const other = from === this.#reference ? to : to === this.#reference ? from : null;
		if (other === null) return;
		const [left, reached] = [this.#offsetOf(from, leftNs), this.#offsetOf(to, reachedNs)];
		if (left === null || reached === null) return;
		const pair = this.#pairOf(other);
		const difference = reachedNs + reached - leftNs - left;
		const crossing: Crossing = { leftNs, reachedNs, difference };
		if (other === to) pair.there = crossing;
		else pair.back = crossing;
		this.#bound(pair);
	}

	/** Of a node's clock against the reference's: theirs = reference's + offset. Null: there was no traffic both ways. */
	reading(node: string, nowNs: number): ClockReading | null {
		return this.#pairs.get(node)?.estimate.at(nowNs) ?? null;
	}

	/** The node's clock is another one now. */
	forget(node: string): void {
		this.#pairs.delete(node);
		if (node !== this.#reference) return;
		this.#reference = null;
		this.#pairs.clear();
		this.#crossed.clear();
	}

	#chooseReference(from: string, to: string): void {
		if (this.#reference !== null) return;
		if (this.#crossed.has(`${to} ${from}`)) this.#reference = from < to ? from : to;
		else this.#crossed.add(`${from} ${to}`);
	}

	#pairOf(other: string): Pair {
		const known = this.#pairs.get(other);
		if (known !== undefined) return known;
		const pair = { estimate: new ClockEstimate(), there: null, back: null, best: null, bucketNs: 0 };
		this.#pairs.set(other, pair);
		return pair;
	}

	/** difference there = offset + wire, difference back = −offset + wire, and no wire is negative. */
	#bound(pair: Pair): void {
		const { there, back } = pair;
		if (there === null || back === null || Math.abs(there.leftNs - back.leftNs) > PAIR_NS) return;
		const atNs = (there.leftNs + back.leftNs) / 2;
		const bounds = { atNs, low: -back.difference, high: there.difference };
		if (bounds.low > bounds.high) return;
		if (pair.best === null || atNs - pair.bucketNs > BUCKET_NS) {
			pair.bucketNs = atNs;
			pair.best = null;
		}
		if (pair.best !== null && pair.best.high - pair.best.low <= bounds.high - bounds.low) return;
		pair.best = bounds;
		pair.estimate.addBounds(bounds);
	}
}
