import { highBits, lowBits } from "./coverage.js";
import { Next } from "./due-cache.js";
import { HopAt, HopF64 } from "./hop-table.js";
import { isOtherSegment } from "./key.js";
import type { OpenPaths } from "./open-paths.js";
import { gsoSizeOf, Mark, PathAt, PathF64, PathMore, State, segmentsOf } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Workshop } from "./workshop.js";

/** One IP ID on the circle of UDP's ranges: see Listing.setRange. */
const ONE_ID = 0x10000;

/**
 * Joins where segmentation broke the pointer's chain: a sighting belongs to every path whose range it overlaps. TCP by
 * bytes and TSval; UDP segments by IP ID, or by their order where there is none.
 */
export function makeByRange(shop: Workshop, open: OpenPaths) {
	const { dues, facts, hooks, hops, paths, ranges, sight } = shop;
	/** Range of the sighting at hand. */
	let start = 0;
	let span = 0;
	/** A path, its hop here (0: none yet), and which units of its range the sighting holds: [from, to). 0: none. */
	let measured = 0;
	let hop = 0;
	let from = 0;
	let to = 0;
	return { join };

	/** @param carried the sighting's pointer has a carrier */
	function join(carried: boolean): boolean {
		const { protocol } = sight;
		if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return false;
		if (sight.payload === 0) return false;
		const root = facts.root(sight.tuple);
		if (ranges.count(root) === 0) return false;
		setRange();
		measured = 0;
		const count = choose(ranges.overlapping(root, start, span));
		if (count === 0) return false;
		const { found } = ranges;
		if (!carried) open.carryPart(found[0] as number);
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			open.mark(path, Mark.manifold);
			const complete = cover(path);
			if (paths.words[path | PathAt.state] !== State.open) continue;
			if (complete) open.settle(path);
			else open.adopt(path);
		}
		return true;
	}

	function setRange(): void {
		if (sight.protocol === Protocol.tcp) {
			start = sight.sequence;
			span = sight.payload;
		} else {
			start = (sight.ipId << 16) >>> 0;
			span = (sight.segments << 16) >>> 0;
		}
	}

	/** Keeps in `ranges.found` those of its first `count` paths that the sighting can be a part of; returns how many. */
	function choose(count: number): number {
		const { found } = ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			if (mayBePart(path)) found[kept++] = path;
		}
		return kept < 2 ? kept : unrivalled(kept);
	}

	function mayBePart(path: number): boolean {
		if (sight.protocol === Protocol.tcp) {
			if (paths.words[path | PathAt.tsval] !== sight.tsval) return false;
			if (isOtherSegment(paths, path, sight.segments, sight.ipId)) return false;
			measure(path);
		} else {
			measure(path);
			if (!isDatagramPart(path)) return false;
		}
		if (hop !== 0) return hasRoom();
		const lastHop = paths.words[path | PathAt.lastHop] as number;
		const last = hops.words[lastHop | HopAt.hook] as number;
		if (hooks.source[last] !== sight.source) {
			const tuple = hops.words[lastHop | HopAt.tuple] as number;
			return dues.next(last, tuple) === Next.across && dues.leadsTo(last, tuple, sight.hook);
		}
		if (segmentsOf(paths, path) < 2 && sight.segments < 2) return false;
		return sight.rank > (hooks.rank[last] as number);
	}

	/** Segments of UDP have the size that the socket asked for, the last one less. */
	function isDatagramPart(path: number): boolean {
		const numbered = paths.words[path | PathAt.ipId] !== 0;
		if (!numbered && sight.ipId !== 0) return false;
		const gsoSize = gsoSizeOf(paths, path);
		if (sight.segments > 1) return sight.gsoSize === gsoSize;
		const place = numbered ? (sight.ipId - (paths.words[path | PathAt.ipId] as number)) & 0xffff : unitsSeen();
		const isLast = place === segmentsOf(paths, path) - 1;
		return sight.payload === (isLast ? (paths.words[path | PathAt.payload] as number) - place * gsoSize : gsoSize);
	}

	/** Among paths with the same bytes (a retransmission within one tick of TSval) the IP ID decides, else the order. */
	function unrivalled(count: number): number {
		const { found } = ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			let rivalled = false;
			for (let m = 0; m < count && !rivalled; m++) {
				const rival = found[m] as number;
				if (m === n || rival === 0 || isOrphan(path) || isOrphan(rival)) continue;
				if (!overlap(path, rival)) continue;
				rivalled = prefers(rival, path);
				if (!rivalled && !idFits(path)) open.mark(path, Mark.order);
			}
			found[n] = 0;
			if (!rivalled) found[kept++] = path;
		}
		return kept;
	}

	/** It stands for a path that is not known yet, or for parts of others: no rival. */
	function isOrphan(path: number): boolean {
		return ((paths.words[path | PathAt.marks] as number) & Mark.orphan) !== 0;
	}

	function prefers(a: number, b: number): boolean {
		const fitsA = idFits(a);
		if (fitsA !== idFits(b)) return fitsA;
		return (paths.doubles[(a >> 1) | PathF64.serial] as number) < (paths.doubles[(b >> 1) | PathF64.serial] as number);
	}

	function idFits(path: number): boolean {
		const own = paths.words[path | PathAt.ipId] as number;
		if (sight.ipId === 0 || own === 0) return false;
		const ahead = (sight.ipId - own) & 0xffff;
		return ahead < segmentsOf(paths, path) || ONE_ID - ahead < sight.segments;
	}

	function overlap(a: number, b: number): boolean {
		const ahead =
			((paths.more[(b >> 1) | PathMore.rangeStart] as number) -
				(paths.more[(a >> 1) | PathMore.rangeStart] as number)) |
			0;
		return (
			ahead < (paths.more[(a >> 1) | PathMore.rangeSpan] as number) &&
			ahead + (paths.more[(b >> 1) | PathMore.rangeSpan] as number) > 0
		);
	}

	/** Has the hop not seen all of the units yet? */
	function hasRoom(): boolean {
		const low = lowBits(from, to);
		const high = highBits(from, to);
		return (
			((hops.words[hop | HopAt.coverLow] as number) & low) >>> 0 !== low ||
			((hops.words[hop | HopAt.coverHigh] as number) & high) >>> 0 !== high
		);
	}

	function measure(path: number): void {
		measured = path;
		hop = open.hopAt(path, sight.hook, 0);
		if (isUnnumbered(path)) {
			from = unitsSeen();
			to = from + 1;
			return;
		}
		const unit = paths.more[(path >> 1) | PathMore.unit] as number;
		const ahead = (start - (paths.more[(path >> 1) | PathMore.rangeStart] as number)) | 0;
		const behind = Math.min(paths.more[(path >> 1) | PathMore.rangeSpan] as number, ahead + span);
		from = ahead <= 0 ? 0 : (ahead / unit) | 0;
		to = ((behind + unit - 1) / unit) | 0;
	}

	/** UDP GSO without IP IDs: its segments come in order. */
	function isUnnumbered(path: number): boolean {
		return (
			paths.words[path | PathAt.ipId] === 0 &&
			paths.more[(path >> 1) | PathMore.unit] === ONE_ID &&
			paths.more[(path >> 1) | PathMore.rangeStart] === 0
		);
	}

	function unitsSeen(): number {
		return hop === 0 ? 0 : (hops.words[hop | HopAt.packets] as number);
	}

	/** Adds the sighting to the path's hop here; returns whether that has seen the whole range now. */
	function cover(path: number): boolean {
		if (path !== measured) measure(path);
		if (isUnnumbered(path)) open.mark(path, Mark.order);
		if (hop === 0) {
			hop = open.append(path, 0);
			hops.words[hop | HopAt.coverLow] = 0;
			hops.words[hop | HopAt.coverHigh] = 0;
		} else {
			open.addTo(path, hop);
			if (from === 0 && ((hops.words[hop | HopAt.coverLow] as number) & 1) === 0)
				hops.doubles[(hop >> 1) | HopF64.first] = sight.now;
		}
		if (((start - (paths.more[(path >> 1) | PathMore.rangeStart] as number)) | 0) < 0) {
			hops.words[hop | HopAt.leadingPackets] = (hops.words[hop | HopAt.leadingPackets] as number) + 1;
			hops.words[hop | HopAt.leadingBytes] = (hops.words[hop | HopAt.leadingBytes] as number) + sight.length;
		}
		const low = ((hops.words[hop | HopAt.coverLow] as number) | lowBits(from, to)) >>> 0;
		const high = ((hops.words[hop | HopAt.coverHigh] as number) | highBits(from, to)) >>> 0;
		const units = paths.more[(path >> 1) | PathMore.units] as number;
		const complete = low === lowBits(0, units) && high === highBits(0, units);
		hops.words[hop | HopAt.coverLow] = complete ? 0xffffffff : low;
		hops.words[hop | HopAt.coverHigh] = complete ? 0xffffffff : high;
		measured = 0;
		return complete;
	}
}
