import type { Sightings } from "../packet/sightings.js";

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

	constructor(rows: Sightings) {
		this.rows = rows;
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
