import type { Sightings } from "../packet/sightings.js";
import { mixA, mixB, STEADY_SHAPE, shapeOf } from "./key.js";
import { Kind } from "./tuple-facts.js";

/** The sighting that is being read: its row, and what was worked out of it. One object for all rows. */
export class Sight {
	/** The window's. Written once: V8 takes for a constant what no declaration has filled before. */
	declare readonly rows: Sightings;
	i = 0;
	/** Joiner time, ns. */
	now = Number.NEGATIVE_INFINITY;
	source = 0;
	hook = 0;
	/** Of the hook. */
	rank = 0;
	tuple = 0;
	/** Of the tuple, see TupleFacts. */
	kind = 0;
	/** A carrier of its pointer that lost its path and waits for this sighting's; 0: none. */
	vacant = 0;
	#keyed = false;
	#keyA = 0;
	#keyB = 0;

	constructor(rows: Sightings) {
		this.rows = rows;
	}

	/** Shows the next row; the caller sets the other fields. */
	show(i: number): void {
		this.i = i;
		this.#keyed = false;
	}

	/** What identifies its packet: see key.ts. Most rows are placed without. */
	get keyA(): number {
		if (!this.#keyed) this.#makeKey();
		return this.#keyA;
	}
	get keyB(): number {
		if (!this.#keyed) this.#makeKey();
		return this.#keyB;
	}

	#makeKey(): void {
		const { rows, i, kind } = this;
		const sequence = rows.sequence[i] as number;
		const acknowledgement = rows.acknowledgement[i] as number;
		const tsval = rows.tsval[i] as number;
		const hash = (kind & Kind.icmpError) === 0 ? (rows.hash[i] as number) : 0;
		const id = (rows.ipId[i] as number) ^ (kind << 16);
		const payload = rows.payload[i] as number;
		const shape = shapeOf(rows, i) & STEADY_SHAPE;
		this.#keyA = mixA(sequence, acknowledgement, tsval, hash, id, payload, shape);
		this.#keyB = mixB(sequence, acknowledgement, tsval, hash, id, payload, shape);
		this.#keyed = true;
	}

	get protocol(): number {
		return this.kind & 0xff;
	}
	get ingress(): number {
		return this.rows.ingress[this.i] as number;
	}
	get ipId(): number {
		return this.rows.ipId[this.i] as number;
	}
	get payload(): number {
		return this.rows.payload[this.i] as number;
	}
	get length(): number {
		return this.rows.length[this.i] as number;
	}
	get sequence(): number {
		return this.rows.sequence[this.i] as number;
	}
	get tsval(): number {
		return this.rows.tsval[this.i] as number;
	}
	get segments(): number {
		return this.rows.segments[this.i] as number;
	}
	get gsoSize(): number {
		return this.rows.gsoSize[this.i] as number;
	}
	get flags(): number {
		return this.rows.flags[this.i] as number;
	}
}
