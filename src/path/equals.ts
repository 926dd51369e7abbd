import { verdictIndex } from "./judgement.js";
import { areEqual } from "./key.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64 } from "./path-table.js";
import type { Workshop } from "./workshop.js";

/**
 * Packets that have nothing of their own are told apart by their order. What becomes of one of them may show that what was
 * told of others, which are closed by then, is less certain than it was.
 */
export function makeEquals(shop: Workshop, open: OpenPaths) {
	const { closing, facts, hooks, limits, ordered, paths, sight, view } = shop;
	return { repeated, before, tellAgain };

	/** A copy of it is under way: what was told of equal ones as certain rests on the order in which clocks show them. */
	function repeated(path: number): void {
		const { words, doubles } = paths;
		const certain: number[] = [];
		ordered.newestFirst((other) => {
			if ((doubles[(other >> 1) | PathF64.latest] as number) + 2 * limits.orphanNs < sight.now) return false;
			const told = (words[other | PathAt.marks] as number) & (Mark.repeatable | Mark.order | Mark.ambiguous);
			if (told === Mark.repeatable && areAlike(other, path) && mayHaveCome(other, sight.now)) {
				certain.push(other);
			}
			return true;
		});
		tellAgain(certain, Mark.order);
	}

	/** Those that were told by their order, back to where none was under way; oldest first. */
	function before(path: number): readonly number[] {
		const { words, doubles } = paths;
		const found: number[] = [];
		let begun = doubles[(path >> 1) | PathF64.first] as number;
		ordered.newestFirst((other) => {
			const isEqual =
				areAlike(other, path) &&
				facts.sameDirection(words[other | PathAt.tuple] as number, words[path | PathAt.tuple] as number);
			if (!isEqual) return true;
			// By as much as clocks may be wrong it may have been otherwise.
			if ((doubles[(other >> 1) | PathF64.latest] as number) + limits.orphanNs < begun) return false;
			begun = Math.min(begun, doubles[(other >> 1) | PathF64.first] as number);
			if (((words[other | PathAt.marks] as number) & Mark.ambiguous) === 0) found.push(other);
			return true;
		});
		return found.reverse();
	}

	/** The same verdicts, with a mark that says how certain they are. */
	function tellAgain(closed: readonly number[], mark: number): void {
		for (const path of closed) {
			open.mark(path, mark);
			const arrived = paths.words[path | PathAt.verdict] === verdictIndex("delivered");
			open.revise(path, arrived ? closing.arrived(path) : closing.gone(path));
		}
	}

	/** In either direction. */
	function areAlike(path: number, other: number): boolean {
		return areEqual(paths, path, other);
	}

	/** Did what left at `now` perhaps arrive where the path was taken for arriving, as wrong as the clocks may be? */
	function mayHaveCome(path: number, now: number): boolean {
		view.show(path, closing.arrived(path));
		for (let n = 1; n < view.hopCount; n++) {
			if (hooks.source[view.hook(n)] === hooks.source[view.hook(0)]) continue;
			return now - view.first(n) <= view.clockErrorNs;
		}
		return false;
	}
}
