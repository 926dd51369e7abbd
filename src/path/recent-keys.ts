import { fingerprint } from "./key.js";
import type { PathTable } from "./path-table.js";

const SLOTS = 2 ** 15;

/** When packets were last opened, by fingerprint, in a direct-mapped table: an older may have made room for a younger. */
export type RecentKeys = ReturnType<typeof makeRecentKeys>;

export function makeRecentKeys(paths: PathTable) {
	const prints = new Int32Array(SLOTS);
	const times = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY);
	const counts = new Uint32Array(SLOTS);
	/** Of the path at hand. */
	const print = new Int32Array(2);
	return { note, count };

	/**
	 * Notes the path's packet at `time` and returns when it was noted before; -Infinity: not that is known.
	 * @param windowNs longer ago does not count
	 */
	function note(path: number, time: number, windowNs: number): number {
		const slot = slotOf(path);
		const before = prints[slot] === print[1] ? (times[slot] as number) : Number.NEGATIVE_INFINITY;
		prints[slot] = print[1] as number;
		times[slot] = time;
		counts[slot] = time - before < windowNs ? (counts[slot] as number) + 1 : 1;
		return before;
	}

	/** How often it was noted, each time within the window of the time before; 0: not that is known. */
	function count(path: number): number {
		const slot = slotOf(path);
		return prints[slot] === print[1] ? (counts[slot] as number) : 0;
	}

	/** Sets `print`. */
	function slotOf(path: number): number {
		fingerprint(paths, path, print);
		return (print[0] as number) & (SLOTS - 1);
	}
}
