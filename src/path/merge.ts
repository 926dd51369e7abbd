import type { Sightings } from "../packet/sightings.js";

/** Takes rows in their one order. */
export interface RowReader {
	/** One cell: the time of the row on the joiner's line, ns, is set before `row` is called. */
	readonly now: Float64Array;
	/** The next ones are rows of this batch, moved by so much to the joiner's line; the first of them is at `time`. */
	begin(source: number, rows: Sightings, offsetNs: number, time: number): void;
	row(i: number): void;
	/** These rows of it, WARM_ROWS at most, are read next: what they lead to may be fetched into the processor's cache. */
	warm(from: number, to: number): void;
	/** The order of rows of equal time: by what is in them, never by how they came. Negative: a first. */
	compare(a: TiedRow, b: TiedRow): number;
	/** Every row of the batch was read: its memory is free again. */
	done(rows: Sightings): void;
}

export interface TiedRow {
	readonly source: number;
	readonly rows: Sightings;
	readonly offsetNs: number;
	readonly i: number;
	readonly time: number;
}

/** Rows that are announced at once: what they lead to has room in the first cache. */
export const WARM_ROWS = 64;

/** Batches of one ring, or of one source that merged its rings itself: rising times. The first of them is being read. */
class Lane {
	readonly source: number;
	readonly batches: { readonly rows: Sightings; readonly offsetNs: number }[] = [];
	/** Its next row in the first batch. */
	at = 0;
	/** Rows of the first batch before this one are warm. */
	warmed = 0;

	constructor(source: number) {
		this.source = source;
	}

	/** Time of the next row on the joiner's line; Infinity: there is none yet. */
	head(): number {
		const batch = this.batches[0];
		return batch === undefined ? Number.POSITIVE_INFINITY : (batch.rows.time[this.at] as number) + batch.offsetNs;
	}

	/** Time of the row behind the head; Infinity: there is none yet. */
	second(): number {
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
	/** Of each lane, see Lane.head. */
	#heads = new Float64Array(0);
	#queued = 0;

	/** Rows that wait for a watermark. */
	get queued(): number {
		return this.#queued;
	}

	/** A lane for `push`. */
	open(source: number): number {
		const lane = this.#lanes.push(new Lane(source)) - 1;
		const heads = new Float64Array(lane + 1).fill(Number.POSITIVE_INFINITY);
		heads.set(this.#heads);
		this.#heads = heads;
		return lane;
	}

	/** Takes the batch over until `done`. @param offsetNs from the source's clock to the joiner's line */
	push(lane: number, rows: Sightings, offsetNs: number): void {
		const batches = this.#lanes[lane]?.batches;
		if (batches === undefined) return;
		batches.push({ rows, offsetNs });
		if (batches.length === 1) this.#heads[lane] = (rows.time[0] as number) + offsetNs;
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
		const heads = this.#heads;
		for (;;) {
			let first = 0;
			let least = Number.POSITIVE_INFINITY;
			let rival = Number.POSITIVE_INFINITY;
			for (let n = 0; n < heads.length; n++) {
				const head = heads[n] as number;
				if (head < least) {
					rival = least;
					least = head;
					first = n;
				} else if (head < rival) {
					rival = head;
				}
			}
			if (least >= limit) return;
			const lane = this.#lanes[first] as Lane;
			if (least === rival || !this.#run(lane, Math.min(limit, rival), reader)) this.#tie(least, reader);
			else heads[first] = lane.head();
		}
	}

	/** Reads rows of one lane while they stand alone before `end`. Returns false when not even the first does. */
	#run(lane: Lane, end: number, reader: RowReader): boolean {
		const batch = lane.batches[0];
		if (batch === undefined) return false;
		const { rows, offsetNs } = batch;
		const { source } = lane;
		const times = rows.time;
		const begun = lane.at;
		const last = rows.count - 1;
		const { now } = reader;
		let i = begun;
		let time = (times[i] as number) + offsetNs;
		let { warmed } = lane;
		reader.begin(source, rows, offsetNs, time);
		while (i < last && time < end) {
			const next = (times[i + 1] as number) + offsetNs;
			if (next === time) break;
			if (i >= warmed) {
				warmed = Math.min(i + WARM_ROWS, last + 1);
				lane.warmed = warmed;
				reader.warm(i, warmed);
			}
			now[0] = time;
			reader.row(i);
			time = next;
			i++;
		}
		this.#queued -= i - begun;
		lane.at = i;
		if (i === last && time < end && lane.second() !== time) {
			now[0] = time;
			reader.row(i);
			this.#step(lane, reader);
			return true;
		}
		return i > begun;
	}

	/** Reads all rows of one time, of all lanes, in the order of their content. */
	#tie(time: number, reader: RowReader): void {
		const tied: TiedRow[] = [];
		const finished: Sightings[] = [];
		for (const [n, lane] of this.#lanes.entries()) {
			while (lane.head() === time) {
				const batch = lane.batches[0];
				if (batch === undefined) break;
				tied.push({ source: lane.source, rows: batch.rows, offsetNs: batch.offsetNs, i: lane.at, time });
				const done = lane.step();
				if (done !== null) finished.push(done);
			}
			this.#heads[n] = lane.head();
		}
		this.#queued -= tied.length;
		if (tied.length > 1) tied.sort((a, b) => reader.compare(a, b));
		reader.now[0] = time;
		for (const { source, rows, offsetNs, i } of tied) {
			reader.begin(source, rows, offsetNs, time);
			reader.row(i);
		}
		for (const rows of finished) reader.done(rows);
	}

	#step(lane: Lane, reader: RowReader): void {
		this.#queued--;
		const finished = lane.step();
		if (finished !== null) reader.done(finished);
	}
}
