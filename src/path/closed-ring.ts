import type { Alarm } from "./alarm.js";
import { PathAt, type PathTable } from "./path-table.js";

/** A path knows its place in a ring, and above this bit the ring's number. */
const NUMBER_SHIFT = 24;
const PLACE = (1 << NUMBER_SHIFT) - 1;

/** The number of the ring that a path is in. @param closedAt of a closed path */
export function ringOf(closedAt: number): number {
	return closedAt >>> NUMBER_SHIFT;
}

/**
 * Closed paths in the order of closing, for as long as a late report may still revise them. A path knows its place, so
 * that whoever forgets it earlier leaves a gap: the oldest is taken without a look at records that left the cache long ago.
 */
export class ClosedRing {
	readonly #paths: PathTable;
	readonly #number: number;
	/** 0: forgotten. The last one is the place of all that the ring has let go. */
	readonly #ids: Uint32Array;
	readonly #times: Float64Array;
	readonly #mask: number;
	/** How long a closed path may be revised, ns. Whoever changes it lowers the alarm. */
	keepNs: number;
	readonly #alarm: Alarm;
	#first = 0;
	#count = 0;

	/** @param capacity a power of two  @param number told to its paths */
	constructor(paths: PathTable, capacity: number, number: number, alarm: Alarm, keepNs: number) {
		this.#alarm = alarm;
		this.keepNs = keepNs;
		this.#paths = paths;
		this.#number = number;
		this.#ids = new Uint32Array(capacity + 1);
		this.#times = new Float64Array(capacity);
		this.#mask = capacity - 1;
	}

	/** Adds a path that closed at `time`; returns the one that has to be forgotten for it, 0: none. */
	add(path: number, time: number): number {
		const forgotten = this.#count > this.#mask ? this.take() : 0;
		const at = (this.#first + this.#count) & this.#mask;
		this.#ids[at] = path;
		this.#times[at] = time;
		this.#paths.words[path | PathAt.closedAt] = at | (this.#number << NUMBER_SHIFT);
		this.#count++;
		this.#alarm.lower(time + this.keepNs);
		return forgotten;
	}

	/** When the oldest need not be kept any more, ns; Infinity: there is none. */
	get dueAt(): number {
		return this.#count === 0 ? Number.POSITIVE_INFINITY : (this.#times[this.#first] as number) + this.keepNs;
	}

	get isEmpty(): boolean {
		return this.#count === 0;
	}

	/** Removes the oldest entry; 0: its path was forgotten before. */
	take(): number {
		const path = this.#ids[this.#first] as number;
		this.#paths.words[path | PathAt.closedAt] = (this.#mask + 1) | (this.#number << NUMBER_SHIFT);
		this.#first = (this.#first + 1) & this.#mask;
		this.#count--;
		return path;
	}

	/** The path, which has been here, is forgotten. Nothing is read: its place may have left the cache. */
	forget(path: number): void {
		this.#ids[(this.#paths.words[path | PathAt.closedAt] as number) & PLACE] = 0;
	}

	/** Reads from the newest on until `goesOn` says false. */
	newestFirst(goesOn: (path: number) => boolean): void {
		for (let n = this.#count - 1; n >= 0; n--) {
			const path = this.#ids[(this.#first + n) & this.#mask] as number;
			if (path !== 0 && !goesOn(path)) return;
		}
	}
}
