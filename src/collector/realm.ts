import { MOST_TUNNEL_PORTS } from "../kernel/knobs.js";
import type { NetnsCookie } from "../packet/hook.js";
import type { Wiring } from "../wiring/model.js";
import { tunnelPorts } from "../wiring/roles.js";

/** The node that a namespace is, or that has it as a pod's. */
export function nodeOf(wirings: readonly Wiring[], netns: NetnsCookie): Wiring | null {
	const isOf = ({ host, others }: Wiring) => host.cookie === netns || others.some(({ cookie }) => cookie === netns);
	return wirings.find(isOf) ?? null;
}

/** VXLAN's UDP ports in a namespace; in a pod there are none. */
export function tunnelPortsIn(wirings: readonly Wiring[], netns: NetnsCookie): readonly number[] {
	const host = nodeOf(wirings, netns)?.host;
	return host?.cookie === netns ? tunnelPorts(host).slice(0, MOST_TUNNEL_PORTS) : [];
}
