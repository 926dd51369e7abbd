import { type Hook, leavesPod, reachesPod } from "../packet/hook.js";
import type { Tuple } from "../packet/tuple.js";
import type { TupleTable } from "../packet/tuples.js";
import { type Flow, Rank, type WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";

export interface EndSight {
	readonly tuples: Pick<TupleTable, "get">;
	readonly hook: (id: number) => Hook;
}

/** Whose packet it is by the first hop, whom it reached by the last; what stood between is NAT's. */
export function learnEnds(flow: Flow, way: WayIndex, { tuples, hook }: EndSight): void {
	const { firstTuple, lastTuple, firstHook, lastHook } = flow.ways[way].seen;
	if (firstTuple === 0 || lastTuple === 0) return;
	const from = tuples.get(firstTuple);
	const to = tuples.get(lastTuple);
	if (isPortless(from) || isPortless(to)) return;
	const sender = flow.ends[way];
	const receiver = flow.ends[way === 0 ? 1 : 0];
	const left = hook(firstHook);
	const reached = hook(lastHook);
	if (leavesPod(left)) sender.device = { node: left.node, ifindex: left.ifindex };
	if (reachesPod(reached)) receiver.device = { node: reached.node, ifindex: reached.ifindex };
	const translated = from !== to && (from.source !== to.source || from.destination !== to.destination);
	const rank = translated ? Rank.translated : Rank.seen;
	const ports = hasPorts(from);
	sender.learn(from.source, ports ? from.sourcePort : null, leavesPod(left) ? Rank.device : rank);
	receiver.learn(to.destination, ports ? to.destinationPort : null, reachesPod(reached) ? Rank.device : rank);
	if (from.destination !== null && isOther(from, to, "destination")) {
		receiver.face = { address: from.destination, port: ports ? from.destinationPort : null };
	}
	if (to.source !== null && isOther(from, to, "source")) {
		sender.face = { address: to.source, port: ports ? to.sourcePort : null };
	}
}

/** The hop where it arrived. Flooded copies end elsewhere: of them only those count that a trunk without an end leaves. */
export function arrivalHop(view: FlowPath, { hook }: Pick<EndSight, "hook">): number {
	const last = view.hopCount - 1;
	let trunk = last;
	while (trunk > 0 && view.branch(trunk) !== 0) trunk--;
	return trunk === last || reachesPod(hook(view.hook(trunk))) ? trunk : last;
}

function hasPorts(tuple: Tuple): boolean {
	return tuple.protocol === 6 || tuple.protocol === 17 || tuple.protocol === 132;
}

/** A later fragment's. */
function isPortless(tuple: Tuple): boolean {
	return hasPorts(tuple) && tuple.sourcePort === 0 && tuple.destinationPort === 0;
}

function isOther(from: Tuple, to: Tuple, end: "source" | "destination"): boolean {
	const port = end === "source" ? "sourcePort" : "destinationPort";
	return from[end] !== to[end] || (hasPorts(from) && from[port] !== to[port]);
}
