import type { Link, Namespace, Narrow } from "./model.js";

/**
 * A tunnel lets through more than its underlay takes with the outer headers. Over IPv4 the kernel then cuts the outer
 * packet in two, unless it carries DF; over IPv6 it throws it away (ip6_fragment: only a socket's own packets are cut).
 * It is the node that is told, not the pod, which hears of it at the earliest when it sends again.
 * @param underlay null: not known
 */
export function tunnelNarrow(tunnel: Link, underlay: Link | null): Narrow | null {
	if (underlay === null || tunnel.vxlan === null || tunnel.mtu === 0 || underlay.mtu === 0) return null;
	const taken = outerBytes(tunnel) + ETHERNET;
	const fits = underlay.mtu - taken;
	if (tunnel.mtu <= fits) return null;
	return {
		frame: fits + ETHERNET,
		reason: `${tunnel.name}'s MTU of ${tunnel.mtu} is too large for ${underlay.name}'s of ${underlay.mtu}, of which VXLAN takes ${taken}`,
		remedy:
			isIpv6(tunnel) && fits < IPV6_LEAST
				? `ip link set ${underlay.name} mtu ${tunnel.mtu + taken}`
				: `ip link set ${tunnel.name} mtu ${fits}`,
	};
}

/** All tunnels of a namespace of which that is so. */
export function narrowTunnels({ links }: Namespace): readonly Narrow[] {
	return links.flatMap((tunnel) => {
		const underlay = links.find(({ ifindex }) => ifindex === tunnel.vxlan?.underlay) ?? null;
		return tunnelNarrow(tunnel, underlay) ?? [];
	});
}

/** Another machine's NIC takes less than ours sends. @param outer see outerBytes */
export function wireNarrow(nic: Link, receiver: Link, node: string, outer: number): Narrow | null {
	if (receiver.mtu === 0 || nic.mtu <= receiver.mtu) return null;
	return {
		frame: receiver.mtu - outer,
		reason: `${nic.name}'s MTU is ${nic.mtu}, that of ${receiver.name} on ${node} only ${receiver.mtu}`,
		remedy: `ip link set ${receiver.name} mtu ${nic.mtu} # on ${node}`,
	};
}

/** What an IP packet on the underlay has beyond the pod's frame in it: IP, UDP and VXLAN headers (RFC 7348, 5). */
export function outerBytes(tunnel: Link): number {
	return (isIpv6(tunnel) ? 40 : 20) + 8 + 8;
}

/** … where it carries the pod's packet plainly: without the link header. */
export const PLAIN_BYTES = -14;

const ETHERNET = 14;
/** RFC 8200, 5: below it a device has no IPv6. */
const IPV6_LEAST = 1280;

function isIpv6({ vxlan }: Link): boolean {
	return vxlan?.local?.includes(":") ?? false;
}
