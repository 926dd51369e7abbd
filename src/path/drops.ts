import type { DropReport } from "./judgement.js";

export interface PendingDrop {
	readonly source: number;
	/** Joiner time, ns. */
	readonly time: number;
	readonly report: DropReport;
}

/** Drop reports that wait for the rows before them. Few: a sorted array does. */
export class PendingDrops {
	/** Time of the first, ns; Infinity: none. */
	next = Number.POSITIVE_INFINITY;
	readonly #queue: PendingDrop[] = [];

	add(drop: PendingDrop): void {
		let at = this.#queue.length;
		while (at > 0 && (this.#queue[at - 1]?.time ?? 0) > drop.time) at--;
		this.#queue.splice(at, 0, drop);
		this.next = this.#queue[0]?.time ?? Number.POSITIVE_INFINITY;
	}

	/** The first, when it is not after `now`. */
	take(now: number): PendingDrop | null {
		if (this.next > now) return null;
		const drop = this.#queue.shift() ?? null;
		this.next = this.#queue[0]?.time ?? Number.POSITIVE_INFINITY;
		return drop;
	}
}
