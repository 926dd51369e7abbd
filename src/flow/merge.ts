import { type Flow, flipped, type WayIndex } from "./flow.js";
import { MOST_TUNNELS } from "./tunnels.js";

/** A Joiner gives a path at the latest so long after its packet. */
const LONGEST_DELAY_NS = 5e9;

/** A face of one connection that was used by another long before, or with another SYN, is no half of it. */
export function mayBeOne(flow: Flow, other: Flow, turn: WayIndex): boolean {
	if (other.lastNs < flow.firstNs - LONGEST_DELAY_NS && flow.firstNs !== Number.POSITIVE_INFINITY) return false;
	for (const way of [0, 1] as const) {
		const ours = flow.tcp?.initialSequence(flipped(way, turn)) ?? null;
		const theirs = other.tcp?.initialSequence(way) ?? null;
		if (ours !== null && theirs !== null && ours !== theirs) return false;
	}
	return true;
}

/**
 * What another flow knew and counted is this one's, but for its faces.
 * @param turn 1: way 0 of the other is way 1 of this one
 */
export function merge(flow: Flow, other: Flow, turn: WayIndex): void {
	for (const way of [0, 1] as const) {
		flow.ways[flipped(way, turn)].add(other.ways[way]);
		const end = flow.ends[flipped(way, turn)];
		const { address, port, rank, face, device } = other.ends[way];
		if (rank > end.rank) end.learn(address, port, rank);
		end.face ??= face;
		end.device ??= device;
	}
	if (other.tcp !== null) flow.tcp?.merge(other.tcp, turn);
	flow.rtt.merge(other.rtt);
	flow.asker ??= other.asker === null ? null : flipped(other.asker, turn);
	flow.tunnels.push(...other.tunnels.map((tunnel) => ({ ...tunnel, way: flipped(tunnel.way, turn) })));
	flow.tunnels.length = Math.min(flow.tunnels.length, MOST_TUNNELS);
	if (other.firstNs < flow.firstNs) {
		flow.firstWay = flipped(other.firstWay, turn);
		flow.firstHops = other.firstHops;
	}
	flow.firstNs = Math.min(flow.firstNs, other.firstNs);
	flow.lastNs = Math.max(flow.lastNs, other.lastNs);
}
