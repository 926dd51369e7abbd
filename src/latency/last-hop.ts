import type { KernelDrop } from "../kernel/drops.js";
import type { Direction, NetnsCookie } from "../packet/hook.js";
import { EventFlag } from "../packet/sightings.js";
import type { WiringView } from "../wiring/view.js";
import { isCutting, plainFunction } from "./consumed.js";

/** A direction of a device that a dropped packet has passed. */
export interface DropHop {
	readonly netns: NetnsCookie;
	readonly ifindex: number;
	readonly device: string;
	readonly direction: Direction;
	/** A hook saw this very packet there, and no later one did. Else it is concluded. */
	readonly seen: boolean;
}

/**
 * Where a packet was last, for those that no tracer saw: by what device it came in, which the kernel notes at each ingress
 * (skb_iif), unless a device's own transmission threw it away. Never by skb->dev alone: a rule on a bridge reports the
 * port that was never reached.
 */
export function lastHop(drop: KernelDrop, view: WiringView): DropHop | null {
	if (TRANSMITS.test(plainFunction(drop.function)) && drop.ifindex !== 0) {
		return hopAt(view, drop.netns, drop.ifindex, "egress");
	}
	// A tunnel's own packet: it is the tunnel that has sent it.
	if (isCutting(drop) && (drop.flags & EventFlag.inner) !== 0 && drop.destination !== null) {
		const tunnel = view.host.lookup(drop.destination)?.ifindex ?? 0;
		return view.role(tunnel) === "tunnel" ? hopAt(view, drop.netns, tunnel, "egress") : null;
	}
	if (drop.ingressIfindex === 0) return null;
	return hopAt(view, whereItCameIn(drop, view), drop.ingressIfindex, "ingress");
}

/** Without a device the namespace is that of a socket, which may have sent it from another one. */
function whereItCameIn(drop: KernelDrop, view: WiringView): NetnsCookie {
	const host = view.wiring.host.cookie;
	const { netns, ifindex, ingressIfindex } = drop;
	if (netns === host || (ifindex !== 0 && !BRIDGES.test(plainFunction(drop.function)))) return netns;
	if (BRIDGES.test(plainFunction(drop.function))) return host;
	return view.namespace(netns)?.link(ingressIfindex) === null ? host : netns;
}

/** Behind tc egress: ndo_start_xmit of devices, and the qdisc. */
const TRANSMITS =
	/^(vxlan_xmit|vxlan_encap|veth_xmit|dev_hard_start_xmit|__dev_queue_xmit|validate_xmit|br_dev_xmit|tbf_|sch_|qdisc_|fq_|pfifo|tun_net_xmit)/;
const BRIDGES = /^(br_|nf_br_|maybe_deliver|deliver_clone)/;

function hopAt(view: WiringView, netns: NetnsCookie, ifindex: number, direction: Direction): DropHop | null {
	const link = view.namespace(netns)?.link(ifindex) ?? null;
	return link === null ? null : { netns, ifindex, device: link.name, direction, seen: false };
}
