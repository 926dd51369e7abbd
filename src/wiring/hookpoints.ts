import type { Direction, Role } from "../packet/hook.js";
import type { HookSite, Link, Wiring } from "./model.js";
import { contains } from "./namespace.js";
import { WiringView } from "./view.js";

/** One end of a question. */
export interface EndScope {
	/** Addresses and prefixes (CIDR) of the end: a pod's, a service's endpoints, a node's. */
	readonly addresses: readonly string[];
	/** Host ends of pods' veths, where a pod is known by its device. */
	readonly ifindexes?: readonly number[];
}

/** Between which ends packets are to be seen; null is any. */
export interface HookScope {
	readonly from: EndScope | null;
	readonly to: EndScope | null;
	/** Also the pods' own ends of their veths. */
	readonly inside?: boolean;
}

/**
 * The hooks of the node's namespace that packets between two ends can pass, both directions of each device, in the
 * order of a path from a pod outwards: veths, bridges, tunnels, NICs. Few, because each costs some 13 ms to attach:
 * a pair of pods on two nodes has eight. With an end that is any, all that carry pod traffic.
 */
export function hookPoints(wiring: Wiring, scope: HookScope): readonly HookSite[] {
	const view = new WiringView(wiring);
	const links = scope.from === null || scope.to === null ? all(view) : between(view, scope.from, scope.to);
	const sites = [...links]
		.sort((a, b) => ORDER.indexOf(view.role(a.ifindex)) - ORDER.indexOf(view.role(b.ifindex)))
		.flatMap((link) => both(view, link));
	return scope.inside === true ? [...inside(view, links), ...sites] : sites;
}

/** The two hooks of one device of the node's namespace; none when it is not there. */
export function deviceSites(wiring: Wiring, ifindex: number): readonly HookSite[] {
	const view = new WiringView(wiring);
	const link = view.host.link(ifindex);
	return link === null ? [] : both(view, link);
}

const ORDER: readonly Role[] = ["pod", "bridge", "tunnel", "nic"];

function all(view: WiringView): ReadonlySet<Link> {
	return new Set(view.host.namespace.links.filter((link) => link.up && ORDER.includes(view.role(link.ifindex))));
}

function between(view: WiringView, from: EndScope, to: EndScope): ReadonlySet<Link> {
	const ends = [from, to].map((end) => ({ end, veths: vethsOf(view, end) }));
	const links = new Set<Link>(ends.flatMap(({ veths }) => veths));
	for (const veth of [...links]) {
		const bridge = view.host.link(veth.master);
		if (bridge !== null) links.add(bridge);
	}
	for (const { end } of ends) {
		for (const address of end.addresses) for (const link of wayTo(view, address)) links.add(link);
	}
	return links;
}

function vethsOf(view: WiringView, end: EndScope): readonly Link[] {
	const known = (end.ifindexes ?? []).flatMap((ifindex) => view.host.link(ifindex) ?? []);
	const found = end.addresses.flatMap((address) =>
		address.includes("/") ? within(view, address) : view.vethsByAddress(address),
	);
	return [...known, ...found].filter((link) => view.role(link.ifindex) === "pod");
}

function within(view: WiringView, prefix: string): readonly Link[] {
	return view.others.flatMap(({ namespace }) =>
		namespace.addresses.some(({ address }) => contains(prefix, address)) ? view.vethsInto(namespace.cookie) : [],
	);
}

/** The devices between the node and an address: the route's, the tunnel's underlay, a bridge of pods. */
function wayTo(view: WiringView, address: string): readonly Link[] {
	const target = address.replace(/\/.*$/, "");
	if (view.vethsByAddress(target).length > 0 || view.host.isLocal(target)) return [];
	const link = view.host.link(view.host.lookup(target)?.ifindex ?? null);
	if (link === null) return nics(view);
	switch (view.role(link.ifindex)) {
		case "tunnel": {
			const underlay = view.host.link(link.vxlan?.underlay ?? null);
			return [link, ...(underlay === null ? nics(view) : [underlay])];
		}
		case "host":
			return [];
		default:
			return [link];
	}
}

function nics(view: WiringView): readonly Link[] {
	return view.host.namespace.links.filter((link) => link.up && view.role(link.ifindex) === "nic");
}

function both(view: WiringView, link: Link): readonly HookSite[] {
	return site(view.wiring.host, link, view.role(link.ifindex));
}

/** The pods' own ends of the veths. */
function inside(view: WiringView, links: ReadonlySet<Link>): readonly HookSite[] {
	return [...links].flatMap((link) => {
		const peer = view.role(link.ifindex) === "pod" ? view.peer(link) : null;
		return peer?.kind === "paired" ? site(peer.namespace.namespace, peer.link, "inside") : [];
	});
}

function site(namespace: Wiring["host"], link: Link, role: Role): readonly HookSite[] {
	const directions: readonly Direction[] = ["ingress", "egress"];
	return directions.map((direction) => ({
		netns: namespace.cookie,
		netnsPath: namespace.path,
		ifindex: link.ifindex,
		device: link.name,
		direction,
		role,
		l3: link.l3,
		master: link.master ?? 0,
	}));
}
