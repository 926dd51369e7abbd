import type { Tuple } from "../packet/tuple.js";

/** Where NAT sends a packet. */
export interface Destination {
	readonly ip: string;
	/** Host order; 0 where the protocol has none. */
	readonly port: number;
}

/**
 * What NAT makes of a packet's destination on this node. Given from outside: services are known to identity/. The kernel's
 * connections know more, and are not asked: the replay of a recording, where there is no kernel to ask, says the same.
 */
export interface Translation {
	/** One of these; untranslated when there are none. */
	destinations(tuple: Tuple): readonly Destination[];
	/** Does the packet come from an endpoint of a service? Then it may be a reply that NAT rewrites. */
	fromEndpoint(tuple: Tuple): boolean;
}

/** Nothing is known of NAT. */
export const NO_TRANSLATION: Translation = { destinations: () => [], fromEndpoint: () => false };

/** The part of a service that NAT depends on. */
export interface ServiceAddress {
	readonly ip: string;
	readonly port: number;
	readonly protocol: string;
	readonly nodePort: number | null;
	readonly endpoints: readonly Destination[];
}

/** A port of the node that leads to one pod (CNI's portmap). */
export interface PublishedPort {
	readonly port: number;
	readonly protocol: string;
	readonly endpoint: Destination;
}

/** What kube-proxy's and portmap's rules may do: any endpoint of a service is a candidate. */
export class RuleTranslation implements Translation {
	readonly #portals = new Map<string, readonly Destination[]>();
	readonly #nodePorts = new Map<string, readonly Destination[]>();
	readonly #endpoints = new Set<string>();
	readonly #isNode: (address: string) => boolean;

	/** `isNode`: is it an address of this node's? Then its node ports count. */
	constructor(
		services: readonly ServiceAddress[],
		ports: readonly PublishedPort[],
		isNode: (address: string) => boolean,
	) {
		this.#isNode = isNode;
		for (const { ip, port, protocol, nodePort, endpoints } of services) {
			this.#portals.set(`${protocol} ${port} ${ip}`, endpoints);
			if (nodePort !== null) this.#publish(`${protocol} ${nodePort}`, endpoints);
			for (const endpoint of endpoints) this.#endpoints.add(`${protocol} ${endpoint.port} ${endpoint.ip}`);
		}
		for (const { port, protocol, endpoint } of ports) {
			this.#publish(`${protocol} ${port}`, [endpoint]);
			this.#endpoints.add(`${protocol} ${endpoint.port} ${endpoint.ip}`);
		}
	}

	destinations({ protocol, destination, destinationPort }: Tuple): readonly Destination[] {
		const name = PROTOCOLS[protocol];
		if (name === undefined || destination === null) return [];
		const behind =
			this.#portals.get(`${name} ${destinationPort} ${destination}`) ??
			(this.#isNode(destination) ? this.#nodePorts.get(`${name} ${destinationPort}`) : undefined);
		const family = destination.includes(":");
		return behind?.filter(({ ip }) => ip.includes(":") === family) ?? [];
	}

	fromEndpoint({ protocol, source, sourcePort }: Tuple): boolean {
		return this.#endpoints.has(`${PROTOCOLS[protocol]} ${sourcePort} ${source}`);
	}

	/** One service has a row for each family: all their endpoints are behind the port. */
	#publish(key: string, endpoints: readonly Destination[]): void {
		this.#nodePorts.set(key, [...(this.#nodePorts.get(key) ?? []), ...endpoints]);
	}
}

const PROTOCOLS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };
