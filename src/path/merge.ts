import { allocateSightings, copyRow } from "../packet/columns.js";
import type { Sightings } from "../packet/sightings.js";
import { PANE_ROWS, type Window } from "./window.js";

/** Takes rows in their one order. */
export interface RowReader {
	/** One cell: the time of the row on the joiner's line, ns, is set before `row` is called. */
	readonly now: Float64Array;
	/** The next rows are this source's, moved by so much to the joiner's line; the first of them is at `time`. */
	begin(source: number, offsetNs: number, time: number): void;
	/** @param i its place in the window */
	row(i: number): void;
	/** These rows, WARM_ROWS at most, are read next: what they lead to may be fetched into the processor's cache. */
	warm(from: number, to: number): void;
	/** The order of rows of equal time: by what is in them, never by how they came. Negative: a first. */
	compare(a: TiedRow, b: TiedRow): number;
	/** Nothing of the batch is needed any more: its memory is free again. */
	done(rows: Sightings): void;
}

export interface TiedRow {
	readonly source: number;
	readonly rows: Sightings;
	readonly offsetNs: number;
	readonly i: number;
}

/** Rows that are announced at once: what they lead to has room in the first cache. */
export const WARM_ROWS = 64;

/** Rows of one ring, or of one source that merged its rings itself: rising times. */
interface Lane {
	readonly source: number;
	/** The first place of its pane in the window. */
	readonly pane: number;
	/** What is in the window and not read yet; they are equal: nothing. */
	at: number;
	end: number;
	/** Rows before this place are warm. */
	warmed: number;
	/** Of the rows in the window. */
	offsetNs: number;
	/** What comes into the window behind them. */
	readonly waiting: { readonly rows: Sightings; readonly offsetNs: number; from: number }[];
}

export type Merge = ReturnType<typeof makeMerge>;

/**
 * Merges lanes by time up to a limit, so that any interleaving of batches that keeps each lane's order is read as one
 * and the same sequence.
 */
export function makeMerge(window: Window, reader: RowReader) {
	const { rows } = window;
	const { now } = reader;
	const lanes: Lane[] = [];
	/** Of each lane the time of its next row on the joiner's line; Infinity: there is none yet. */
	let heads = new Float64Array(0);
	/** A place for rows of one time, which come one after the other. */
	const alone = window.open();
	const self = {
		/** Rows that wait for a watermark. */
		queued: 0,
		open,
		push,
		forEachRow,
		drain,
	};
	return self;

	/** A lane for `push`. */
	function open(source: number): number {
		const pane = window.open();
		const lane = lanes.push({ source, pane, at: pane, end: pane, warmed: pane, offsetNs: 0, waiting: [] }) - 1;
		heads = Float64Array.from([...heads, Number.POSITIVE_INFINITY]);
		return lane;
	}

	/** Takes the batch over until `done`. @param offsetNs from the source's clock to the joiner's line */
	function push(number: number, batch: Sightings, offsetNs: number): void {
		const lane = lanes[number];
		if (lane === undefined) return;
		self.queued += batch.count;
		lane.waiting.push({ rows: batch, offsetNs, from: 0 });
		if (lane.at === lane.end) heads[number] = refill(lane);
	}

	/** Shows every row that waits, in no order. */
	function forEachRow(show: (rows: Sightings, i: number) => void): void {
		for (const lane of lanes) {
			for (let i = lane.at; i < lane.end; i++) show(rows, i);
			for (const batch of lane.waiting) {
				for (let i = batch.from; i < batch.rows.count; i++) show(batch.rows, i);
			}
		}
	}

	/** Reads every row before `limit`. */
	function drain(limit: number): void {
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
			const lane = lanes[first] as Lane;
			const begun = lane.at;
			if (least < rival) run(lane, least, Math.min(limit, rival));
			if (lane.at === begun) tie(least);
			else heads[first] = lane.at < lane.end ? timeAt(lane, lane.at) : refill(lane);
		}
	}

	/** Reads rows of one lane while they stand alone before `end`, and are in the window. */
	function run(lane: Lane, head: number, end: number): void {
		const { offsetNs } = lane;
		const begun = lane.at;
		const last = lane.end - 1;
		let time = head;
		let i = begun;
		reader.begin(lane.source, offsetNs, time);
		while (time < end) {
			const next = i < last ? (rows.time[i + 1] as number) + offsetNs : behind(lane);
			if (next === time) break;
			if (i >= lane.warmed) {
				lane.warmed = Math.min(i + WARM_ROWS, lane.end);
				reader.warm(i, lane.warmed);
			}
			now[0] = time;
			reader.row(i++);
			if (i > last) break;
			time = next;
		}
		self.queued -= i - begun;
		lane.at = i;
	}

	/** Reads all rows of one time, of all lanes, in the order of their content. */
	function tie(time: number): void {
		let tied: TiedRow[] = [];
		lanes.forEach((lane, n) => {
			while (heads[n] === time) {
				tied.push({ source: lane.source, rows, offsetNs: lane.offsetNs, i: lane.at++ });
				if (lane.at < lane.end) heads[n] = timeAt(lane, lane.at);
				else if (behind(lane) > time) break;
				else {
					// Others of this time follow where these stand.
					tied = tied.map((row) => takenOut(row, lane));
					heads[n] = refill(lane);
				}
			}
		});
		self.queued -= tied.length;
		if (tied.length > 1) tied.sort(reader.compare);
		now[0] = time;
		for (const { source, rows: from, offsetNs, i } of tied) {
			if (from !== rows) copyRow(from, i, rows, alone);
			reader.begin(source, offsetNs, time);
			reader.row(from === rows ? i : alone);
		}
		for (const [n, lane] of lanes.entries()) if (lane.at === lane.end) heads[n] = refill(lane);
	}

	/** A copy of a row that stands in the lane's pane. */
	function takenOut(row: TiedRow, { pane }: Lane): TiedRow {
		if (row.rows !== rows || row.i < pane || row.i >= pane + PANE_ROWS) return row;
		const copy = allocateSightings(1);
		copyRow(rows, row.i, copy, 0);
		return { ...row, rows: copy, i: 0 };
	}

	/** The lane's next rows take the place of those that were read; returns the time of the first, Infinity: none. */
	function refill(lane: Lane): number {
		const next = lane.waiting[0];
		lane.at = lane.pane;
		lane.end = lane.pane;
		if (next === undefined) return Number.POSITIVE_INFINITY;
		const taken = window.fill(lane.pane, next.rows, next.from);
		next.from += taken;
		lane.end += taken;
		lane.warmed = lane.pane;
		lane.offsetNs = next.offsetNs;
		if (next.from === next.rows.count) {
			lane.waiting.shift();
			reader.done(next.rows);
		}
		return timeAt(lane, lane.at);
	}

	function timeAt(lane: Lane, i: number): number {
		return (rows.time[i] as number) + lane.offsetNs;
	}

	/** Time of the row behind those in the window; Infinity: there is none yet. */
	function behind(lane: Lane): number {
		const next = lane.waiting[0];
		return next === undefined ? Number.POSITIVE_INFINITY : (next.rows.time[next.from] as number) + next.offsetNs;
	}
}
