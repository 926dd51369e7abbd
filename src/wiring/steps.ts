import { placeKey } from "../kernel/place.js";
import type { Direction } from "../packet/hook.js";
import { Family } from "../packet/sightings.js";
import type { Tuple } from "../packet/tuple.js";
import { Encapsulation } from "./encapsulation.js";
import type { Link, Route } from "./model.js";
import { tunnelNarrow } from "./mtu.js";
import { isUnresolved, RouteType } from "./namespace.js";
import type { Place, Step } from "./step.js";
import type { Translation } from "./translation.js";
import type { WiringView } from "./view.js";

const UNKNOWN: Step = { kind: "unknown" };
const TERMINAL: Step = { kind: "terminal" };

/**
 * The kernel's way from hook to hook, walked on a snapshot: bridging, NAT, routing, encapsulation. The order of hooks
 * is that of facts observed on Linux 6.18 with br_netfilter; policy routing (`ip rule`) and netfilter's verdicts are
 * not modelled: a packet that a firewall drops is still due at its next hook.
 */
export class Steps {
	readonly #view: WiringView;
	readonly #nat: Translation;
	readonly #encapsulation: Encapsulation;

	constructor(view: WiringView, nat: Translation, encapsulation = new Encapsulation(view)) {
		this.#view = view;
		this.#nat = nat;
		this.#encapsulation = encapsulation;
	}

	from(place: Place, tuple: Tuple): Step {
		if (tuple.destination === null || tuple.source === null) return UNKNOWN;
		const packet = { ...tuple, source: tuple.source, destination: tuple.destination };
		if (place.netns !== this.#view.host.namespace.cookie) return this.#inside(place);
		const link = this.#view.host.link(place.ifindex);
		if (link === null) return UNKNOWN;
		if (place.direction === "egress") return this.#egress(link, packet);
		if (isGroup(packet.destination)) return UNKNOWN;
		if (packet.family === Family.arp) return this.#arp(link, packet.destination);
		const bridge = this.#view.host.link(link.master);
		if (bridge !== null) return this.#bridged(link, bridge, packet);
		if (this.#view.role(link.ifindex) === "nic") {
			const tunnels = this.#encapsulation.decapsulating(link, packet);
			if (tunnels.length > 0) return next(tunnels.map((tunnel) => this.#place(tunnel, "ingress")));
		}
		return this.#routed(link, packet);
	}

	/** In a pod: what it sends comes in on the host end of its veth; what it gets has arrived. */
	#inside(place: Place): Step {
		if (place.direction === "ingress") return TERMINAL;
		const hosts = this.#view.vethsInto(place.netns);
		const host = hosts.find((link) => link.peer === place.ifindex);
		return host === undefined ? UNKNOWN : next([this.#place(host, "ingress")]);
	}

	#egress(link: Link, packet: Packet): Step {
		switch (this.#view.role(link.ifindex)) {
			case "pod": {
				const dead = this.#dead(link);
				if (dead !== null) return dead;
				const peer = this.#view.peer(link);
				if (peer.kind !== "paired") return TERMINAL;
				return next([{ netns: peer.namespace.namespace.cookie, ifindex: peer.link.ifindex, direction: "ingress" }]);
			}
			case "bridge":
				if (isGroup(packet.destination)) return UNKNOWN;
				return this.#delivered(link, this.#gatewayOn(link, packet.destination));
			case "tunnel": {
				if (isGroup(packet.destination)) return UNKNOWN;
				// Into other tunnels than VXLAN nobody looks behind their device: what they carry is seen no more.
				if (link.vxlan === null) return { kind: "leaves", address: null };
				const way = this.#encapsulation.encapsulate(link, packet.destination);
				if (way.kind !== "underlay") return way;
				const dead = this.#dead(way.link);
				if (dead !== null) return dead;
				return { ...next([this.#place(way.link, "egress")]), narrow: tunnelNarrow(link, way.link) };
			}
			case "nic":
				return this.#encapsulation.leaving(link, packet.destination);
			default:
				return link.loopback ? TERMINAL : { kind: "leaves", address: null };
		}
	}

	/** A request is flooded to every port and to the bridge; whoever holds the address answers. */
	#arp(link: Link, target: string): Step {
		const bridge = this.#view.host.link(link.master);
		if (bridge === null) return TERMINAL;
		const up = this.#place(bridge, "ingress");
		if (this.#view.host.isLocal(target)) return next([up]);
		const ports = this.#portsOf(bridge, target);
		return ports.length === 0 ? UNKNOWN : next(this.#places(ports, "egress"), [up]);
	}

	/**
	 * Into a port of a bridge. The sender's own route decides whether the frame is meant for a neighbour or for the
	 * bridge; with bridge-nf-call-iptables NAT comes before, and a new destination on this bridge is bridged at once
	 * (br_netfilter_hooks.c, br_nf_pre_routing_finish).
	 */
	#bridged(port: Link, bridge: Link, packet: Packet): Step {
		const up = this.#place(bridge, "ingress");
		const destinations = this.#nat.destinations(packet);
		const filtered = this.#view.host.namespace.bridgeNetfilter;
		const nat = filtered == null || (packet.family === Family.ipv6 ? filtered.ipv6 : filtered.ipv4);
		const steps: Step[] = [];
		if (destinations.length > 0 && (!nat || filtered == null)) steps.push(next([up]));
		if (nat) steps.push(...destinations.map(({ ip }) => this.#bridgedNat(port, bridge, ip)));
		if (destinations.length === 0) {
			steps.push(this.#untranslated(port, bridge, packet));
			// A masqueraded reply (hairpin): its destination becomes a pod of this bridge again.
			const local = this.#view.host.isLocal(packet.destination);
			if (nat && local && this.#nat.fromEndpoint(packet)) {
				steps.push(this.#bridgedNat(port, bridge, packet.source));
			}
		}
		return merged(steps);
	}

	#bridgedNat(port: Link, bridge: Link, destination: string): Step {
		if (this.#view.host.isLocal(destination) || this.#view.host.lookup(destination)?.ifindex !== bridge.ifindex) {
			return next([this.#place(bridge, "ingress")]);
		}
		const step = this.#delivered(bridge, destination, port);
		// With a stale neighbour the frame is handed to the bridge device to be resolved.
		return step.kind === "next" ? { ...step, optional: [this.#place(bridge, "egress")] } : step;
	}

	#untranslated(port: Link, bridge: Link, packet: Packet): Step {
		const up = next([this.#place(bridge, "ingress")]);
		if (this.#view.host.isLocal(packet.destination)) return up;
		const peer = this.#view.peer(port);
		const route = peer.kind === "paired" ? peer.namespace.lookup(packet.destination) : null;
		const direct =
			route === null
				? this.#view.host.onLink(bridge.ifindex, packet.destination)
				: route.gateway === null && route.type === RouteType.unicast;
		return direct ? this.#delivered(bridge, packet.destination, port) : up;
	}

	/** Out of the port behind which the destination is. `from`: the port that it came in by, if any. */
	#delivered(bridge: Link, destination: string, from: Link | null = null): Step {
		const ports = this.#portsOf(bridge, destination);
		if (ports.length === 0) return this.#nobody(bridge, destination);
		for (const port of ports) {
			const dead = this.#dead(port);
			if (dead !== null) return dead;
			if (port.ifindex === from?.ifindex && port.port?.hairpin === false) {
				return {
					kind: "nowhere",
					reason: `${port.name} may not send back what came in by it: hairpin is off`,
					remedy: `bridge link set dev ${port.name} hairpin on`,
				};
			}
		}
		return next(this.#places(ports, "egress"));
	}

	#nobody(bridge: Link, destination: string): Step {
		const neighbour = this.#view.host.neighbour(bridge.ifindex, destination);
		const silent = neighbour !== null && isUnresolved(neighbour) ? `: it does not answer on ${bridge.name}` : "";
		return {
			kind: "nowhere",
			reason: `no pod behind ${bridge.name} has ${destination}${silent}`,
			remedy: null,
		};
	}

	/** Ports behind which an address is: by the pods' own addresses, else by neighbour and FDB. */
	#portsOf(bridge: Link, destination: string): readonly Link[] {
		const pods = this.#view.vethsByAddress(destination).filter((link) => link.master === bridge.ifindex);
		if (pods.length > 0) return pods;
		const mac = this.#view.host.neighbour(bridge.ifindex, destination)?.mac ?? null;
		if (mac === null) return [];
		return this.#view.host
			.fdb(mac)
			.filter((entry) => entry.master === bridge.ifindex && entry.ifindex !== bridge.ifindex)
			.flatMap((entry) => this.#view.host.link(entry.ifindex) ?? []);
	}

	/** What the bridge device resolves: the route's gateway, where there is one. */
	#gatewayOn(bridge: Link, destination: string): string {
		const route = this.#view.host.lookup(destination);
		return route?.ifindex === bridge.ifindex && route.gateway !== null ? route.gateway : destination;
	}

	/** Into the node's own stack: NAT, then the routing table. */
	#routed(link: Link, packet: Packet): Step {
		const destinations = this.#nat.destinations(packet);
		if (destinations.length > 0) return merged(destinations.map(({ ip }) => this.#forwarded(ip)));
		if (!this.#view.host.isLocal(packet.destination)) return this.#forwarded(packet.destination);
		const role = this.#view.role(link.ifindex);
		if (role !== "nic" && role !== "tunnel") return TERMINAL;
		// Whether this is a reply for a masqueraded connection, only conntrack knows.
		const onward = this.#view.host.namespace.links.filter((other) => {
			const kind = this.#view.role(other.ifindex);
			return other.up && (kind === "nic" || (kind === "bridge" && this.#view.host.ports(other.ifindex).length > 0));
		});
		return { kind: "next", places: this.#places(onward, "egress"), optional: [], mayEnd: true };
	}

	#forwarded(destination: string): Step {
		if (this.#view.host.isLocal(destination)) return TERMINAL;
		const route = this.#view.host.lookup(destination);
		const link = this.#view.host.link(route?.ifindex ?? null);
		if (route === null || route.type !== RouteType.unicast || link === null) {
			return this.#encapsulation.unroutable(destination, route);
		}
		return this.#dead(link) ?? this.#unresolved(route, link, destination) ?? this.#out(link);
	}

	/** A node that has learned what its underlay takes lets no more into the tunnel (skb_tunnel_check_pmtu). */
	#out(link: Link): Step {
		const underlay = this.#view.host.link(link.vxlan?.underlay ?? null);
		return { ...next([this.#place(link, "egress")]), narrow: tunnelNarrow(link, underlay) };
	}

	/** Is the next hop's link-layer address missing? Then the packet never reaches the device. */
	#unresolved(route: Route, link: Link, destination: string): Step | null {
		switch (this.#view.role(link.ifindex)) {
			case "bridge": {
				const step = this.#delivered(link, route.gateway ?? destination);
				return step.kind === "nowhere" ? step : null;
			}
			case "tunnel": {
				const way = this.#encapsulation.resolve(link, route, destination);
				return way.kind === "nowhere" ? way : null;
			}
			case "nic": {
				const hop = route.gateway ?? destination;
				const neighbour = this.#view.host.neighbour(link.ifindex, hop);
				if (neighbour === null || !isUnresolved(neighbour)) return null;
				return { kind: "nowhere", reason: `${hop} does not answer on ${link.name}`, remedy: null };
			}
			default:
				return null;
		}
	}

	#dead(link: Link): Step | null {
		if (!link.up) {
			return { kind: "nowhere", reason: `${link.name} is down`, remedy: `ip link set ${link.name} up` };
		}
		if (link.operstate !== "lowerlayerdown" && link.operstate !== "down") return null;
		const peer = this.#view.peer(link);
		if (peer.kind === "paired" && !peer.link.up) {
			const { namespace } = peer.namespace;
			const enter = namespace.name === null ? `nsenter --net=${namespace.path} ip` : `ip -n ${namespace.name}`;
			return {
				kind: "nowhere",
				reason: `the other end of ${link.name}, ${peer.link.name} in the pod, is down`,
				remedy: `${enter} link set ${peer.link.name} up`,
			};
		}
		return { kind: "nowhere", reason: `${link.name} has no carrier`, remedy: null };
	}

	#place(link: Link, direction: Direction): Place {
		return { netns: this.#view.host.namespace.cookie, ifindex: link.ifindex, direction };
	}

	#places(links: readonly Link[], direction: Direction): Place[] {
		return links.map((link) => this.#place(link, direction));
	}
}

type Packet = Tuple & { readonly source: string; readonly destination: string };

function next(places: readonly Place[], optional: readonly Place[] = []): Step & { readonly kind: "next" } {
	return { kind: "next", places, optional, mayEnd: false };
}

/** One step out of alternatives: what goes nowhere counts only when nothing else is possible. */
function merged(steps: readonly Step[]): Step {
	const onward = steps.filter((step) => step.kind === "next");
	if (onward.length === 0) return steps[0] ?? UNKNOWN;
	return {
		kind: "next",
		places: distinct(onward.flatMap((step) => step.places)),
		optional: distinct(onward.flatMap((step) => step.optional)),
		mayEnd: steps.some((step) => step.kind === "terminal" || (step.kind === "next" && step.mayEnd)),
	};
}

function distinct(places: readonly Place[]): Place[] {
	const seen = new Map(places.map((place) => [placeKey(place), place]));
	return [...seen.values()];
}

/** 224.0.0.0/4 (RFC 5771), 255.255.255.255, ff00::/8 (RFC 4291). */
const GROUP = /^(?:22[4-9]\.|23\d\.|255\.255\.255\.255$|ff[0-9a-f]{2}:)/i;

/** Multicast and broadcast: copies go many ways, and none of them is due. */
function isGroup(address: string): boolean {
	return GROUP.test(address);
}
