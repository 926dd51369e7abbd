import { EventFlag, Family } from "../packet/sightings.js";
import { CarrierAt } from "./carrier-table.js";
import { type Datagram, MAX_OPTIONS } from "./datagram-index.js";
import { HopAt, HopF64 } from "./hop-table.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathMore, setKind } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Sight } from "./sight.js";
import type { Workshop } from "./workshop.js";

/** Bytes of transport headers that `payload` leaves out in a first fragment or a whole datagram. */
const HEADER_BYTES: Readonly<Record<number, number>> = {
	[Protocol.icmp]: 8,
	[Protocol.tcp]: 20,
	[Protocol.udp]: 8,
	[Protocol.icmpv6]: 8,
	[Protocol.sctp]: 12,
};
/** One bit of coverage: fragments are longer but for the last, so no two begin in one. */
const UNIT_BYTES = 1024;
/** Waiting paths that are looked at for the whole that a fragment was cut from. */
const MAX_CUT_CANDIDATES = 256;

/**
 * Joins fragments. A datagram is one path, however many skbs carry it: conntrack reassembles it on its way and cuts it
 * again (nf_defrag_ipv4, nf_ct_frag6_gather, ip_do_fragment). Only its first fragment tells ports; what all have is the
 * source, the protocol and the ID, and often the pointer. Datagrams in fragments are few: objects will do.
 */
export function makeByDatagram(shop: Workshop, open: OpenPaths) {
	const { carriers, datagrams, facts, hooks, hops, paths, sight, suspects, tuples } = shop;
	return { follow, join, begin };

	/** A pointer is seen again and does not carry the same packet: does it carry the same datagram? */
	function follow(carrier: number): boolean {
		const datagram = datagrams.of(carriers.words[carrier | CarrierAt.path] as number);
		if (datagram === undefined) return false;
		if (sight.rank <= (hooks.rank[carriers.words[carrier | CarrierAt.hook] as number] as number) || !isPart(datagram))
			return false;
		if (
			hooks.egress[sight.hook] === 0 &&
			!hooks.entersAfter(sight.hook, carriers.words[carrier | CarrierAt.hook] as number)
		)
			return false;
		open.move(carrier);
		add(datagram);
		return true;
	}

	/** Joins a fragment, or a datagram that was put together, to what was seen of it. */
	function join(): boolean {
		for (const datagram of datagrams.withId(sight.ipId)) {
			if (!isPart(datagram) || !isDueHere(datagram)) continue;
			open.carry(datagram.path);
			add(datagram);
			return true;
		}
		return isFragment(sight) && (joinCutAnew() || joinCutHere());
	}

	/**
	 * A router cuts what was whole before, where the next device's MTU is smaller: at a tunnel (ip_do_fragment in
	 * net/ipv4/ip_output.c; in IPv6 only who sends may). The fragments come microseconds behind the whole, with its ID;
	 * nothing is kept of whole datagrams for them but that they wait.
	 */
	function joinCutHere(): boolean {
		if ((sight.flags & EventFlag.familyMask) !== Family.ipv4) return false;
		let path = suspects.newest;
		for (let tries = MAX_CUT_CANDIDATES; path !== 0 && tries > 0; tries--) {
			if (isCutOf(path)) {
				cut(path);
				return true;
			}
			path = paths.words[path | PathAt.older] as number;
		}
		return false;
	}

	/** Is it a part of this whole datagram, which was seen last on the same node and not this far? */
	function isCutOf(path: number): boolean {
		const { words } = paths;
		const last = words[path | PathAt.lastHop] as number;
		const hook = hops.words[last | HopAt.hook] as number;
		const tuple = hops.words[last | HopAt.tuple] as number;
		return (
			words[path | PathAt.ipId] === sight.ipId &&
			((words[path | PathAt.marks] as number) & Mark.fragments) === 0 &&
			(facts.kind(tuple) & 0xff) === sight.protocol &&
			(words[path | PathAt.payload] as number) + (HEADER_BYTES[sight.protocol] ?? 0) >=
				offsetOf(sight) + bytesOf(sight) &&
			hooks.source[hook] === sight.source &&
			sight.rank > (hooks.rank[hook] as number) &&
			[0, 1, 2, 3, 4, 5, 6, 7].every((word) => tuples.word(tuple, word) === tuples.word(sight.tuple, word))
		);
	}

	/** The path is a datagram from now on, of which every hop so far has seen all. */
	function cut(path: number): void {
		const total = (paths.words[path | PathAt.payload] as number) + (HEADER_BYTES[sight.protocol] ?? 0);
		const datagram = datagramOf(path, sight, paths.words[path | PathAt.tuple] as number, total);
		open.becomeFragments(path);
		paths.more[(path >> 1) | PathMore.total] = leastOf(datagram);
		for (
			let hop = paths.words[path | PathAt.firstHop] as number;
			hop !== 0;
			hop = hops.words[hop | HopAt.next] as number
		) {
			hops.words[hop | HopAt.leadingBytes] = total;
		}
		datagrams.add(datagram);
		open.carry(path);
		add(datagram);
	}

	/**
	 * IPv6 takes another ID whenever it cuts (ip6_fragment in net/ipv6/ip6_output.c): the first fragment, which comes
	 * first, is known by its bytes and ports, and tells the ID of the others.
	 */
	function joinCutAnew(): boolean {
		if (isLater(sight) || (sight.flags & EventFlag.familyMask) !== Family.ipv6) return false;
		const alike = datagrams.withHead(hashOf(sight)).filter((one) => isSameHead(one));
		const [datagram] = alike.filter((one) => isDueHere(one));
		if (datagram === undefined) return false;
		// Equal bytes are under way twice: then their order decides.
		if (alike.length > 1) for (const { path } of alike) open.mark(path, Mark.order);
		datagrams.addId(datagram, sight.ipId);
		open.carry(datagram.path);
		add(datagram);
		return true;
	}

	function isSameHead({ protocol, family, head, total, faces }: Datagram): boolean {
		return (
			protocol === sight.protocol &&
			family === Family.ipv6 &&
			head?.sequence === sight.sequence &&
			(total === 0 || bytesOf(sight) < total) &&
			faces.some((face) => sharesAddress(face, sight.tuple))
		);
	}

	/** Opens a path with a fragment. */
	function begin(): void {
		const path = open.openFragments();
		const datagram = datagramOf(path, sight, sight.tuple, 0);
		datagrams.add(datagram);
		const hop = paths.words[path | PathAt.firstHop] as number;
		hops.words[hop | HopAt.coverLow] = 0;
		hops.words[hop | HopAt.coverHigh] = 0;
		note(datagram, hop);
	}

	/** The same ID, protocol and source; or put together, which leaves IPv6 no ID, to the right length. */
	function isPart(datagram: Datagram): boolean {
		const family = sight.flags & EventFlag.familyMask;
		if (datagram.protocol !== sight.protocol || datagram.family !== family) return false;
		if (isFragment(sight) || family === Family.ipv4) {
			if (!datagram.ids.includes(sight.ipId)) return false;
		} else if (datagram.total === 0 || Math.abs(bytesOf(sight) - datagram.total) > MAX_OPTIONS) {
			return false;
		}
		return datagram.faces.some((face) => sharesAddress(face, sight.tuple));
	}

	/** NAT may have changed one address; both it changes only under one pointer. */
	function sharesAddress(a: number, b: number): boolean {
		if (a === b) return true;
		const same = (from: number) =>
			[0, 1, 2, 3].every((word) => tuples.word(a, from + word) === tuples.word(b, from + word));
		return same(0) || same(4);
	}

	/** Is this hook next for it, or one that has not seen this part yet? */
	function isDueHere(datagram: Datagram): boolean {
		const hop = open.hopAt(datagram.path, sight.hook, 0);
		if (hop !== 0) return !hasSeen(hop);
		const last = hops.words[(paths.words[datagram.path | PathAt.lastHop] as number) | HopAt.hook] as number;
		return hooks.source[last] !== sight.source || sight.rank > (hooks.rank[last] as number);
	}

	function hasSeen(hop: number): boolean {
		const unit = Math.floor(offsetOf(sight) / UNIT_BYTES);
		const word = (unit < 32 ? hops.words[hop | HopAt.coverLow] : hops.words[hop | HopAt.coverHigh]) as number;
		return ((word >>> (unit & 31)) & 1) === 1;
	}

	function add(datagram: Datagram): void {
		const { path } = datagram;
		if (!datagram.faces.includes(sight.tuple)) datagram.faces.push(sight.tuple);
		let hop = open.hopAt(path, sight.hook, 0);
		if (hop === 0) {
			hop = open.append(path, 0);
			hops.words[hop | HopAt.coverLow] = 0;
			hops.words[hop | HopAt.coverHigh] = 0;
		} else {
			open.addTo(path, hop);
			if (offsetOf(sight) === 0) {
				hops.doubles[(hop >> 1) | HopF64.first] = sight.now;
				hops.words[hop | HopAt.tuple] = sight.tuple;
			}
		}
		note(datagram, hop);
		if (!isLater(sight)) learn(path, hop);
		if (isWhole(datagram, hop)) open.settleAt(path, sight.hook, hops.words[hop | HopAt.tuple] as number);
	}

	/** A face with ports at a later hop tells NAT, once the first hop has shown its own. */
	function learn(path: number, hop: number): void {
		const first = paths.words[path | PathAt.tuple] as number;
		if (hop === paths.words[path | PathAt.firstHop] || first === sight.tuple || tuples.sourcePort(first) === 0) return;
		if (facts.isNat(first, sight.tuple)) open.alias(first, sight.tuple);
	}

	/** Notes which part the sighting is; `leadingBytes` of a datagram's hops are the IP payload that they saw. */
	function note(datagram: Datagram, hop: number): void {
		const offset = offsetOf(sight);
		const unit = Math.floor(offset / UNIT_BYTES);
		if (unit < 32)
			hops.words[hop | HopAt.coverLow] = ((hops.words[hop | HopAt.coverLow] as number) | (1 << unit)) >>> 0;
		else hops.words[hop | HopAt.coverHigh] = ((hops.words[hop | HopAt.coverHigh] as number) | (1 << (unit & 31))) >>> 0;
		hops.words[hop | HopAt.leadingBytes] = (hops.words[hop | HopAt.leadingBytes] as number) + bytesOf(sight);
		if (isLast(sight)) datagram.total = Math.max(datagram.total, offset + bytesOf(sight));
		paths.more[(datagram.path >> 1) | PathMore.total] = leastOf(datagram);
		if (offset === 0 && datagram.head === null) datagrams.setHead(datagram, hashOf(sight), sight.sequence);
		if (hop === paths.words[datagram.path | PathAt.firstHop]) {
			paths.words[datagram.path | PathAt.payload] =
				(hops.words[hop | HopAt.leadingBytes] as number) - (HEADER_BYTES[datagram.protocol] ?? 0);
			paths.words[datagram.path | PathAt.length] = hops.words[hop | HopAt.bytes] as number;
			if (offset === 0) {
				paths.words[datagram.path | PathAt.tuple] = sight.tuple;
				setKind(paths, datagram.path, sight.kind);
			}
		}
	}

	function isWhole(datagram: Datagram, hop: number): boolean {
		const seen = hops.words[hop | HopAt.leadingBytes] as number;
		return datagram.total > 0 && seen >= leastOf(datagram);
	}
}

export function isFragment(sight: Sight): boolean {
	return (sight.flags & EventFlag.fragment) !== 0;
}

function isLater(sight: Sight): boolean {
	return (sight.flags & EventFlag.laterFragment) !== 0;
}

/** The last fragment, or all in one. */
function isLast(sight: Sight): boolean {
	return (sight.flags & EventFlag.moreFragments) === 0;
}

function offsetOf(sight: Sight): number {
	return isLater(sight) ? sight.sequence : 0;
}

function hashOf({ rows, i }: Sight): number {
	return rows.hash[i] as number;
}

/** Bytes that a hop has to see of it at the least: of TCP's options no column tells. 0: not known yet. */
function leastOf({ total, protocol }: Datagram): number {
	return protocol === Protocol.tcp ? Math.max(0, total - MAX_OPTIONS) : total;
}

/** Bytes behind the IP headers. */
function bytesOf(sight: Sight): number {
	return sight.payload + (isLater(sight) ? 0 : (HEADER_BYTES[sight.protocol] ?? 0));
}

/** Of which this fragment is under way. @param total see Datagram */
function datagramOf(path: number, sight: Sight, face: number, total: number): Datagram {
	const family = sight.flags & EventFlag.familyMask;
	return { path, ids: [sight.ipId], head: null, protocol: sight.protocol, family, faces: [face], total };
}
