import { EventFlag, Family } from "../packet/sightings.js";
import { unitsOf } from "./coverage.js";
import { Next } from "./due-cache.js";
import { Rank } from "./hook-table.js";
import { setKey } from "./key.js";
import { gsoSizeOf, Mark, PathAt, PathMore, protocolOf, segmentsOf } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Workshop } from "./workshop.js";

/** Lists open paths where their next sighting will look for them, when that may come without their pointer. */
export type Listing = ReturnType<typeof makeListing>;

/** @param repeated a segment that has nothing of its own is equal to one of a moment ago */
export function makeListing(shop: Workshop, repeated: (path: number) => void) {
	const { facts, hooks, keys, limits, paths, ranges, recent, recentAt, sight } = shop;
	return { list, unlist, isStrong };

	/**
	 * The path has a new newest hop.
	 * @param next what is due, one of Next
	 * @returns a path whose range has to be given up for this one's; 0: none
	 */
	function list(path: number, next: number, hook: number): number {
		const rank = hooks.rank[hook] as number;
		const egress = hooks.egress[hook] === 1;
		if (rank === Rank.bridgeEgress || (!egress && hooks.master[hook] !== 0)) recentAt.note(hook, path);
		const leaving = next === Next.across || (egress && rank >= Rank.tunnelEgress);
		const marks = paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.keyed) === 0 && (leaving || mayBeReallocated(path, hook, rank))) {
			setKey(paths, path);
			keys.add(path);
			noteWeak(path);
		}
		if ((marks & Mark.ranged) !== 0) return 0;
		return leaving || mayBeRecut(path, hook, rank) ? listRange(path) : 0;
	}

	function unlist(path: number): void {
		const marks = paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.keyed) !== 0) keys.remove(path);
		if ((marks & Mark.ranged) !== 0) ranges.remove(facts.root(paths.words[path | PathAt.tuple] as number), path);
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) & ~(Mark.keyed | Mark.ranged);
	}

	/** Sets the range: TCP bytes, or IP IDs of UDP, and the unit in which hops tell how much they saw. */
	function setRange(path: number, protocol: number): void {
		const segments = segmentsOf(paths, path);
		const gsoSize = gsoSizeOf(paths, path);
		const payload = paths.words[path | PathAt.payload] as number;
		const each = Math.ceil(segments / 64);
		if (protocol === Protocol.tcp) {
			paths.more[(path >> 1) | PathMore.rangeStart] = paths.words[path | PathAt.sequence] as number;
			paths.more[(path >> 1) | PathMore.rangeSpan] = payload;
			paths.more[(path >> 1) | PathMore.unit] = gsoSize > 0 && segments > 1 ? gsoSize * each : payload;
		} else {
			paths.more[(path >> 1) | PathMore.rangeStart] = ((paths.words[path | PathAt.ipId] as number) << 16) >>> 0;
			paths.more[(path >> 1) | PathMore.rangeSpan] = (segments << 16) >>> 0;
			paths.more[(path >> 1) | PathMore.unit] = (each << 16) >>> 0;
		}
		paths.more[(path >> 1) | PathMore.units] = unitsOf(
			paths.more[(path >> 1) | PathMore.rangeSpan] as number,
			paths.more[(path >> 1) | PathMore.unit] as number,
		);
	}

	/**
	 * Has the packet a field that tells it from all others? A segment without an IP ID has not: a retransmission within
	 * one tick of TSval repeats every field.
	 */
	function isStrong(path: number): boolean {
		if (paths.words[path | PathAt.ipId] !== 0) return true;
		const protocol = protocolOf(paths, path);
		return (protocol === Protocol.icmp || protocol === Protocol.icmpv6) && paths.words[path | PathAt.sequence] !== 0;
	}

	/** May segments be merged, or a big skb be cut, before it leaves this node? */
	function mayBeRecut(path: number, hook: number, rank: number): boolean {
		if (rank === Rank.nicIngress || rank === Rank.tunnelIngress) return true;
		return segmentsOf(paths, path) > 1 && hooks.watchesRank(hooks.source[hook] as number, Rank.nicEgress);
	}

	/**
	 * IPv6 makes a new skb where a tunnel wants more headroom than there is (ip6_finish_output2, skb_expand_head): between
	 * cni0→i and flannel-v6.1→e the pointer changes.
	 */
	function mayBeReallocated(path: number, hook: number, rank: number): boolean {
		if (((paths.words[path | PathAt.flags] as number) & EventFlag.familyMask) !== Family.ipv6) return false;
		if (rank !== Rank.bridgeIngress && rank !== Rank.hostIngress) return false;
		return hooks.watchesRank(hooks.source[hook] as number, Rank.tunnelEgress);
	}

	function listRange(path: number): number {
		const protocol = protocolOf(paths, path);
		const isCut =
			protocol === Protocol.tcp
				? (paths.words[path | PathAt.payload] as number) > 0
				: protocol === Protocol.udp && segmentsOf(paths, path) > 1;
		if (!isCut) return 0;
		setRange(path, protocol);
		const root = facts.root(paths.words[path | PathAt.tuple] as number);
		const crowded = ranges.count(root) >= limits.rangesPerDirection ? ranges.front(root) : 0;
		ranges.add(root, path);
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.ranged;
		return crowded;
	}

	/** Remembers packets that have nothing of their own, so that equal ones know of each other even when one is gone. */
	function noteWeak(path: number): void {
		if (isStrong(path)) return;
		const seen = recent.note(path, sight.now, limits.suspectNs);
		if (sight.now - seen >= limits.suspectNs) return;
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.shared;
		if (protocolOf(paths, path) === Protocol.tcp && sight.now - seen < 2 * limits.orphanNs) repeated(path);
	}
}
