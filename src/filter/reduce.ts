import { type Box, contains, hull, mergeCost, swap } from "./box.js";

/** A list is put in order and merged between neighbours until it is short enough to try all pairs. */
const ALL_PAIRS = 48;

/**
 * At most `most` boxes that together hold at least what `boxes` hold: first what costs nothing (boxes inside others, two
 * that are each other's reverse), then the cheapest merges.
 */
export function reduce(boxes: readonly Box[], most: number): readonly Box[] {
	const [first] = boxes;
	if (first !== undefined && most === 1) return [boxes.reduce(hull, first)];
	let rest = withoutContained(pairUp(withoutContained(distinct(boxes))));
	if (rest.length > ALL_PAIRS && rest.length > most) rest = mergeNeighbours(rest, Math.max(most, ALL_PAIRS));
	return rest.length > most ? mergeCheapest(rest, most) : rest;
}

function distinct(boxes: readonly Box[]): Box[] {
	const byText = new Map(boxes.map((box) => [JSON.stringify(box), box]));
	return [...byText.values()];
}

function withoutContained(boxes: readonly Box[]): Box[] {
	const kept: Box[] = [];
	for (const box of boxes) {
		if (kept.some((other) => contains(other, box))) continue;
		for (let i = kept.length - 1; i >= 0; i--) {
			if (contains(box, kept[i] as Box)) kept.splice(i, 1);
		}
		kept.push(box);
	}
	return kept;
}

/** A box and its reverse are one box either way. */
function pairUp(boxes: readonly Box[]): Box[] {
	const left = new Map(boxes.map((box) => [JSON.stringify(box), box]));
	const result: Box[] = [];
	for (const [text, box] of left) {
		const reverse = JSON.stringify(swap(box));
		left.delete(text);
		result.push(left.delete(reverse) ? { ...box, eitherWay: true } : box);
	}
	return result;
}

interface Merge {
	readonly a: Box;
	readonly b: Box;
	readonly merged: Box;
	readonly cost: number;
}

/** Merges the cheapest pair, again and again. Costs are kept: only those of the newest box are reckoned anew. */
function mergeCheapest(boxes: readonly Box[], most: number): Box[] {
	let rest = [...boxes];
	let merges = rest.flatMap((box, i) => mergesOf(box, rest.slice(i + 1)));
	while (rest.length > most) {
		const cheapest = merges.reduce((least, merge) => (merge.cost < least.cost ? merge : least));
		const { merged } = cheapest;
		const others = rest.filter((box) => box !== cheapest.a && box !== cheapest.b && !contains(merged, box));
		const left = new Set(others);
		merges = merges.filter(({ a, b }) => left.has(a) && left.has(b));
		merges.push(...mergesOf(merged, others));
		rest = [...others, merged];
	}
	return rest;
}

function mergesOf(a: Box, others: readonly Box[]): Merge[] {
	return others.map((b) => {
		const either = orientations(b).map((turned) => {
			const merged = hull(a, turned);
			return { a, b, merged, cost: mergeCost(a, turned, merged) };
		});
		return either.reduce((least, merge) => (merge.cost < least.cost ? merge : least));
	});
}

function orientations(box: Box): readonly Box[] {
	return box.eitherWay ? [box, swap(box)] : [box];
}

/** Puts like beside like and merges the cheapest neighbours, round by round, until the list is at most `most` long. */
function mergeNeighbours(boxes: readonly Box[], most: number): Box[] {
	const keyed = boxes.map((box) => ({ box, key: sortKey(box) }));
	let sorted = keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ box }) => box);
	while (sorted.length > most) {
		const merged = chooseMerges(sorted, sorted.length - most);
		sorted = sorted.flatMap((box, i) => {
			if (merged.has(i - 1)) return [];
			return merged.has(i) ? [hull(box, sorted[i + 1] ?? box)] : [box];
		});
	}
	return sorted;
}

/** Which boxes to merge with the one behind them: the cheapest first, none twice, at most `most`. */
function chooseMerges(sorted: readonly Box[], most: number): ReadonlySet<number> {
	const pairs = sorted.slice(1).map((box, i) => ({ first: i, cost: mergeCost(sorted[i] ?? box, box) }));
	pairs.sort((a, b) => a.cost - b.cost);
	const chosen = new Set<number>();
	for (const { first } of pairs) {
		if (chosen.size >= most) break;
		if (!chosen.has(first - 1) && !chosen.has(first + 1)) chosen.add(first);
	}
	return chosen;
}

function sortKey(box: Box): string {
	const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join("");
	const { family, protocol, ifindex, destinationPorts, sourcePorts } = box;
	const kind = [family, protocol, box.icmpType ?? -1, box.flagsAny, box.flagsMask, ifindex === 0 ? 0 : 1].join(",");
	return `${kind}|${hex(box.source.words)}|${hex(box.destination.words)}|${sourcePorts.min},${destinationPorts.min}`;
}
