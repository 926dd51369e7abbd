import { verdictIndex } from "./judgement.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64 } from "./path-table.js";
import type { Workshop } from "./workshop.js";

/**
 * Packets that have nothing of their own are told apart by their order. What becomes of one of them may show that what was
 * told of others, which are closed by then, is less certain than it was.
 */
export class Equals {
	readonly #shop: Workshop;
	readonly #open: OpenPaths;

	constructor(shop: Workshop, open: OpenPaths) {
		this.#shop = shop;
		this.#open = open;
	}

	/** A copy of it is under way: what was told of equal ones as certain rests on the order in which clocks show them. */
	repeated(path: number): void {
		const { paths, ordered, limits, sight } = this.#shop;
		const { words, doubles } = paths;
		const certain: number[] = [];
		ordered.newestFirst((other) => {
			if ((doubles[(other >> 1) | PathF64.latest] as number) + 2 * limits.orphanNs < sight.now) return false;
			const told = (words[other | PathAt.marks] as number) & (Mark.repeatable | Mark.order | Mark.ambiguous);
			if (told === Mark.repeatable && this.#areAlike(other, path) && this.#mayHaveCome(other, sight.now)) {
				certain.push(other);
			}
			return true;
		});
		this.tellAgain(certain, Mark.order);
	}

	/** Those that were told by their order, back to where none was under way; oldest first. */
	before(path: number): readonly number[] {
		const { paths, facts, ordered, limits } = this.#shop;
		const { words, doubles } = paths;
		const found: number[] = [];
		let begun = doubles[(path >> 1) | PathF64.first] as number;
		ordered.newestFirst((other) => {
			const isEqual =
				this.#areAlike(other, path) &&
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
	tellAgain(closed: readonly number[], mark: number): void {
		const { paths, closing } = this.#shop;
		for (const path of closed) {
			this.#open.mark(path, mark);
			const arrived = paths.words[path | PathAt.verdict] === verdictIndex("delivered");
			this.#open.revise(path, arrived ? closing.arrived(path) : closing.gone(path));
		}
	}

	/** By their keys, in either direction. */
	#areAlike(path: number, other: number): boolean {
		const { signed } = this.#shop.paths;
		return (
			signed[path | PathAt.keyA] === signed[other | PathAt.keyA] &&
			signed[path | PathAt.keyB] === signed[other | PathAt.keyB]
		);
	}

	/** Did what left at `now` perhaps arrive where the path was taken for arriving, as wrong as the clocks may be? */
	#mayHaveCome(path: number, now: number): boolean {
		const { closing, hooks, view } = this.#shop;
		view.show(path, closing.arrived(path));
		for (let n = 1; n < view.hopCount; n++) {
			if (hooks.source[view.hook(n)] === hooks.source[view.hook(0)]) continue;
			return now - view.first(n) <= view.clockErrorNs;
		}
		return false;
	}
}
