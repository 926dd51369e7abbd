import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import type { Flow, WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";

export interface TunnelSight {
	readonly outers: Pick<OuterTable, "get">;
	readonly hook: (id: number) => Hook;
	/** The tunnel device's own address at a hook, when known. */
	readonly tunnelAddress?: (hook: Hook) => string | null;
}

/** A flow keeps so many. */
export const MOST_TUNNELS = 8;

/** Out of a node the header names the far end, into one the near end of the other: together they are the tunnel. */
export function learnTunnels(view: FlowPath, flow: Flow, way: WayIndex, sight: TunnelSight): void {
	const found: { source: string | null; destination: string | null; readonly vni: number }[] = [];
	for (let n = 0; n < view.hopCount; n++) {
		const id = view.outerAt(n);
		if (id === 0) continue;
		const { peer, vni } = sight.outers.get(id);
		const hook = sight.hook(view.hook(n));
		const own = sight.tunnelAddress?.(hook) ?? null;
		const open = found.at(-1);
		if (hook.direction === "egress") found.push({ source: own, destination: peer, vni });
		else if (open === undefined || open.vni !== vni) found.push({ source: peer, destination: own, vni });
		else {
			open.source ??= peer;
			open.destination ??= own;
		}
	}
	for (const { source, destination, vni } of found) {
		const known = flow.tunnels.some(
			(other) => other.way === way && other.source === source && other.destination === destination && other.vni === vni,
		);
		if (!known && flow.tunnels.length < MOST_TUNNELS) flow.tunnels.push({ way, source, destination, vni });
	}
}
