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
	destinations(tuple: Tuple): { readonly exact: boolean; readonly destinations: readonly Destination[] };
	/** Does the packet come from an endpoint of a service? Then it may be a reply that NAT rewrites. */
	fromEndpoint(tuple: Tuple): boolean;
}

/** Nothing is known of NAT. */
export const NO_TRANSLATION: Translation = {
	destinations: () => ({ exact: false, destinations: [] }),
	fromEndpoint: () => false,
};
