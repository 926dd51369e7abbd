import type { Direction } from "../packet/hook.js";
import { hookPoints } from "../wiring/hookpoints.js";
import type { HookSite, Link, Wiring } from "../wiring/model.js";
import { WiringView } from "../wiring/view.js";

/**
 * Where a node's packets are timed: veths, bridges with whatever else is plugged into them, tunnels, NICs.
 * @param bridge only this one and its ports; null: all
 * @param inside also the pods' own ends of their veths
 */
export function latencySites(wiring: Wiring, bridge: string | null, inside: boolean): readonly HookSite[] {
	const view = new WiringView(wiring);
	const sites = hookPoints(wiring, { from: null, to: null, inside });
	const known = new Set(sites.map(({ netns, ifindex }) => `${netns} ${ifindex}`));
	const ports = wiring.host.links.filter(
		(link) => link.up && bridgeOf(wiring, link) !== null && !known.has(`${wiring.host.cookie} ${link.ifindex}`),
	);
	const all = [...sites, ...ports.flatMap((link) => both(view, link))];
	if (bridge === null) return all;
	const wanted = wiring.host.links.filter((link) => link.name === bridge || bridgeOf(wiring, link) === bridge);
	const host = new Set(wanted.map(({ ifindex }) => ifindex));
	const pods = new Set(
		wanted.flatMap((link) => {
			const peer = view.peer(link);
			return peer.kind === "paired" ? [`${peer.namespace.namespace.cookie} ${peer.link.ifindex}`] : [];
		}),
	);
	return all.filter(({ netns, ifindex }) =>
		netns === wiring.host.cookie ? host.has(ifindex) : pods.has(`${netns} ${ifindex}`),
	);
}

/** The name of the bridge that a device of the node is a port of; null: of none. */
export function bridgeOf(wiring: Wiring, link: Pick<Link, "master">): string | null {
	const master = wiring.host.links.find(({ ifindex }) => ifindex === link.master);
	return master?.kind === "bridge" ? master.name : null;
}

/** Names of the node's bridges. */
export function bridgesOf(wiring: Wiring): readonly string[] {
	return wiring.host.links.filter(({ kind }) => kind === "bridge").map(({ name }) => name);
}

function both(view: WiringView, link: Link): readonly HookSite[] {
	const { host } = view.wiring;
	const directions: readonly Direction[] = ["ingress", "egress"];
	return directions.map((direction) => ({
		netns: host.cookie,
		netnsPath: host.path,
		ifindex: link.ifindex,
		device: link.name,
		direction,
		role: view.role(link.ifindex),
		l3: link.l3,
		master: link.master ?? 0,
	}));
}
