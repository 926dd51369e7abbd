import { CarrierAt } from "./carrier-table.js";
import { highBits, lowBits } from "./coverage.js";
import { Next } from "./due-cache.js";
import { allocateHop, HopAt, HopF64 } from "./hop-table.js";
import { isOtherSegment } from "./key.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64, PathMore, protocolOf, State, segmentsOf } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Workshop } from "./workshop.js";

/**
 * Clocks of nodes agree only within a bound, so a packet may be read as arriving before it is read as leaving. What
 * comes off the wire unexpected is an orphan: it waits for as long as the clocks may be wrong, and a path that is seen
 * leaving then takes its hops over. Afterwards it is a path of its own.
 */
export function makeAdoption(shop: Workshop, open: OpenPaths) {
	const {
		carriers,
		crossings,
		dropped,
		dues,
		facts,
		flooded,
		hooks,
		hops,
		keys,
		orphans,
		paths,
		ranges,
		recent,
		suspects,
	} = shop;
	return { adopt, expire };

	/** The path has left its node: takes over what arrived of it elsewhere already. */
	function adopt(path: number): void {
		if (orphans.count === 0) return;
		const orphan = equal(path);
		if (orphan !== 0) {
			takeOver(path, orphan);
			if (open.endDropped(path)) return;
		} else if (((paths.words[path | PathAt.marks] as number) & Mark.ranged) === 0 || !gather(path)) return;
		settle(path);
	}

	/** The orphan has waited its time: nobody sent it, as far as is known. */
	function expire(orphan: number): void {
		orphans.remove(orphan);
		const marks = paths.words[orphan | PathAt.marks] as number;
		if ((marks & Mark.adopted) !== 0) {
			discard(orphan);
			return;
		}
		paths.words[orphan | PathAt.marks] = marks & ~Mark.orphan;
		const list = (marks & Mark.flooded) === 0 ? suspects : flooded;
		list.add(orphan, paths.doubles[(orphan >> 1) | PathF64.since] as number);
		if (!open.endDropped(orphan)) settle(orphan);
	}

	/** An orphan with the same fields that this path can have become; 0: none. */
	function equal(path: number): number {
		let orphan = keys.findEqual(path);
		while (orphan !== 0 && !fits(path, orphan, true)) orphan = paths.more[(orphan >> 1) | PathMore.sameNext] as number;
		return orphan;
	}

	function fits(path: number, orphan: number, isWhole: boolean): boolean {
		if (orphan === path || ((paths.words[orphan | PathAt.marks] as number) & Mark.orphan) === 0) return false;
		const last = paths.words[path | PathAt.lastHop] as number;
		const first = paths.words[orphan | PathAt.firstHop] as number;
		const entry = hops.words[first | HopAt.hook] as number;
		// A part of it may have come there after it left; a whole cannot come twice, nor where it has just been.
		const partly = open.hopAt(path, entry, 0) !== 0;
		const left = hops.words[last | HopAt.hook] as number;
		const elsewhere = hooks.source[left] !== hooks.source[entry];
		if (partly ? isWhole : !elsewhere) return false;
		if (elsewhere && !dues.leadsTo(left, hops.words[last | HopAt.tuple] as number, entry)) return false;
		return facts.sameDirection(hops.words[last | HopAt.tuple] as number, hops.words[first | HopAt.tuple] as number);
	}

	/** The orphan is this path's rest, as a whole. */
	function takeOver(path: number, orphan: number): void {
		const marks = paths.words[orphan | PathAt.marks] as number;
		const alone = isAlone(orphan, path) || isAlone(path, orphan);
		if (alone && !isRepeated(path)) noteCrossing(path, orphan);
		else open.mark(path, Mark.order);
		open.crossed(path);
		open.mark(path, Mark.manifold | (marks & (Mark.order | Mark.ambiguous | Mark.flooded)));
		hops.words[(paths.words[path | PathAt.lastHop] as number) | HopAt.next] = paths.words[
			orphan | PathAt.firstHop
		] as number;
		paths.words[path | PathAt.lastHop] = paths.words[orphan | PathAt.lastHop] as number;
		paths.doubles[(path >> 1) | PathF64.latest] = Math.max(
			paths.doubles[(path >> 1) | PathF64.latest] as number,
			paths.doubles[(orphan >> 1) | PathF64.latest] as number,
		);
		paths.words[path | PathAt.subscribers] =
			(paths.words[path | PathAt.subscribers] as number) | (paths.words[orphan | PathAt.subscribers] as number);
		paths.words[path | PathAt.branches] = paths.words[orphan | PathAt.branches] as number;
		if ((marks & Mark.flooded) !== 0 && suspects.has(path)) {
			suspects.remove(path);
			flooded.add(path, paths.doubles[(orphan >> 1) | PathF64.since] as number);
		}
		handOver(orphan, path, 1);
		passDrop(orphan, path, true);
		paths.words[orphan | PathAt.firstHop] = 0;
		discard(orphan);
	}

	/** Was a packet equal to it noted lately, besides itself and its orphan? */
	function isRepeated(path: number): boolean {
		return recent.count(path) > 2;
	}

	/** No other packet is equal to these two. */
	function isAlone(first: number, second: number): boolean {
		return (
			paths.more[(first >> 1) | PathMore.samePrevious] === 0 &&
			paths.more[(first >> 1) | PathMore.sameNext] === second &&
			paths.more[(second >> 1) | PathMore.sameNext] === 0
		);
	}

	function noteCrossing(path: number, orphan: number): void {
		const left = paths.words[path | PathAt.lastHop] as number;
		const came = paths.words[orphan | PathAt.firstHop] as number;
		const from = hooks.source[hops.words[left | HopAt.hook] as number] as number;
		const to = hooks.source[hops.words[came | HopAt.hook] as number] as number;
		crossings.note(
			from,
			hops.doubles[(left >> 1) | HopF64.first] as number,
			to,
			hops.doubles[(came >> 1) | HopF64.first] as number,
		);
	}

	/** Copies the hops of every orphan that holds a part of the path. Returns whether there were any. */
	function gather(path: number): boolean {
		const start = paths.more[(path >> 1) | PathMore.rangeStart] as number;
		const span = paths.more[(path >> 1) | PathMore.rangeSpan] as number;
		const count = ranges.overlapping(facts.root(paths.words[path | PathAt.tuple] as number), start, span);
		const orphans = Array.from(ranges.found.subarray(0, count)).filter((other) => isPart(path, other));
		for (const orphan of orphans) {
			copyHops(orphan, path);
			const ahead = ((paths.more[(orphan >> 1) | PathMore.rangeStart] as number) - start) | 0;
			const inside = ahead >= 0 && ahead + (paths.more[(orphan >> 1) | PathMore.rangeSpan] as number) <= span;
			handOver(orphan, inside ? path : orphan, 0);
			if (inside) passDrop(orphan, path, false);
			if (inside) discard(orphan);
			else open.mark(orphan, Mark.adopted);
		}
		return orphans.length > 0;
	}

	function isPart(path: number, orphan: number): boolean {
		if (!fits(path, orphan, false)) return false;
		if (protocolOf(paths, path) !== Protocol.tcp) return paths.words[path | PathAt.ipId] !== 0;
		if (paths.words[path | PathAt.tsval] !== paths.words[orphan | PathAt.tsval]) return false;
		const [segments, ipId] = [segmentsOf(paths, orphan), paths.words[orphan | PathAt.ipId]];
		return !isOtherSegment(paths, path, segments, ipId as number);
	}

	function copyHops(orphan: number, path: number): void {
		const ahead =
			((paths.more[(orphan >> 1) | PathMore.rangeStart] as number) -
				(paths.more[(path >> 1) | PathMore.rangeStart] as number)) |
			0;
		const unit = paths.more[(path >> 1) | PathMore.unit] as number;
		const from = Math.max(0, Math.floor(ahead / unit));
		const to = Math.ceil(
			Math.min(
				paths.more[(path >> 1) | PathMore.rangeSpan] as number,
				ahead + (paths.more[(orphan >> 1) | PathMore.rangeSpan] as number),
			) / unit,
		);
		for (
			let hop = paths.words[orphan | PathAt.firstHop] as number;
			hop !== 0;
			hop = hops.words[hop | HopAt.next] as number
		) {
			const own = open.hopAt(path, hops.words[hop | HopAt.hook] as number, hops.words[hop | HopAt.branch] as number);
			const target = own === 0 ? newHop(path, hop) : own;
			if (own !== 0) addHop(own, hop, from === 0);
			if (ahead < 0)
				hops.words[target | HopAt.leadingPackets] =
					(hops.words[target | HopAt.leadingPackets] as number) + (hops.words[hop | HopAt.packets] as number);
			if (hops.words[hop | HopAt.coverLow] === 0xffffffff && hops.words[hop | HopAt.coverHigh] === 0xffffffff)
				coverUnits(path, target, from, to);
		}
		paths.doubles[(path >> 1) | PathF64.latest] = Math.max(
			paths.doubles[(path >> 1) | PathF64.latest] as number,
			paths.doubles[(orphan >> 1) | PathF64.latest] as number,
		);
		open.mark(path, Mark.manifold);
	}

	function newHop(path: number, from: number): number {
		const hop = allocateHop(hops);
		hops.words[hop | HopAt.hook] = hops.words[from | HopAt.hook] as number;
		hops.doubles[(hop >> 1) | HopF64.first] = hops.doubles[(from >> 1) | HopF64.first] as number;
		hops.doubles[(hop >> 1) | HopF64.last] = hops.doubles[(from >> 1) | HopF64.last] as number;
		hops.words[hop | HopAt.packets] = hops.words[from | HopAt.packets] as number;
		hops.words[hop | HopAt.bytes] = hops.words[from | HopAt.bytes] as number;
		hops.words[hop | HopAt.tuple] = hops.words[from | HopAt.tuple] as number;
		hops.words[hop | HopAt.outer] = hops.words[from | HopAt.outer] as number;
		hops.words[hop | HopAt.branch] = hops.words[from | HopAt.branch] as number;
		hops.words[hop | HopAt.coverLow] = 0;
		hops.words[hop | HopAt.coverHigh] = 0;
		hops.words[(paths.words[path | PathAt.lastHop] as number) | HopAt.next] = hop;
		paths.words[path | PathAt.lastHop] = hop;
		return hop;
	}

	/** What began before the orphan's range was counted with the orphan before it. */
	function addHop(hop: number, from: number, isFront: boolean): void {
		const packets = (hops.words[from | HopAt.packets] as number) - (hops.words[from | HopAt.leadingPackets] as number);
		const bytes = (hops.words[from | HopAt.bytes] as number) - (hops.words[from | HopAt.leadingBytes] as number);
		hops.words[hop | HopAt.packets] = (hops.words[hop | HopAt.packets] as number) + packets;
		hops.words[hop | HopAt.bytes] = (hops.words[hop | HopAt.bytes] as number) + bytes;
		hops.doubles[(hop >> 1) | HopF64.last] = Math.max(
			hops.doubles[(hop >> 1) | HopF64.last] as number,
			hops.doubles[(from >> 1) | HopF64.last] as number,
		);
		if (isFront) hops.doubles[(hop >> 1) | HopF64.first] = hops.doubles[(from >> 1) | HopF64.first] as number;
	}

	function coverUnits(path: number, hop: number, from: number, to: number): void {
		const low = ((hops.words[hop | HopAt.coverLow] as number) | lowBits(from, to)) >>> 0;
		const high = ((hops.words[hop | HopAt.coverHigh] as number) | highBits(from, to)) >>> 0;
		const units = paths.more[(path >> 1) | PathMore.units] as number;
		const complete = low === lowBits(0, units) && high === highBits(0, units);
		hops.words[hop | HopAt.coverLow] = complete ? 0xffffffff : low;
		hops.words[hop | HopAt.coverHigh] = complete ? 0xffffffff : high;
	}

	/** The orphan's skbs carry `to` from now on. @param whole 1: each carries all of it */
	function handOver(orphan: number, to: number, whole: number): void {
		let last = 0;
		for (
			let carrier = paths.words[orphan | PathAt.carrier] as number;
			carrier !== 0;
			carrier = carriers.words[carrier | CarrierAt.sibling] as number
		) {
			carriers.words[carrier | CarrierAt.path] = to;
			if (whole === 0) carriers.words[carrier | CarrierAt.whole] = 0;
			last = carrier;
		}
		if (to === orphan || last === 0) return;
		const first = paths.words[to | PathAt.carrier] as number;
		carriers.words[last | CarrierAt.sibling] = first;
		if (first !== 0) carriers.words[first | CarrierAt.elder] = last;
		paths.words[to | PathAt.carrier] = paths.words[orphan | PathAt.carrier] as number;
		paths.words[orphan | PathAt.carrier] = 0;
	}

	/** What the kernel threw away of the orphan it threw away of the path. */
	function passDrop(orphan: number, path: number, isAll: boolean): void {
		const drop = dropped.get(orphan);
		if (drop !== undefined) dropped.set(path, { ...drop, isAll: drop.isAll && isAll });
	}

	/** Forgets an orphan whose hops others have now. */
	function discard(orphan: number): void {
		dropped.delete(orphan);
		if (orphans.has(orphan)) orphans.remove(orphan);
		open.forget(orphan);
	}

	/** Ends the path if its newest whole hop is where it was to go. */
	function settle(path: number): void {
		const hop = paths.words[path | PathAt.lastHop] as number;
		if (hops.words[hop | HopAt.coverLow] !== 0xffffffff || hops.words[hop | HopAt.coverHigh] !== 0xffffffff) return;
		const hook = hops.words[hop | HopAt.hook] as number;
		const tuple = hops.words[hop | HopAt.tuple] as number;
		if (paths.words[path | PathAt.state] !== State.open) return;
		const next = dues.next(hook, tuple);
		if (next !== Next.wait) open.settleAt(path, hook, tuple);
	}
}
