import type { PathFaces } from "../filter/path.js";
import type { TupleTable } from "../packet/tuples.js";
import type { PathView } from "../path/path-view.js";

/** The Joiner's flyweight as the exact filter wants it. */
export class ViewFaces implements PathFaces {
	/* Written once: V8 takes for a constant what no declaration has filled before. */
	declare readonly tuples: TupleTable;
	declare private readonly view: PathView;

	constructor(tuples: TupleTable, view: PathView) {
		this.tuples = tuples;
		this.view = view;
	}

	get hops(): number {
		return this.view.hopCount;
	}
	hook(index: number): number {
		return this.view.hook(index);
	}
	tuple(index: number): number {
		return this.view.tupleAt(index);
	}
	flags(): number {
		return this.view.flags;
	}
	/** Of one skb: a hop that several overlap is as long as the first hop's, as near as it can be told. */
	length(index: number): number {
		return this.view.packets(index) === 1 ? this.view.bytes(index) : this.view.length;
	}
	tcpFlags(): number {
		return this.view.tcpFlags;
	}
	ttl(index: number): number {
		return this.view.ttl(index);
	}
	vlan(index: number): number {
		return this.view.vlan(index);
	}
	sequence(): number {
		return this.view.sequence;
	}
	acknowledgement(): number {
		return this.view.acknowledgement;
	}
	window(): number {
		return this.view.window;
	}
	ipId(): number {
		return this.view.ipId;
	}
}
