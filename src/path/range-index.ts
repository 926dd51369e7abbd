import { PathAt, type PathTable } from "./path-table.js";

/**
 * Open paths of one direction of a connection by their range on a circle of 2^32, sorted by start: a deque over an
 * array, as most come at the end and go near the front.
 *
 *     items  [ · · | 4 7 5 9 | · · ]      first ↑      count 4
 */
class RangeList {
	items = new Uint32Array(8);
	first = 0;
	count = 0;
	/** No range in the list is longer. */
	longest = 0;
}

/** Ranges by direction; a direction is named by the root of its tuples (see TupleFacts). */
export class RangeIndex {
	readonly #paths: PathTable;
	readonly #lists: (RangeList | undefined)[] = [];
	/** The path of a direction that has one, and no list: most have. By root; 0: none. */
	readonly #only: Uint32Array;
	/** What `overlapping` found. */
	found = new Uint32Array(64);

	/** @param roots the highest root that there can be */
	constructor(paths: PathTable, roots: number) {
		this.#paths = paths;
		this.#only = new Uint32Array(roots + 1);
	}

	count(root: number): number {
		return this.#only[root] !== 0 ? 1 : (this.#lists[root]?.count ?? 0);
	}

	/** The path with the lowest start; 0: none. */
	front(root: number): number {
		const list = this.#lists[root];
		return list === undefined || list.count === 0 ? (this.#only[root] as number) : (list.items[list.first] as number);
	}

	add(root: number, path: number): void {
		let list = this.#lists[root];
		if (list === undefined) {
			const only = this.#only[root] as number;
			if (only === 0) {
				this.#only[root] = path;
				return;
			}
			list = new RangeList();
			this.#lists[root] = list;
			this.#only[root] = 0;
			this.add(root, only);
		}
		if (list.count === 0) {
			list.first = 0;
			list.longest = 0;
		}
		const paths = this.#paths;
		const start = paths.words[path | PathAt.rangeStart] as number;
		list.longest = Math.max(list.longest, paths.words[path | PathAt.rangeSpan] as number);
		this.#insert(list, this.#lowerBound(list, start, true), path);
	}

	remove(root: number, path: number): void {
		if (this.#only[root] === path) {
			this.#only[root] = 0;
			return;
		}
		const list = this.#lists[root];
		if (list === undefined) return;
		let at = this.#lowerBound(list, this.#paths.words[path | PathAt.rangeStart] as number, false);
		const end = list.first + list.count;
		while (at < end && list.items[at] !== path) at++;
		if (at === end) return;
		if (at - list.first < end - at) {
			if (at > list.first) list.items.copyWithin(list.first + 1, list.first, at);
			list.first++;
		} else if (at + 1 < end) {
			list.items.copyWithin(at, at + 1, end);
		}
		list.count--;
	}

	/** Fills `found` with the paths whose range shares a point with [start, start + span), by start; returns how many. */
	overlapping(root: number, start: number, span: number): number {
		const paths = this.#paths;
		const only = this.#only[root] as number;
		if (only !== 0) {
			this.found[0] = only;
			const ahead = ((paths.words[only | PathAt.rangeStart] as number) - start) | 0;
			return ahead < span && ahead + (paths.words[only | PathAt.rangeSpan] as number) > 0 ? 1 : 0;
		}
		const list = this.#lists[root];
		if (list === undefined || list.count === 0) return 0;
		const end = list.first + list.count;
		let n = 0;
		for (let at = this.#lowerBound(list, (start - list.longest) >>> 0, false); at < end; at++) {
			const path = list.items[at] as number;
			const ahead = ((paths.words[path | PathAt.rangeStart] as number) - start) | 0;
			if (ahead >= span) break;
			if (ahead + (paths.words[path | PathAt.rangeSpan] as number) <= 0) continue;
			if (n === this.found.length) this.found = enlarged(this.found);
			this.found[n++] = path;
		}
		return n;
	}

	/** Another tuple of the direction became known: its ranges join those of the root. */
	merge(from: number, to: number): void {
		const only = this.#only[from] as number;
		if (only !== 0) {
			this.#only[from] = 0;
			this.add(to, only);
			return;
		}
		const list = this.#lists[from];
		if (list === undefined) return;
		this.#lists[from] = undefined;
		for (let i = 0; i < list.count; i++) this.add(to, list.items[list.first + i] as number);
	}

	/** Takes out all paths of a direction and returns them, lowest first. */
	take(root: number): number[] {
		const only = this.#only[root] as number;
		this.#only[root] = 0;
		if (only !== 0) return [only];
		const list = this.#lists[root];
		this.#lists[root] = undefined;
		return list === undefined ? [] : Array.from(list.items.subarray(list.first, list.first + list.count));
	}

	/** First position whose start is not before `start` (or, `after`: behind it), on the circle. */
	#lowerBound(list: RangeList, start: number, after: boolean): number {
		const { words } = this.#paths;
		let low = list.first;
		let high = list.first + list.count;
		const bar = after ? 1 : 0;
		if (high > low && (((words[(list.items[high - 1] as number) | PathAt.rangeStart] as number) - start) | 0) < bar)
			return high;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((((words[(list.items[middle] as number) | PathAt.rangeStart] as number) - start) | 0) < bar) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	#insert(list: RangeList, at: number, path: number): void {
		let end = list.first + list.count;
		if (end === list.items.length) {
			const items = list.count * 2 > list.items.length ? enlarged(list.items) : list.items;
			items.set(list.items.subarray(list.first, end));
			list.items = items;
			at -= list.first;
			list.first = 0;
			end = list.count;
		}
		if (at < end) list.items.copyWithin(at + 1, at, end);
		list.items[at] = path;
		list.count++;
	}
}

function enlarged(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
	const larger = new Uint32Array(array.length * 2);
	larger.set(array);
	return larger;
}
