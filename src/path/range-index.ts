import { PathMore, type PathTable } from "./path-table.js";
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
export type RangeIndex = ReturnType<typeof makeRangeIndex>;

export function makeRangeIndex(paths: PathTable, facts: TupleFacts) {
	/** TupleFacts' records: see TupleAt.ranges. */
	const { words } = facts;
	const lists: RangeList[] = [];
	/** Numbers of lists that no direction uses. */
	const idle: number[] = [];
	const self = {
		/** What `overlapping` found. */
		found: new Uint32Array(64),
		count,
		front,
		add,
		remove,
		overlapping,
		merge,
		take,
	};
	return self;

	function count(root: number): number {
		const held = heldBy(root);
		if (held === 0) return 0;
		return held < LIST ? 1 : listOf(held).count;
	}

	/** The path with the lowest start; 0: none. */
	function front(root: number): number {
		const held = heldBy(root);
		if (held < LIST) return held;
		const list = listOf(held);
		return list.items[list.first] as number;
	}

	function add(root: number, path: number): void {
		const held = heldBy(root);
		if (held === 0) {
			hold(root, path);
			return;
		}
		if (held >= LIST) {
			addTo(listOf(held), path);
			return;
		}
		const number = idle.pop() ?? lists.push(new RangeList()) - 1;
		hold(root, (LIST | number) >>> 0);
		const list = lists[number] as RangeList;
		addTo(list, held);
		addTo(list, path);
	}

	function addTo(list: RangeList, path: number): void {
		const start = paths.more[(path >> 1) | PathMore.rangeStart] as number;
		list.longest = Math.max(list.longest, paths.more[(path >> 1) | PathMore.rangeSpan] as number);
		insert(list, lowerBound(list, start, true), path);
	}

	function remove(root: number, path: number): void {
		const held = heldBy(root);
		if (held < LIST) {
			if (held === path) hold(root, 0);
			return;
		}
		const list = listOf(held);
		takeOut(list, path);
		if (list.count > 1) return;
		hold(root, list.count === 0 ? 0 : (list.items[list.first] as number));
		putAside(held);
	}

	function takeOut(list: RangeList, path: number): void {
		let at = lowerBound(list, paths.more[(path >> 1) | PathMore.rangeStart] as number, false);
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

	function heldBy(root: number): number {
		return words[(root << TupleSize.shift) | TupleAt.ranges] as number;
	}

	function hold(root: number, held: number): void {
		words[(root << TupleSize.shift) | TupleAt.ranges] = held;
	}

	function listOf(held: number): RangeList {
		return lists[held & ~LIST] as RangeList;
	}

	/** No direction has this list any more. */
	function putAside(held: number): void {
		const list = listOf(held);
		list.first = 0;
		list.count = 0;
		list.longest = 0;
		idle.push(held & ~LIST);
	}

	/** Fills `found` with the paths whose range shares a point with [start, start + span), by start; returns how many. */
	function overlapping(root: number, start: number, span: number): number {
		const held = heldBy(root);
		if (held === 0) return 0;
		if (held < LIST) {
			self.found[0] = held;
			const ahead = ((paths.more[(held >> 1) | PathMore.rangeStart] as number) - start) | 0;
			return ahead < span && ahead + (paths.more[(held >> 1) | PathMore.rangeSpan] as number) > 0 ? 1 : 0;
		}
		const list = listOf(held);
		const end = list.first + list.count;
		let n = 0;
		for (let at = lowerBound(list, (start - list.longest) >>> 0, false); at < end; at++) {
			const path = list.items[at] as number;
			const ahead = ((paths.more[(path >> 1) | PathMore.rangeStart] as number) - start) | 0;
			if (ahead >= span) break;
			if (ahead + (paths.more[(path >> 1) | PathMore.rangeSpan] as number) <= 0) continue;
			if (n === self.found.length) self.found = enlarged(self.found);
			self.found[n++] = path;
		}
		return n;
	}

	/** Another tuple of the direction became known: its ranges join those of the root. */
	function merge(from: number, to: number): void {
		for (const path of take(from)) add(to, path);
	}

	/** Takes out all paths of a direction and returns them, lowest first. */
	function take(root: number): number[] {
		const held = heldBy(root);
		if (held === 0) return [];
		hold(root, 0);
		if (held < LIST) return [held];
		const list = listOf(held);
		const taken = Array.from(list.items.subarray(list.first, list.first + list.count));
		putAside(held);
		return taken;
	}

	/** First position whose start is not before `start` (or, `after`: behind it), on the circle. */
	function lowerBound(list: RangeList, start: number, after: boolean): number {
		let low = list.first;
		let high = list.first + list.count;
		const bar = after ? 1 : 0;
		if (
			high > low &&
			(((paths.more[((list.items[high - 1] as number) >> 1) | PathMore.rangeStart] as number) - start) | 0) < bar
		)
			return high;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((((paths.more[((list.items[middle] as number) >> 1) | PathMore.rangeStart] as number) - start) | 0) < bar)
				low = middle + 1;
			else high = middle;
		}
		return low;
	}

	function insert(list: RangeList, at: number, path: number): void {
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
