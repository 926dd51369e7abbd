import type { TupleTable } from "../packet/tuples.js";
import type { PathView } from "../path/path-view.js";

/** Counts connections by the tuples of their paths: both directions and both faces of a service are one. */
export class FlowCount {
	readonly #tuples: TupleTable;
	/** By tuple id: belongs to a flow that was counted. */
	readonly #known: Uint8Array;
	#count = 0;

	constructor(tuples: TupleTable) {
		this.#tuples = tuples;
		this.#known = new Uint8Array(tuples.capacity + 1);
	}

	get count(): number {
		return this.#count;
	}

	path(view: PathView): void {
		const first = view.tuple;
		if (this.#known[first] === 1) return;
		this.#count++;
		for (let n = 0; n < view.hopCount; n++) {
			const tuple = view.tupleAt(n);
			this.#known[tuple] = 1;
			this.#known[this.#tuples.reverse(tuple)] = 1;
		}
	}

	/** The id was retired and may name another tuple. */
	forget(tuple: number): void {
		this.#known[tuple] = 0;
	}
}
