import type { Hook } from "../packet/hook.js";
import type { OuterHeader } from "../path/path.js";
import type { Link, Wiring } from "../wiring/model.js";

/** The near end of the tunnel header at a hook: the local address of the tunnel that talks to `peer`; null: unknown. */
export function tunnelAddressOf(wirings: readonly Wiring[], hook: Hook, peer: string): string | null {
	const wiring = wirings.find(({ node }) => node === hook.node);
	return wiring?.host.links.find((link) => sameFamily(link.vxlan?.local ?? null, peer))?.vxlan?.local ?? null;
}

/** What wraps a packet from one node to another. */
export function tunnelBetween(wirings: readonly Wiring[], from: string, to: string): OuterHeader | null {
	const ends = [from, to].map((name) => wirings.find(({ node }) => node === name));
	const [near, far] = ends.map((wiring) => wiring?.host.links.find(isVxlan));
	if (near?.vxlan === undefined || near.vxlan === null || far?.vxlan === undefined || far.vxlan === null) return null;
	return { source: near.vxlan.local, destination: far.vxlan.local, vni: near.vxlan.vni };
}

function isVxlan(link: Link): boolean {
	return link.vxlan !== null;
}

function sameFamily(address: string | null, other: string): boolean {
	return address !== null && address.includes(":") === other.includes(":");
}
