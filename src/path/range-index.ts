import { PathAt, type PathTable } from "./path-table.js";
import { TupleAt, type TupleFacts, TupleSize } from "./tuple-facts.js";

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

/** Of TupleAt.ranges: the number of a list, and not a path. */
const LIST = 0x80000000;

/**
 * Ranges by direction; a direction is named by the root of its tuples (see TupleFacts), whose record holds the path of a
 * direction that has one, as most have, or the number of its list.
 */
export class RangeIndex {
	readonly #paths: PathTable;
	/** TupleFacts' records: see TupleAt.ranges. */
	readonly #words: Uint32Array;
	readonly #lists: RangeList[] = [];
	/** Numbers of lists that no direction uses. */
	readonly #idle: number[] = [];
	/** What `overlapping` found. */
	found = new Uint32Array(64);

	constructor(paths: PathTable, facts: TupleFacts) {
		this.#paths = paths;
		this.#words = facts.words;
	}

	count(root: number): number {
		const held = this.#held(root);
		if (held === 0) return 0;
		return held < LIST ? 1 : this.#list(held).count;
	}

	/** The path with the lowest start; 0: none. */
	front(root: number): number {
		const held = this.#held(root);
		if (held < LIST) return held;
		const list = this.#list(held);
		return list.items[list.first] as number;
	}

	add(root: number, path: number): void {
		const held = this.#held(root);
		if (held === 0) {
			this.#hold(root, path);
			return;
		}
		if (held >= LIST) {
			this.#addTo(this.#list(held), path);
			return;
		}
		const number = this.#idle.pop() ?? this.#lists.push(new RangeList()) - 1;
		this.#hold(root, (LIST | number) >>> 0);
		const list = this.#lists[number] as RangeList;
		this.#addTo(list, held);
		this.#addTo(list, path);
	}

	#addTo(list: RangeList, path: number): void {
		const paths = this.#paths;
		const start = paths.words[path | PathAt.rangeStart] as number;
		list.longest = Math.max(list.longest, paths.words[path | PathAt.rangeSpan] as number);
		this.#insert(list, this.#lowerBound(list, start, true), path);
	}

	remove(root: number, path: number): void {
		const held = this.#held(root);
		if (held < LIST) {
			if (held === path) this.#hold(root, 0);
			return;
		}
		const list = this.#list(held);
		this.#takeOut(list, path);
		if (list.count > 1) return;
		this.#hold(root, list.count === 0 ? 0 : (list.items[list.first] as number));
		this.#putAside(held);
	}

	#takeOut(list: RangeList, path: number): void {
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

	#held(root: number): number {
		return this.#words[(root << TupleSize.shift) | TupleAt.ranges] as number;
	}

	#hold(root: number, held: number): void {
		this.#words[(root << TupleSize.shift) | TupleAt.ranges] = held;
	}

	#list(held: number): RangeList {
		return this.#lists[held & ~LIST] as RangeList;
	}

	/** No direction has this list any more. */
	#putAside(held: number): void {
		const list = this.#list(held);
		list.first = 0;
		list.count = 0;
		list.longest = 0;
		this.#idle.push(held & ~LIST);
	}

	/** Fills `found` with the paths whose range shares a point with [start, start + span), by start; returns how many. */
	overlapping(root: number, start: number, span: number): number {
		const paths = this.#paths;
		const held = this.#held(root);
		if (held === 0) return 0;
		if (held < LIST) {
			this.found[0] = held;
			const ahead = ((paths.words[held | PathAt.rangeStart] as number) - start) | 0;
			return ahead < span && ahead + (paths.words[held | PathAt.rangeSpan] as number) > 0 ? 1 : 0;
		}
		const list = this.#list(held);
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
		for (const path of this.take(from)) this.add(to, path);
	}

	/** Takes out all paths of a direction and returns them, lowest first. */
	take(root: number): number[] {
		const held = this.#held(root);
		if (held === 0) return [];
		this.#hold(root, 0);
		if (held < LIST) return [held];
		const list = this.#list(held);
		const taken = Array.from(list.items.subarray(list.first, list.first + list.count));
		this.#putAside(held);
		return taken;
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
