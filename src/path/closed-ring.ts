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
export type ClosedRing = ReturnType<typeof makeClosedRing>;

/**
 * @param capacity a power of two
 * @param number told to its paths
 * @param keepNs how long a closed path may be revised, ns
 */
export function makeClosedRing(paths: PathTable, capacity: number, number: number, alarm: Alarm, keepNs: number) {
	/** 0: forgotten. The last one is the place of all that the ring has let go. */
	const ids = new Uint32Array(capacity + 1);
	const times = new Float64Array(capacity);
	const mask = capacity - 1;
	let first = 0;
	let count = 0;
	const self = {
		/** Whoever changes it lowers the alarm. */
		keepNs,
		add,
		dueAt,
		isEmpty,
		take,
		forget,
		newestFirst,
	};
	return self;

	/** Adds a path that closed at `time`; returns the one that has to be forgotten for it, 0: none. */
	function add(path: number, time: number): number {
		const forgotten = count > mask ? take() : 0;
		const at = (first + count) & mask;
		ids[at] = path;
		times[at] = time;
		paths.words[path | PathAt.closedAt] = at | (number << NUMBER_SHIFT);
		count++;
		alarm.lower(time + self.keepNs);
		return forgotten;
	}

	/** When the oldest need not be kept any more, ns; Infinity: there is none. */
	function dueAt(): number {
		return count === 0 ? Number.POSITIVE_INFINITY : (times[first] as number) + self.keepNs;
	}

	function isEmpty(): boolean {
		return count === 0;
	}

	/** Removes the oldest entry; 0: its path was forgotten before. */
	function take(): number {
		const path = ids[first] as number;
		paths.words[path | PathAt.closedAt] = (mask + 1) | (number << NUMBER_SHIFT);
		first = (first + 1) & mask;
		count--;
		return path;
	}

	/** The path, which has been here, is forgotten. Nothing is read: its place may have left the cache. */
	function forget(path: number): void {
		ids[(paths.words[path | PathAt.closedAt] as number) & PLACE] = 0;
	}

	/** Reads from the newest on until `goesOn` says false. */
	function newestFirst(goesOn: (path: number) => boolean): void {
		for (let n = count - 1; n >= 0; n--) {
			const path = ids[(first + n) & mask] as number;
			if (path !== 0 && !goesOn(path)) return;
		}
	}
}
