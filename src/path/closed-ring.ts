import { PathAt, PathF64, type PathTable, State } from "./path-table.js";

/**
 * Closed paths in the order of closing, for as long as a late report may still revise them. Whoever forgets one earlier
 * leaves its entry: a path is told from a later one under the same id by its serial.
 */
export class ClosedRing {
	readonly #paths: PathTable;
	readonly #ids: Uint32Array;
	readonly #serials: Float64Array;
	readonly #times: Float64Array;
	readonly #mask: number;
	#first = 0;
	#count = 0;

	/** @param capacity a power of two */
	constructor(paths: PathTable, capacity: number) {
		this.#paths = paths;
		this.#ids = new Uint32Array(capacity);
		this.#serials = new Float64Array(capacity);
		this.#times = new Float64Array(capacity);
		this.#mask = capacity - 1;
	}

	/** Adds a path that closed at `time`; returns the one that has to be forgotten for it, 0: none. */
	add(path: number, time: number): number {
		const forgotten = this.#count > this.#mask ? this.take() : 0;
		const at = (this.#first + this.#count) & this.#mask;
		this.#ids[at] = path;
		this.#serials[at] = this.#paths.doubles[(path >> 1) | PathF64.serial] as number;
		this.#times[at] = time;
		this.#count++;
		return forgotten;
	}

	/** When the oldest was closed, ns; Infinity: there is none. */
	get oldest(): number {
		return this.#count === 0 ? Number.POSITIVE_INFINITY : (this.#times[this.#first] as number);
	}

	get isEmpty(): boolean {
		return this.#count === 0;
	}

	/** Removes the oldest entry; 0: its path was forgotten before. */
	take(): number {
		const path = this.#at(this.#first);
		this.#first = (this.#first + 1) & this.#mask;
		this.#count--;
		return path;
	}

	/** Reads from the newest on until `goesOn` says false. */
	newestFirst(goesOn: (path: number) => boolean): void {
		for (let n = this.#count - 1; n >= 0; n--) {
			const path = this.#at((this.#first + n) & this.#mask);
			if (path !== 0 && !goesOn(path)) return;
		}
	}

	#at(slot: number): number {
		const path = this.#ids[slot] as number;
		const isIt =
			this.#paths.words[path | PathAt.state] === State.closed &&
			this.#paths.doubles[(path >> 1) | PathF64.serial] === this.#serials[slot];
		return isIt ? path : 0;
	}
}
