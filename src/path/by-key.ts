import { EventFlag } from "../packet/sightings.js";
import { CarrierAt } from "./carrier-table.js";
import { Next } from "./due-cache.js";
import { Rank } from "./hook-table.js";
import { HopAt, HopF64 } from "./hop-table.js";
import { isPacketOf } from "./key.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64, PathMore, State } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Workshop } from "./workshop.js";

/** Equal packets that are looked at for one join. */
const MAX_CANDIDATES = 64;
/** What a node's stack takes from a NIC to a tunnel, ns; a busy one more, and then nothing is claimed. */
const STACK_NS = 5e6;

/** Joins by equal fields, where the pointer cannot be the same: over the wire, in the copies of a flooded frame. */
export function makeByKey(shop: Workshop, open: OpenPaths) {
	const { carriers, crossings, dues, facts, flooded, hooks, hops, keys, paths, recentAt, sight, suspects } = shop;
	return { joinAcross, joinFlood };

	/** Joins the sighting to an equal packet that another node has seen leaving, or that got a new skb on this one. */
	function joinAcross(): boolean {
		const first = keys.find();
		if (first === 0) return false;
		// Equal packets without an ID arrive in their order. With one they are 65,536 packets apart: the newest it is, and
		// those before it were lost.
		const counted = sight.ipId !== 0;
		let tries = MAX_CANDIDATES;
		for (
			let path = counted ? (paths.more[(first >> 1) | PathMore.groupTail] as number) : first;
			path !== 0 && tries > 0;
			tries--
		) {
			const candidate = path;
			path = (
				counted ? paths.more[(path >> 1) | PathMore.samePrevious] : paths.more[(path >> 1) | PathMore.sameNext]
			) as number;
			const last = paths.words[candidate | PathAt.lastHop] as number;
			const lastHook = hops.words[last | HopAt.hook] as number;
			const reallocated = hooks.source[lastHook] === sight.source;
			if (reallocated && !isReallocated(lastHook)) continue;
			if (!isAcross(candidate)) continue;
			if (reallocated) freed(candidate, lastHook);
			const before = hops.words[last | HopAt.tuple] as number;
			if (!facts.sameDirection(before, sight.tuple)) {
				open.alias(before, sight.tuple);
				if (sight.protocol === Protocol.udp) open.mark(candidate, Mark.order);
			}
			open.doubt(candidate, paths.doubles[(candidate >> 1) | PathF64.latest] as number);
			const shared = ((paths.words[candidate | PathAt.marks] as number) & Mark.shared) !== 0;
			if (shared && !(reallocated && counted && isOnlyHere(candidate))) open.mark(candidate, Mark.order);
			else if (!reallocated)
				crossings.note(
					hooks.source[lastHook] as number,
					hops.doubles[(last >> 1) | HopF64.first] as number,
					sight.source,
					sight.now,
				);
			if (!reallocated) open.crossed(candidate);
			open.carry(candidate);
			open.mark(candidate, Mark.manifold);
			open.append(candidate, 0);
			open.settle(candidate);
			return true;
		}
		return false;
	}

	/** A bridge that floods: joins a copy under another pointer, behind the port by which its original came. */
	function joinFlood(): boolean {
		const before = floodedFrom(sight.hook, sight.ingress);
		if (before < 0) return false;
		for (let n = 0; n < recentAt.depth; n++) {
			const path = recentAt.at(before, n);
			if (path === 0) return false;
			if (paths.words[path | PathAt.state] !== State.open) continue;
			if (!isPacketOf(paths, path, sight) || !isBranch(path, before)) continue;
			branchOff(path);
			return true;
		}
		return false;
	}

	function branchOff(path: number): void {
		const branch = Math.min(255, (paths.words[path | PathAt.branches] as number) + 1);
		paths.words[path | PathAt.branches] = branch;
		carriers.words[open.carry(path) | CarrierAt.branch] = branch;
		// An orphan goes on waiting for its sender; its mark says what it is when that has come, or its time is over.
		if (((paths.words[path | PathAt.marks] as number) & Mark.flooded) === 0 && suspects.has(path)) {
			suspects.remove(path);
			flooded.add(path, sight.now);
		}
		open.mark(path, Mark.flooded | Mark.manifold);
		open.append(path, branch);
		open.settle(path);
	}

	/** The hook that has seen the original of a copy at a bridge's port: another port, or the bridge itself; -1: none. */
	function floodedFrom(hook: number, ingress: number): number {
		if (hooks.egress[hook] === 0 || hooks.master[hook] === 0) return -1;
		const port = hooks.ingressHookAt(hook, ingress);
		return port >= 0 && hooks.master[port] === hooks.master[hook] ? port : hooks.bridgeEgressOf(hook);
	}

	/** Has the path passed `before`, and not yet this hook? */
	function isBranch(path: number, before: number): boolean {
		let passed = false;
		for (
			let hop = paths.words[path | PathAt.firstHop] as number;
			hop !== 0;
			hop = hops.words[hop | HopAt.next] as number
		) {
			if (hops.words[hop | HopAt.hook] === sight.hook) return false;
			passed =
				passed ||
				(hops.words[hop | HopAt.hook] === before &&
					facts.sameDirection(hops.words[hop | HopAt.tuple] as number, sight.tuple));
		}
		return passed;
	}

	/** Can the path, last seen elsewhere, have come to this hook? */
	function isAcross(path: number): boolean {
		for (
			let hop = paths.words[path | PathAt.firstHop] as number;
			hop !== 0;
			hop = hops.words[hop | HopAt.next] as number
		) {
			if (hops.words[hop | HopAt.hook] === sight.hook) return false;
		}
		const last = paths.words[path | PathAt.lastHop] as number;
		const tuple = hops.words[last | HopAt.tuple] as number;
		const hook = hops.words[last | HopAt.hook] as number;
		const elsewhere = hooks.source[hook] !== sight.source;
		if (elsewhere && (dues.next(hook, tuple) !== Next.across || !dues.leadsTo(hook, tuple, sight.hook))) return false;
		if (facts.sameDirection(tuple, sight.tuple)) return true;
		// NAT where nobody looks: 96 bits of numbers that only this connection has speak for themselves.
		if (hooks.egress[hook] === 1) return false;
		if (sight.protocol === Protocol.udp) return !elsewhere && isOnlyOne(path);
		if (sight.protocol !== Protocol.tcp) return false;
		return paths.words[path | PathAt.acknowledgement] !== 0 && paths.words[path | PathAt.tsval] !== 0;
	}

	/** A datagram in a node's stack, and no equal one with it: what comes out equal is it. */
	function isOnlyOne(path: number): boolean {
		const since = paths.doubles[(path >> 1) | PathF64.latest] as number;
		if (paths.words[path | PathAt.hash] === 0 || sight.now - since > STACK_NS) return false;
		const lastHook = (of: number) => hops.words[(paths.words[of | PathAt.lastHop] as number) | HopAt.hook];
		let other = keys.find();
		while (other !== 0 && (other === path || lastHook(other) !== lastHook(path)))
			other = paths.more[(other >> 1) | PathMore.sameNext] as number;
		return other === 0;
	}

	/** An equal path elsewhere is its own other half, read too early or too late: among those here there is no choice. */
	function isOnlyHere(path: number): boolean {
		let other = keys.find();
		for (; other !== 0; other = paths.more[(other >> 1) | PathMore.sameNext] as number) {
			if (other === path) continue;
			const last = paths.words[other | PathAt.lastHop] as number;
			if (isReallocated(hops.words[last | HopAt.hook] as number)) return false;
		}
		return true;
	}

	/** The old skb is the kernel's again: what it carries from now on, even an equal packet, is another. */
	function freed(path: number, hook: number): void {
		const carrier = paths.words[path | PathAt.carrier] as number;
		if (carrier !== 0 && carriers.words[carrier | CarrierAt.hook] === hook) open.dropCarrier(carrier);
	}

	/**
	 * Did a packet last seen at `before` of the same node come here under another pointer? Into a tunnel, for want of room
	 * before its data; out of one and into one again, because the tunnel's own packet was cut for an underlay whose MTU is
	 * too small (ip_do_fragment), and put together (ip_frag_reasm).
	 */
	function isReallocated(before: number): boolean {
		if (hooks.source[before] !== sight.source) return false;
		switch (sight.rank) {
			case Rank.tunnelEgress:
				return hooks.egress[before] === 0 && hooks.ifindex[before] === sight.ingress;
			case Rank.nicEgress:
				return hooks.rank[before] === Rank.tunnelEgress && (sight.flags & EventFlag.inner) !== 0;
			case Rank.tunnelIngress:
				return hooks.rank[before] === Rank.nicIngress;
			default:
				return false;
		}
	}
}
