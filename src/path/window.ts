import { allocateSightings, appendRows, COLUMNS, capacityOf } from "../packet/columns.js";
import type { Sightings } from "../packet/sightings.js";

/** Rows of a lane: they stay in the processor's second cache with what they lead to. */
export const PANE_ROWS = 512;
/** Panes from the start: memory is taken when it is used first. */
const PANES = 16;

export type Window = ReturnType<typeof makeWindow>;

/**
 * The rows that are read now, whoever gave them, in one place that never moves: V8 takes its columns for constants, and
 * a look at a row for a load. A pane per lane:
 *
 *     column   [ pane 0: 512 rows | pane 1 | … ]        a row's place: pane | n
 */
export function makeWindow() {
	const rows = allocateSightings(PANES * PANE_ROWS);
	let panes = 0;
	return { rows, open, fill };

	/** A pane of its own; returns the place of its first row. */
	function open(): number {
		if (panes * PANE_ROWS === capacityOf(rows)) enlarge();
		return panes++ * PANE_ROWS;
	}

	/** Copies what fits of a batch, from row `from` on, over the pane; returns how many. */
	function fill(pane: number, batch: Sightings, from: number): number {
		const count = Math.min(batch.count - from, PANE_ROWS);
		// Views of its columns would cost more than the rows behind those that are wanted.
		const whole = from === 0 && capacityOf(batch) <= PANE_ROWS && capacityOf(batch) < 2 * count;
		for (const name of COLUMNS) rows[name].set(whole ? batch[name] : batch[name].subarray(from, from + count), pane);
		return count;
	}

	function enlarge(): void {
		const larger = allocateSightings(capacityOf(rows) * 2);
		appendRows(rows, 0, capacityOf(rows), larger);
		Object.assign(rows, larger);
	}
}
