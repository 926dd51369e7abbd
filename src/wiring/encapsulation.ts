import { formatPrefix, type Prefix, parsePrefix, parseWords, prefixContains } from "../packet/addresses.js";
import type { Link, Route, Wiring } from "./model.js";
import { outerBytes, PLAIN_BYTES } from "./mtu.js";
import { contains, isUnresolved, RouteType } from "./namespace.js";
import type { Step } from "./step.js";
import type { WiringView } from "./view.js";

type Nowhere = Extract<Step, { kind: "nowhere" }>;
/** A packet in a tunnel: by which device it goes on, and to which VTEP. */
type Way = { readonly kind: "underlay"; readonly link: Link; readonly vtep: string | null } | Nowhere;
type Resolved = { readonly kind: "resolved"; readonly gateway: string; readonly mac: string } | Nowhere;

/**
 * The tunnel's three tables, route → neighbour → FDB (facts: "What flannel sets up"), and what to type when one entry
 * is missing. What earlier snapshots had is remembered, since the entry that is gone is the one that is needed.
 */
export class Encapsulation {
	readonly #view: WiringView;
	readonly #memory: TunnelMemory;
	#subnets: readonly Subnet[] | null = null;

	constructor(view: WiringView, memory = new TunnelMemory()) {
		this.#view = view;
		this.#memory = memory;
		memory.learn(view.wiring);
	}

	/** The link-layer address under which the tunnel device sends. */
	resolve(tunnel: Link, route: Route, destination: string): Resolved {
		const gateway = route.gateway ?? destination;
		if (tunnel.vxlan === null) return { kind: "resolved", gateway, mac: "" };
		const neighbour = this.#view.host.neighbour(tunnel.ifindex, gateway);
		if (neighbour !== null && !isUnresolved(neighbour) && neighbour.mac !== null) {
			return { kind: "resolved", gateway, mac: neighbour.mac };
		}
		const mac = this.#memory.mac(gateway) ?? this.#unclaimed(tunnel) ?? "VTEP-MAC";
		return {
			kind: "nowhere",
			reason: `no neighbour entry for ${gateway} on ${tunnel.name}`,
			remedy: `ip neigh replace ${gateway} lladdr ${mac} dev ${tunnel.name} nud permanent`,
		};
	}

	/** From the tunnel's egress to the underlay. */
	encapsulate(tunnel: Link, destination: string): Way | Extract<Step, { kind: "unknown" }> {
		const route = this.#view.host.lookup(destination);
		if (route === null || route.ifindex !== tunnel.ifindex) return { kind: "unknown" };
		const resolved = this.resolve(tunnel, route, destination);
		if (resolved.kind === "nowhere") return resolved;
		const vtep = this.#vtep(tunnel, resolved.mac);
		if (vtep === null) {
			const known = this.#memory.vtep(resolved.mac) ?? this.#unroutedNode(tunnel) ?? "NODE-ADDRESS";
			return {
				kind: "nowhere",
				reason: `no FDB entry for ${resolved.mac} on ${tunnel.name}`,
				remedy: `bridge fdb replace ${resolved.mac} dev ${tunnel.name} dst ${known} self permanent`,
			};
		}
		const underlay = this.#view.host.lookup(vtep);
		const link = this.#view.host.link(underlay?.ifindex ?? null);
		if (underlay === null || underlay.type !== RouteType.unicast || link === null) {
			return { kind: "nowhere", reason: `no route to the VTEP ${vtep} of ${tunnel.name}`, remedy: null };
		}
		const hop = underlay.gateway ?? vtep;
		const neighbour = this.#view.host.neighbour(link.ifindex, hop);
		if (neighbour !== null && isUnresolved(neighbour)) {
			return { kind: "nowhere", reason: `${hop} (VTEP ${vtep}) does not answer on ${link.name}`, remedy: null };
		}
		return { kind: "underlay", link, vtep };
	}

	/** Out of a NIC: to which machine. */
	leaving(nic: Link, destination: string): Step {
		const route = this.#view.host.lookup(destination);
		const via = this.#view.host.link(route?.ifindex ?? null);
		if (via !== null && this.#view.role(via.ifindex) === "tunnel") {
			const way = this.encapsulate(via, destination);
			if (way.kind !== "underlay") return { kind: "leaves", address: null };
			return { kind: "leaves", address: way.vtep, ...(via.vxlan !== null && { outerBytes: outerBytes(via) }) };
		}
		const lost = route?.destination.endsWith("/0") ? this.#missingRoute(destination) : null;
		if (lost !== null && this.#view.role(nic.ifindex) === "nic") return lost;
		return { kind: "leaves", address: route?.gateway ?? destination, outerBytes: PLAIN_BYTES };
	}

	/**
	 * Tunnels that a packet, seen inside a NIC's frame, comes out of. The hook shows the inner addresses: it was
	 * encapsulated if the way back to its source is by a tunnel over this NIC.
	 */
	decapsulating(nic: Link, packet: { readonly source: string; readonly destination: string }): readonly Link[] {
		const host = this.#view.host;
		if (host.localDevice(packet.destination)?.ifindex === nic.ifindex) return [];
		const back = host.lookup(packet.source)?.ifindex;
		return host.namespace.links.filter((link) => link.ifindex === back && this.#isOver(link, nic));
	}

	/** Why there is no way to an address, and the route that would make one. */
	unroutable(destination: string, route: Route | null): Step {
		const missing = this.#missingRoute(destination);
		if (missing !== null) return missing;
		if (route === null) return { kind: "nowhere", reason: `no route to ${destination}`, remedy: null };
		const type =
			route.type === RouteType.blackhole
				? "blackhole"
				: route.type === RouteType.unreachable
					? "unreachable"
					: "prohibit";
		if (route.type < RouteType.blackhole) return { kind: "unknown" };
		return {
			kind: "nowhere",
			reason: `the route to ${route.destination} is ${type}`,
			remedy: `ip route del ${type} ${route.destination}`,
		};
	}

	/** A pod subnet that a tunnel knows (by its neighbours) or knew, without its route. */
	#missingRoute(destination: string): Nowhere | null {
		const known = this.#memory.route(destination) ?? this.#subnetByNeighbour(destination);
		if (known === null) return null;
		const device = this.#view.host.namespace.links.find((link) => link.name === known.device);
		const present = this.#view.host.namespace.routes.some((route) => route.destination === known.destination);
		if (device === undefined || present) return null;
		return {
			kind: "nowhere",
			reason: `no route to ${known.destination}`,
			remedy: `ip route replace ${known.destination} via ${known.gateway} dev ${device.name} onlink`,
		};
	}

	#subnetByNeighbour(destination: string): TunnelRoute | null {
		const words = parseWords(destination);
		if (words === null) return null;
		this.#subnets ??= subnetsByNeighbours(this.#view);
		return this.#subnets.find(({ prefix }) => prefixContains(prefix, words))?.route ?? null;
	}

	#vtep(tunnel: Link, mac: string): string | null {
		const entry = this.#view.host.fdb(mac).find(isOn(tunnel)) ?? this.#view.host.fdb(FLOOD).find(isOn(tunnel));
		return entry?.destination ?? null;
	}

	#isOver(tunnel: Link, nic: Link): boolean {
		if (this.#view.role(tunnel.ifindex) !== "tunnel") return false;
		return tunnel.vxlan === null || tunnel.vxlan.underlay === null || tunnel.vxlan.underlay === nic.ifindex;
	}

	/** The one VTEP of the FDB that no neighbour leads to: the missing neighbour must be its. */
	#unclaimed(tunnel: Link): string | null {
		const { fdb, neighbours } = this.#view.host.namespace;
		const claimed = new Set(neighbours.filter(isOn(tunnel)).map((neighbour) => neighbour.mac));
		const free = fdb.filter((entry) => isOn(tunnel)(entry) && entry.destination !== null && !claimed.has(entry.mac));
		return free.length === 1 ? (free[0]?.mac ?? null) : null;
	}

	/** The one node that another tunnel over the same underlay knows and this one does not: not guessed at from more. */
	#unroutedNode(tunnel: Link): string | null {
		const { fdb } = this.#view.host.namespace;
		const family = tunnel.vxlan?.local?.includes(":") ?? false;
		const here = new Set(fdb.filter(isOn(tunnel)).map((entry) => entry.destination));
		const elsewhere = new Set(
			fdb.flatMap(({ destination }) =>
				destination !== null && !here.has(destination) && destination.includes(":") === family ? [destination] : [],
			),
		);
		return elsewhere.size === 1 ? ([...elsewhere][0] ?? null) : null;
	}
}

interface TunnelRoute {
	readonly destination: string;
	readonly gateway: string;
	readonly device: string;
}

interface Subnet {
	readonly prefix: Prefix;
	readonly route: TunnelRoute;
}

/**
 * Flannel gives every other node's subnet a permanent neighbour at its network address (10.244.2.0); all subnets of a
 * cluster are of one size, which the other routes and this node's own bridges tell.
 */
function subnetsByNeighbours(view: WiringView): readonly Subnet[] {
	const { links, neighbours, routes, addresses } = view.host.namespace;
	const ofBridges = addresses.flatMap(({ ifindex, prefix }) =>
		view.host.link(ifindex)?.kind === "bridge" ? [prefix] : [],
	);
	return links
		.filter((link) => link.vxlan !== null)
		.flatMap((tunnel) => {
			const ofRoutes = routes.filter(isOn(tunnel)).map(({ destination }) => Number(destination.split("/")[1]));
			const sizes = [...new Set([...ofRoutes, ...ofBridges])];
			return neighbours
				.filter((neighbour) => isOn(tunnel)(neighbour) && (neighbour.state & NUD_PERMANENT) !== 0)
				.flatMap(({ address }) => sizes.map((size) => ({ address, destination: `${address}/${size}` })))
				.flatMap(({ address, destination }) => {
					const prefix = parsePrefix(destination);
					// The address of a machine in the subnet is not the subnet's own.
					if (prefix === null || formatPrefix(prefix) !== destination) return [];
					return [{ prefix, route: { destination, gateway: address, device: tunnel.name } }];
				});
		});
}

const FLOOD = "00:00:00:00:00:00";

function isOn(link: Link): (entry: { readonly ifindex: number | null }) => boolean {
	return (entry) => entry.ifindex === link.ifindex;
}

/** What tunnels' tables have held; entries that are gone stay until another takes their place. */
export class TunnelMemory {
	readonly #macs = new Map<string, string>();
	readonly #vteps = new Map<string, string>();
	readonly #routes = new Map<string, TunnelRoute>();

	learn({ host }: Wiring): void {
		const tunnels = new Map(host.links.flatMap((link) => (link.vxlan === null ? [] : [[link.ifindex, link.name]])));
		for (const { ifindex, address, mac, state } of host.neighbours) {
			if (tunnels.has(ifindex) && mac !== null && (state & NUD_PERMANENT) !== 0) bound(this.#macs).set(address, mac);
		}
		for (const { ifindex, mac, destination } of host.fdb) {
			if (tunnels.has(ifindex) && destination !== null) bound(this.#vteps).set(mac, destination);
		}
		for (const { destination, gateway, ifindex } of host.routes) {
			const device = ifindex === null ? undefined : tunnels.get(ifindex);
			if (device !== undefined && gateway !== null) {
				bound(this.#routes).set(destination, { destination, gateway, device });
			}
		}
	}

	mac(gateway: string): string | null {
		return this.#macs.get(gateway) ?? null;
	}

	vtep(mac: string): string | null {
		return this.#vteps.get(mac) ?? null;
	}

	route(address: string): TunnelRoute | null {
		for (const route of this.#routes.values()) if (contains(route.destination, address)) return route;
		return null;
	}
}

const NUD_PERMANENT = 0x80;
/** Nodes of the largest cluster that Kubernetes supports, and room. */
const REMEMBERED = 10_000;

function bound<V>(map: Map<string, V>): Map<string, V> {
	if (map.size >= REMEMBERED) map.delete(map.keys().next().value ?? "");
	return map;
}
