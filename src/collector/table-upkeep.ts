import type { OuterTable } from "../packet/outers.js";
import type { TupleTable } from "../packet/tuples.js";

/** Longer than any path stays open: what was not met for so long is held by nobody (ns). */
const GRACE_NS = 8e9;

/**
 * Keeps room in the tables of tuples and outer headers: when one gets crowded an epoch begins, and what was not met
 * until its grace has passed is retired. See Interner for the law of ids.
 */
export class TableUpkeep {
	readonly #tuples: TupleTable;
	readonly #outers: OuterTable;
	readonly #forget: (tuple: number) => void;
	readonly #keep: () => void;
	#begun: { readonly atNs: number; readonly tuples: number; readonly outers: number } | null = null;

	/**
	 * @param forget the id may mean another tuple from now on
	 * @param keep whoever holds ids longer than the grace says so in the tables now
	 */
	constructor(tuples: TupleTable, outers: OuterTable, forget: (tuple: number) => void, keep: () => void = () => {}) {
		this.#tuples = tuples;
		this.#outers = outers;
		this.#forget = forget;
		this.#keep = keep;
	}

	/** @param nowNs a watermark, ns */
	tick(nowNs: number): void {
		if (this.#begun === null) {
			if (!this.#tuples.crowded && !this.#outers.crowded) return;
			this.#begun = { atNs: nowNs, tuples: this.#tuples.tick(), outers: this.#outers.tick() };
			return;
		}
		if (nowNs - this.#begun.atNs < GRACE_NS) return;
		this.#keep();
		this.#tuples.retire(this.#begun.tuples, this.#forget);
		this.#outers.retire(this.#begun.outers);
		this.#begun = null;
	}
}
