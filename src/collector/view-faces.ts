import type { PathFaces } from "../filter/path.js";
import type { TupleTable } from "../packet/tuples.js";
import type { PathView } from "../path/path-view.js";

/** The Joiner's flyweight as the exact filter wants it. One object for all paths: `over` shows the next. */
export class ViewFaces implements PathFaces {
	readonly tuples: TupleTable;
	#view: PathView | null = null;

	constructor(tuples: TupleTable) {
		this.tuples = tuples;
	}

	over(view: PathView): this {
		this.#view = view;
		return this;
	}

	get hops(): number {
		return this.#shown().hopCount;
	}
	hook(index: number): number {
		return this.#shown().hook(index);
	}
	tuple(index: number): number {
		return this.#shown().tupleAt(index);
	}
	flags(): number {
		return this.#shown().flags;
	}
	/** Of one skb: a hop that several overlap is as long as the first hop's, as near as it can be told. */
	length(index: number): number {
		return this.#shown().packets(index) === 1 ? this.#shown().bytes(index) : this.#shown().length;
	}
	tcpFlags(): number {
		return this.#shown().tcpFlags;
	}
	ttl(index: number): number {
		return this.#shown().ttl(index);
	}
	vlan(index: number): number {
		return this.#shown().vlan(index);
	}
	sequence(): number {
		return this.#shown().sequence;
	}
	acknowledgement(): number {
		return this.#shown().acknowledgement;
	}
	window(): number {
		return this.#shown().window;
	}
	ipId(): number {
		return this.#shown().ipId;
	}

	/** A method: V8 asks its runtime for the value of a private getter, each time. */
	#shown(): PathView {
		if (this.#view === null) throw new Error("no path is shown");
		return this.#view;
	}
}
