import type { Tuple } from "../packet/tuple.js";

/** Where NAT sends a packet. */
export interface Destination {
	readonly ip: string;
	/** Host order; 0 where the protocol has none. */
	readonly port: number;
}

/**
 * What NAT makes of a packet's destination on this node. Given from outside: the names of services are known to
 * identity/, the connections to the kernel.
 */
export interface Translation {
	/**
	 * `exact`: the connection is known, and this is where the packet goes (an empty list: it is not translated).
	 * `candidates`: one of these, or untranslated when the list is empty.
	 */
	destinations(tuple: Tuple): Translated;
	/** Does the packet come from an endpoint of a service? Then it may be a reply that NAT rewrites. */
	fromEndpoint(tuple: Tuple): boolean;
}

export interface Translated {
	readonly exact: boolean;
	readonly destinations: readonly Destination[];
}

const UNTRANSLATED: Translated = { exact: false, destinations: [] };

/** Nothing is known of NAT. */
export const NO_TRANSLATION: Translation = { destinations: () => UNTRANSLATED, fromEndpoint: () => false };

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

	destinations({ protocol, destination, destinationPort }: Tuple): Translated {
		const name = PROTOCOLS[protocol];
		if (name === undefined || destination === null) return UNTRANSLATED;
		const behind =
			this.#portals.get(`${name} ${destinationPort} ${destination}`) ??
			(this.#isNode(destination) ? this.#nodePorts.get(`${name} ${destinationPort}`) : undefined);
		const family = destination.includes(":");
		const destinations = behind?.filter(({ ip }) => ip.includes(":") === family) ?? [];
		return destinations.length === 0 ? UNTRANSLATED : { exact: false, destinations };
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

/** Asks for a connection by one of its tuples; null: it is not known. See Conntrack. */
export type ConnectionLookup = (tuple: Tuple) => Destination | null;

/**
 * The kernel's connections before the rules: a connection is exact where rules leave several endpoints open, and the
 * only way to tell a masqueraded reply from a packet for the node itself. `worthAsking`: each look-up is a system call.
 */
export function connectionsFirst(
	lookup: ConnectionLookup,
	rules: Translation,
	worthAsking: (destination: string) => boolean,
): Translation {
	return {
		fromEndpoint: (tuple) => rules.fromEndpoint(tuple),
		destinations(tuple) {
			const byRules = rules.destinations(tuple);
			const { destination, destinationPort } = tuple;
			if (destination === null || (byRules.destinations.length === 0 && !worthAsking(destination))) return byRules;
			const found = lookup(tuple);
			if (found === null) return byRules;
			const same = found.ip === destination && (found.port === destinationPort || found.port === 0);
			return { exact: true, destinations: same ? [] : [found] };
		},
	};
}
