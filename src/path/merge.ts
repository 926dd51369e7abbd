import type { Sightings } from "../packet/sightings.js";

/** Takes rows in their one order. */
export interface RowReader {
	/** One cell: the time of the row on the joiner's line, ns, is set before `row` is called. */
	readonly now: Float64Array;
	row(source: number, rows: Sightings, i: number): void;
	/** These rows are read next: what they lead to may be fetched into the processor's cache. */
	warm(source: number, rows: Sightings, from: number, to: number): void;
	/** The next rows of this source were moved by so much to the joiner's line; the first of them is at `time`. */
	offset(source: number, offsetNs: number, time: number): void;
	/** The order of rows of equal time: by what is in them, never by how they came. Negative: a first. */
	compare(a: TiedRow, b: TiedRow): number;
	/** Every row of the batch was read: its memory is free again. */
	done(rows: Sightings): void;
}

export interface TiedRow {
	readonly source: number;
	readonly rows: Sightings;
	readonly i: number;
	readonly time: number;
}

const WARM_ROWS = 64;

/** Batches of one ring, or of one source that merged its rings itself: rising times. */
class Lane {
	readonly source: number;
	readonly batches: { readonly rows: Sightings; readonly offsetNs: number }[] = [];
	at = 0;
	/** Rows of the first batch before this one are warm. */
	warmed = 0;

	constructor(source: number) {
		this.source = source;
	}

	get head(): number {
		const batch = this.batches[0];
		return batch === undefined ? Number.POSITIVE_INFINITY : (batch.rows.time[this.at] as number) + batch.offsetNs;
	}

	/** Time of the row behind the head; Infinity: there is none yet. */
	get second(): number {
		const batch = this.batches[0];
		if (batch === undefined) return Number.POSITIVE_INFINITY;
		if (this.at + 1 < batch.rows.count) return (batch.rows.time[this.at + 1] as number) + batch.offsetNs;
		const next = this.batches[1];
		return next === undefined ? Number.POSITIVE_INFINITY : (next.rows.time[0] as number) + next.offsetNs;
	}

	/** Steps behind the head; returns the batch that this finished, if it did. */
	step(): Sightings | null {
		this.at++;
		const batch = this.batches[0];
		if (batch === undefined || this.at < batch.rows.count) return null;
		this.batches.shift();
		this.at = 0;
		this.warmed = 0;
		return batch.rows;
	}
}

/**
 * Merges lanes by time up to a limit, so that any interleaving of batches that keeps each lane's order is read as one
 * and the same sequence.
 */
export class Merge {
	readonly #lanes: Lane[] = [];
	#queued = 0;

	/** Rows that wait for a watermark. */
	get queued(): number {
		return this.#queued;
	}

	/** A lane for `push`. */
	open(source: number): number {
		return this.#lanes.push(new Lane(source)) - 1;
	}

	/** Takes the batch over until `done`. @param offsetNs from the source's clock to the joiner's line */
	push(lane: number, rows: Sightings, offsetNs: number): void {
		this.#lanes[lane]?.batches.push({ rows, offsetNs });
		this.#queued += rows.count;
	}

	/** Shows every row that waits, in no order. */
	forEachRow(show: (rows: Sightings, i: number) => void): void {
		for (const lane of this.#lanes) {
			for (const [n, { rows }] of lane.batches.entries()) {
				for (let i = n === 0 ? lane.at : 0; i < rows.count; i++) show(rows, i);
			}
		}
	}

	/** Reads every row before `limit`. */
	drain(limit: number, reader: RowReader): void {
		for (;;) {
			let first: Lane | null = null;
			let least = Number.POSITIVE_INFINITY;
			let rival = Number.POSITIVE_INFINITY;
			for (const lane of this.#lanes) {
				const head = lane.head;
				if (head < least) {
					rival = least;
					least = head;
					first = lane;
				} else if (head < rival) {
					rival = head;
				}
			}
			if (first === null || least >= limit) return;
			if (least === rival || least === first.second) this.#tie(least, reader);
			else this.#run(first, Math.min(limit, rival), reader);
		}
	}

	/** Reads rows of one lane while they stand alone before `end`; at least one. */
	#run(lane: Lane, end: number, reader: RowReader): void {
		const batch = lane.batches[0];
		if (batch === undefined) return;
		const { rows, offsetNs } = batch;
		const times = rows.time;
		const last = rows.count - 1;
		let i = lane.at;
		let time = (times[i] as number) + offsetNs;
		reader.offset(lane.source, offsetNs, time);
		while (i < last && time < end) {
			if (i >= lane.warmed) {
				lane.warmed = Math.min(i + WARM_ROWS, last + 1);
				reader.warm(lane.source, rows, i, lane.warmed);
			}
			const next = (times[i + 1] as number) + offsetNs;
			if (next === time) break;
			reader.now[0] = time;
			reader.row(lane.source, rows, i);
			time = next;
			i++;
		}
		this.#queued -= i - lane.at;
		lane.at = i;
		if (i === last && time < end && lane.second !== time) {
			reader.now[0] = time;
			reader.row(lane.source, rows, i);
			this.#step(lane, reader);
		}
	}

	/** Reads all rows of one time, of all lanes, in the order of their content. */
	#tie(time: number, reader: RowReader): void {
		const tied: TiedRow[] = [];
		const finished: Sightings[] = [];
		for (const lane of this.#lanes) {
			while (lane.head === time) {
				const batch = lane.batches[0];
				if (batch === undefined) break;
				reader.offset(lane.source, batch.offsetNs, time);
				tied.push({ source: lane.source, rows: batch.rows, i: lane.at, time });
				const done = lane.step();
				if (done !== null) finished.push(done);
			}
		}
		this.#queued -= tied.length;
		if (tied.length > 1) tied.sort((a, b) => reader.compare(a, b));
		reader.now[0] = time;
		for (const { source, rows, i } of tied) reader.row(source, rows, i);
		for (const rows of finished) reader.done(rows);
	}

	#step(lane: Lane, reader: RowReader): void {
		this.#queued--;
		const finished = lane.step();
		if (finished !== null) reader.done(finished);
	}
}
