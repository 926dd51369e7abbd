import { CarrierAt } from "./carrier-table.js";
import { HopAt } from "./hop-table.js";
import { WARM_ROWS } from "./merge.js";
import { PathAt } from "./path-table.js";
import { TupleAt, TupleSize } from "./tuple-facts.js";
import type { Workshop } from "./workshop.js";

const LAST = WARM_ROWS - 1;
/** With so few, paths and hops and all stay in the processor's cache by themselves. */
const FEW_CARRIERS = 256;
const FEW_TUPLES = 1024;

/**
 * Reads what the next rows will lead to, level by level: misses of one level overlap, where a row that is worked on waits
 * for each of its own. Nothing follows from what is read.
 */
export function makePrefetch(shop: Workshop) {
	const { carriers, facts, hops, paths, pointers, sight, tuples } = shop;
	const { rows } = sight;
	const ids = new Uint32Array(WARM_ROWS);
	/** Of all that was read: without a use the compiler would leave the reads out. */
	const mixed = new Uint32Array(1);
	return { warm };

	/** The rows [from, to) of the window, at most WARM_ROWS: carrier → path → newest hop of what each pointer carried last. */
	function warm(from: number, to: number): void {
		if (carriers.last <= FEW_CARRIERS * carriers.size && tuples.used <= FEW_TUPLES) return;
		let sum = 0;
		for (let i = from; i < to; i++) {
			ids[i & LAST] = pointers.likely(sight.source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
			sum ^= facts.words[((rows.tuple[i] as number) << TupleSize.shift) | TupleAt.kind] as number;
		}
		for (let i = from; i < to; i++)
			ids[i & LAST] = carriers.words[(ids[i & LAST] as number) | CarrierAt.path] as number;
		for (let i = from; i < to; i++) {
			const path = ids[i & LAST] as number;
			sum ^= paths.words[path | PathAt.ipId] as number;
			ids[i & LAST] = paths.words[path | PathAt.lastHop] as number;
		}
		for (let i = from; i < to; i++) sum ^= hops.words[(ids[i & LAST] as number) | HopAt.next] as number;
		mixed[0] = sum;
	}
}
