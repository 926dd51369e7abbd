import { CarrierAt } from "./carrier-table.js";
import { Rank } from "./hook-table.js";
import { isSamePacket } from "./key.js";
import { PathAt, State } from "./path-table.js";
import type { Workshop } from "./workshop.js";

/**
 * Whether a pointer that is seen again carries the packet that it carried before. The pointer and the fingerprint must
 * agree, the hook must be one to which the packet can have gone from where it was, by the device that it came by.
 */
export function makeByPointer(shop: Workshop) {
	const { carriers, facts, hooks, paths, sight } = shop;
	return { goesOn };

	function goesOn(carrier: number): boolean {
		const tuple = carriers.words[carrier | CarrierAt.tuple] as number;
		const { hook, rank, kind } = sight;
		if (!carries(carrier, tuple === sight.tuple ? kind : facts.kind(tuple))) return false;
		const last = carriers.words[carrier | CarrierAt.hook] as number;
		const before = hooks.rank[last] as number;
		if (rank <= before && !isNextHost(rank, before, hook, last)) return false;
		// Behind a pod's veth there is only the pod.
		if (before === Rank.podEgress && rank !== Rank.insideIngress) return false;
		const cameBy = carriers.words[carrier | CarrierAt.cameBy] as number;
		const { ingress } = sight;
		if (tuple !== sight.tuple && !isTranslated(carrier, tuple, cameBy, ingress)) return false;
		if (hooks.egress[hook] === 0) return hooks.entersAfter(hook, last);
		return ingress === cameBy || hooks.ingressFits(hook, cameBy, ingress);
	}

	/** A carrier of a whole path carries that path's packet; others have one of their own. @param kind of its tuple */
	function carries(carrier: number, kind: number): boolean {
		if (carriers.words[carrier | CarrierAt.whole] === 0) return isSamePacket(carriers.more, carrier >> 1, kind, sight);
		const path = carriers.words[carrier | CarrierAt.path] as number;
		return isSamePacket(paths.words, path | PathAt.ipId, kind, sight);
	}

	/** Is this another face of the same packet? Not of one that has arrived, nor did the node make what came to it. */
	function isTranslated(carrier: number, before: number, cameBy: number, ingress: number): boolean {
		if (facts.sameDirection(before, sight.tuple)) return true;
		if (paths.words[(carriers.words[carrier | CarrierAt.path] as number) | PathAt.state] !== State.open) return false;
		if (hooks.egress[sight.hook] === 1 && ingress === 0 && cameBy !== 0) return false;
		return facts.isNat(before, sight.tuple);
	}
}

/** Devices that are nothing special may stand on each other (VLANs, bonds). */
function isNextHost(rank: number, before: number, hook: number, last: number): boolean {
	return rank === before && hook !== last && (rank === Rank.hostIngress || rank === Rank.hostEgress);
}
