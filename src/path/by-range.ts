import { highBits, lowBits, unitsOf } from "./coverage.js";
import { Next } from "./due-cache.js";
import { HopAt, HopF64 } from "./hop-table.js";
import { isOtherSegment } from "./key.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64, State } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Sight } from "./sight.js";
import type { Workshop } from "./workshop.js";

/** One IP ID on the circle of UDP's ranges: see Listing.setRange. */
const ONE_ID = 0x10000;

/**
 * Joins where segmentation broke the pointer's chain: a sighting belongs to every path whose range it overlaps. TCP by
 * bytes and TSval; UDP segments by IP ID, or by their order where there is none.
 */
export class ByRange {
	readonly #shop: Workshop;
	readonly #open: OpenPaths;
	/** Range of the sighting at hand. */
	#start = 0;
	#span = 0;

	constructor(shop: Workshop, open: OpenPaths) {
		this.#shop = shop;
		this.#open = open;
	}

	/** @param carried the sighting's pointer has a carrier */
	join(sight: Sight, carried: boolean): boolean {
		const { facts, ranges, paths } = this.#shop;
		const { protocol } = sight;
		if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return false;
		if (sight.payload === 0) return false;
		const root = facts.root(sight.tuple);
		if (ranges.count(root) === 0) return false;
		this.#setRange(sight);
		const count = this.#choose(ranges.overlapping(root, this.#start, this.#span), sight);
		if (count === 0) return false;
		const open = this.#open;
		const { found } = ranges;
		if (!carried) open.carryPart(found[0] as number, sight);
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			open.mark(path, Mark.manifold);
			const complete = this.#cover(path, sight);
			if (paths.words[path | PathAt.state] !== State.open) continue;
			if (complete) open.settle(path, sight);
			else open.adopt(path, sight);
		}
		return true;
	}

	#setRange(sight: Sight): void {
		if (sight.protocol === Protocol.tcp) {
			this.#start = sight.sequence;
			this.#span = sight.payload;
		} else {
			this.#start = (sight.ipId << 16) >>> 0;
			this.#span = (sight.segments << 16) >>> 0;
		}
	}

	/** Keeps in `ranges.found` those of its first `count` paths that the sighting can be a part of; returns how many. */
	#choose(count: number, sight: Sight): number {
		const { found } = this.#shop.ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			if (this.#mayBePart(path, sight)) found[kept++] = path;
		}
		return kept < 2 ? kept : this.#unrivalled(kept, sight);
	}

	#mayBePart(path: number, sight: Sight): boolean {
		const { paths, hops, hooks, dues } = this.#shop;
		const hop = this.#open.hopAt(path, sight.hook, 0);
		if (sight.protocol === Protocol.tcp) {
			if (paths.words[path | PathAt.tsval] !== sight.tsval) return false;
			if (isOtherSegment(paths, path, sight.segments, sight.ipId)) return false;
		} else if (!this.#isDatagramPart(path, hop, sight)) return false;
		if (hop !== 0) return this.#hasRoom(path, hop);
		const lastHop = paths.words[path | PathAt.lastHop] as number;
		const last = hops.words[lastHop | HopAt.hook] as number;
		if (hooks.source[last] !== sight.source) {
			const tuple = hops.words[lastHop | HopAt.tuple] as number;
			return dues.next(last, tuple) === Next.across && dues.leadsTo(last, tuple, sight.hook);
		}
		if (paths.segments(path) < 2 && sight.segments < 2) return false;
		return sight.rank > (hooks.rank[last] as number);
	}

	/** Segments of UDP have the size that the socket asked for, the last one less. */
	#isDatagramPart(path: number, hop: number, sight: Sight): boolean {
		const { paths } = this.#shop;
		const numbered = paths.words[path | PathAt.ipId] !== 0;
		if (!numbered && sight.ipId !== 0) return false;
		const gsoSize = paths.gsoSize(path);
		if (sight.segments > 1) return sight.gsoSize === gsoSize;
		const place = numbered ? (sight.ipId - (paths.words[path | PathAt.ipId] as number)) & 0xffff : this.#unitsSeen(hop);
		const isLast = place === paths.segments(path) - 1;
		return sight.payload === (isLast ? (paths.words[path | PathAt.payload] as number) - place * gsoSize : gsoSize);
	}

	/** Among paths with the same bytes (a retransmission within one tick of TSval) the IP ID decides, else the order. */
	#unrivalled(count: number, sight: Sight): number {
		const { found } = this.#shop.ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			let rivalled = false;
			for (let m = 0; m < count && !rivalled; m++) {
				const rival = found[m] as number;
				if (m === n || rival === 0 || this.#isOrphan(path) || this.#isOrphan(rival)) continue;
				if (!this.#overlap(path, rival)) continue;
				rivalled = this.#prefers(rival, path, sight);
				if (!rivalled && !this.#idFits(path, sight)) this.#open.mark(path, Mark.order);
			}
			found[n] = 0;
			if (!rivalled) found[kept++] = path;
		}
		return kept;
	}

	/** It stands for a path that is not known yet, or for parts of others: no rival. */
	#isOrphan(path: number): boolean {
		return ((this.#shop.paths.words[path | PathAt.marks] as number) & Mark.orphan) !== 0;
	}

	#prefers(a: number, b: number, sight: Sight): boolean {
		const { paths } = this.#shop;
		const fitsA = this.#idFits(a, sight);
		if (fitsA !== this.#idFits(b, sight)) return fitsA;
		return (paths.doubles[(a >> 1) | PathF64.serial] as number) < (paths.doubles[(b >> 1) | PathF64.serial] as number);
	}

	#idFits(path: number, sight: Sight): boolean {
		const { paths } = this.#shop;
		const own = paths.words[path | PathAt.ipId] as number;
		if (sight.ipId === 0 || own === 0) return false;
		const ahead = (sight.ipId - own) & 0xffff;
		return ahead < paths.segments(path) || ONE_ID - ahead < sight.segments;
	}

	#overlap(a: number, b: number): boolean {
		const { words } = this.#shop.paths;
		const ahead = ((words[b | PathAt.rangeStart] as number) - (words[a | PathAt.rangeStart] as number)) | 0;
		return ahead < (words[a | PathAt.rangeSpan] as number) && ahead + (words[b | PathAt.rangeSpan] as number) > 0;
	}

	/** Has the hop not seen all of these units yet? */
	#hasRoom(path: number, hop: number): boolean {
		const { hops } = this.#shop;
		const from = this.#fromUnit(path, hop);
		const to = this.#toUnit(path, from);
		const low = lowBits(from, to);
		const high = highBits(from, to);
		return (
			((hops.words[hop | HopAt.coverLow] as number) & low) >>> 0 !== low ||
			((hops.words[hop | HopAt.coverHigh] as number) & high) >>> 0 !== high
		);
	}

	/** First unit of the path that the sighting holds. @param hop 0: the path has none here yet */
	#fromUnit(path: number, hop: number): number {
		const { paths } = this.#shop;
		if (this.#isUnnumbered(path)) return this.#unitsSeen(hop);
		const ahead = (this.#start - (paths.words[path | PathAt.rangeStart] as number)) | 0;
		return ahead <= 0 ? 0 : Math.floor(ahead / (paths.words[path | PathAt.unit] as number));
	}

	/** The unit behind the last that it holds. */
	#toUnit(path: number, from: number): number {
		const { paths } = this.#shop;
		const unit = paths.words[path | PathAt.unit] as number;
		if (this.#isUnnumbered(path)) return from + 1;
		const ahead = (this.#start - (paths.words[path | PathAt.rangeStart] as number)) | 0;
		return Math.ceil(Math.min(paths.words[path | PathAt.rangeSpan] as number, ahead + this.#span) / unit);
	}

	/** UDP GSO without IP IDs: its segments come in order. */
	#isUnnumbered(path: number): boolean {
		const { paths } = this.#shop;
		return (
			paths.words[path | PathAt.ipId] === 0 &&
			paths.words[path | PathAt.unit] === ONE_ID &&
			paths.words[path | PathAt.rangeStart] === 0
		);
	}

	#unitsSeen(hop: number): number {
		return hop === 0 ? 0 : (this.#shop.hops.words[hop | HopAt.packets] as number);
	}

	/** Adds the sighting to the path's hop here; returns whether that has seen the whole range now. */
	#cover(path: number, sight: Sight): boolean {
		const { paths, hops } = this.#shop;
		const open = this.#open;
		let hop = open.hopAt(path, sight.hook, 0);
		const from = this.#fromUnit(path, hop);
		const to = this.#toUnit(path, from);
		if (this.#isUnnumbered(path)) open.mark(path, Mark.order);
		if (hop === 0) {
			hop = open.append(path, sight, 0);
			hops.words[hop | HopAt.coverLow] = 0;
			hops.words[hop | HopAt.coverHigh] = 0;
		} else {
			open.addTo(path, hop, sight);
			if (from === 0 && ((hops.words[hop | HopAt.coverLow] as number) & 1) === 0)
				hops.doubles[(hop >> 1) | HopF64.first] = sight.now;
		}
		if (((this.#start - (paths.words[path | PathAt.rangeStart] as number)) | 0) < 0) {
			hops.words[hop | HopAt.leadingPackets] = (hops.words[hop | HopAt.leadingPackets] as number) + 1;
			hops.words[hop | HopAt.leadingBytes] = (hops.words[hop | HopAt.leadingBytes] as number) + sight.length;
		}
		const low = ((hops.words[hop | HopAt.coverLow] as number) | lowBits(from, to)) >>> 0;
		const high = ((hops.words[hop | HopAt.coverHigh] as number) | highBits(from, to)) >>> 0;
		const units = unitsOf(paths.words[path | PathAt.rangeSpan] as number, paths.words[path | PathAt.unit] as number);
		const complete = low === lowBits(0, units) && high === highBits(0, units);
		hops.words[hop | HopAt.coverLow] = complete ? 0xffffffff : low;
		hops.words[hop | HopAt.coverHigh] = complete ? 0xffffffff : high;
		return complete;
	}
}
