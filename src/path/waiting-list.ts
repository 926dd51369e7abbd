import type { Alarm } from "./alarm.js";
import { PathAt, PathF64, type PathTable } from "./path-table.js";

/** Paths in the order in which they began to wait, through PathTable.older and newer. A path is in one list at most. */
export class WaitingList {
	oldest = 0;
	count = 0;
	/** How long a path waits here, ns. Whoever changes it lowers the alarm. */
	waitNs: number;
	#newest = 0;
	readonly #paths: PathTable;
	readonly #number: number;
	readonly #alarm: Alarm;

	/** @param number of this list among those over the same paths, from 1 */
	constructor(paths: PathTable, number: number, alarm: Alarm, waitNs: number) {
		this.#paths = paths;
		this.#number = number;
		this.#alarm = alarm;
		this.waitNs = waitNs;
	}

	/** 0: none waits. The one before it is its `older`. */
	get newest(): number {
		return this.#newest;
	}

	has(path: number): boolean {
		return this.#paths.words[path | PathAt.waiting] === this.#number;
	}

	add(path: number, since: number): void {
		const paths = this.#paths;
		paths.words[path | PathAt.waiting] = this.#number;
		paths.doubles[(path >> 1) | PathF64.since] = since;
		paths.words[path | PathAt.newer] = 0;
		paths.words[path | PathAt.older] = this.#newest;
		if (this.#newest === 0) this.oldest = path;
		else paths.words[this.#newest | PathAt.newer] = path;
		this.#newest = path;
		this.count++;
		this.#alarm.lower(since + this.waitNs);
	}

	/** The oldest, when it has waited its time by `now`; else 0. */
	due(now: number): number {
		return this.dueAt <= now ? this.oldest : 0;
	}

	/** When the oldest will have waited its time, ns; Infinity: none waits. */
	get dueAt(): number {
		const { oldest } = this;
		if (oldest === 0) return Number.POSITIVE_INFINITY;
		return (this.#paths.doubles[(oldest >> 1) | PathF64.since] as number) + this.waitNs;
	}

	remove(path: number): void {
		const paths = this.#paths;
		const older = paths.words[path | PathAt.older] as number;
		const newer = paths.words[path | PathAt.newer] as number;
		if (older === 0) this.oldest = newer;
		else paths.words[older | PathAt.newer] = newer;
		if (newer === 0) this.#newest = older;
		else paths.words[newer | PathAt.older] = older;
		paths.words[path | PathAt.waiting] = 0;
		this.count--;
	}
}
