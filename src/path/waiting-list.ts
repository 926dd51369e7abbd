import type { PathTable } from "./path-table.js";

/** Paths in the order in which they began to wait, through PathTable.older and newer. A path is in one list at most. */
export class WaitingList {
	oldest = 0;
	count = 0;
	#newest = 0;
	readonly #paths: PathTable;
	readonly #number: number;

	/** @param number of this list among those over the same paths, from 1 */
	constructor(paths: PathTable, number: number) {
		this.#paths = paths;
		this.#number = number;
	}

	has(path: number): boolean {
		return this.#paths.waiting[path] === this.#number;
	}

	add(path: number, since: number): void {
		const paths = this.#paths;
		paths.waiting[path] = this.#number;
		paths.since[path] = since;
		paths.newer[path] = 0;
		paths.older[path] = this.#newest;
		if (this.#newest === 0) this.oldest = path;
		else paths.newer[this.#newest] = path;
		this.#newest = path;
		this.count++;
	}

	remove(path: number): void {
		const paths = this.#paths;
		const older = paths.older[path] as number;
		const newer = paths.newer[path] as number;
		if (older === 0) this.oldest = newer;
		else paths.newer[older] = newer;
		if (newer === 0) this.#newest = older;
		else paths.older[newer] = older;
		paths.waiting[path] = 0;
		this.count--;
	}
}
