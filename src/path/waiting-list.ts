import type { Alarm } from "./alarm.js";
import { PathAt, PathF64, type PathTable } from "./path-table.js";

/** Paths in the order in which they began to wait, through PathTable.older and newer. A path is in one list at most. */
export type WaitingList = ReturnType<typeof makeWaitingList>;

/** @param number of this list among those over the same paths, from 1  @param waitNs how long a path waits here, ns */
export function makeWaitingList(paths: PathTable, number: number, alarm: Alarm, waitNs: number) {
	const self = {
		/** 0: none waits. */
		oldest: 0,
		/** The one before it is its `older`. */
		newest: 0,
		count: 0,
		/** Whoever changes it lowers the alarm. */
		waitNs,
		has,
		add,
		due,
		dueAt,
		remove,
	};
	return self;

	function has(path: number): boolean {
		return paths.words[path | PathAt.waiting] === number;
	}

	function add(path: number, since: number): void {
		paths.words[path | PathAt.waiting] = number;
		paths.doubles[(path >> 1) | PathF64.since] = since;
		paths.words[path | PathAt.newer] = 0;
		paths.words[path | PathAt.older] = self.newest;
		if (self.newest === 0) self.oldest = path;
		else paths.words[self.newest | PathAt.newer] = path;
		self.newest = path;
		self.count++;
		alarm.lower(since + self.waitNs);
	}

	/** The oldest, when it has waited its time by `now`; else 0. */
	function due(now: number): number {
		return dueAt() <= now ? self.oldest : 0;
	}

	/** When the oldest will have waited its time, ns; Infinity: none waits. */
	function dueAt(): number {
		const { oldest } = self;
		if (oldest === 0) return Number.POSITIVE_INFINITY;
		return (paths.doubles[(oldest >> 1) | PathF64.since] as number) + self.waitNs;
	}

	function remove(path: number): void {
		const older = paths.words[path | PathAt.older] as number;
		const newer = paths.words[path | PathAt.newer] as number;
		if (older === 0) self.oldest = newer;
		else paths.words[older | PathAt.newer] = newer;
		if (newer === 0) self.newest = older;
		else paths.words[newer | PathAt.older] = older;
		paths.words[path | PathAt.waiting] = 0;
		self.count--;
	}
}
