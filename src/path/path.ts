import type { Direction, Role } from "../packet/hook.js";

/** How a path ended. See README, "What a verdict means". */
export type Verdict = "delivered" | "forwarded" | "dropped" | "lost" | "incomplete";

/**
 * What the joins of a path rest on. `exact`: every join had fields that only this packet has. `order`: only the
 * sequence of identical packets decided. `ambiguous`: `order`, but events were lost in between.
 */
export type Evidence = "exact" | "order" | "ambiguous";

/** One end of a flow, as JSON shows it. `port` is null where the protocol has none. */
export interface Endpoint {
	readonly ip: string | null;
	readonly port: number | null;
	readonly namespace: string | null;
	readonly pod: string | null;
	readonly node: string | null;
}

export interface ServiceRef {
	readonly ip: string;
	readonly port: number | null;
	/** namespace/name. */
	readonly name: string | null;
}

export interface OuterHeader {
	readonly source: string | null;
	readonly destination: string | null;
	readonly vni: number;
}

export interface Hop {
	readonly node: string;
	readonly device: string;
	readonly ifindex: number;
	readonly direction: Direction;
	readonly role: Role;
	/** RFC 3339 with nanoseconds, UTC. */
	readonly first: string;
	readonly last: string;
	/** First to first, ns; 0 at the first hop. */
	readonly sincePreviousNs: number;
	/** skbs here that overlap the path's range. */
	readonly packets: number;
	readonly bytes: number;
	/** address:port, [address]:port, or the bare address. */
	readonly source: string | null;
	readonly destination: string | null;
	readonly outer: OuterHeader | null;
	/** 0: the trunk; flooded copies count up. */
	readonly branch: number;
}

export interface Blame {
	/** `lost`, `dropped`: where the packet was seen last. Else the reason alone. */
	readonly node: string | null;
	readonly device: string | null;
	readonly direction: Direction | null;
	/** The hook that should have seen it next, as device→i or device→e; null when unknown. */
	readonly expected: string | null;
	/** One line for a person: why. */
	readonly reason: string;
	/** The kernel's drop reason and function, when it told. */
	readonly kernelReason: string | null;
	readonly kernelFunction: string | null;
	/** A command that would repair it, when known. */
	readonly remedy: string | null;
	/** See DropReport: inside the program only, JSON has it not. */
	readonly ticket?: number;
}

export interface PacketSummary {
	readonly ipId: number | null;
	readonly seq: number | null;
	readonly ack: number | null;
	/** tcpdump's letters: S F R P . (ACK) U E W, here "SA", "PA" …; null when not TCP. */
	readonly flags: string | null;
	readonly length: number;
	readonly payload: number;
	/** Type and code; null when not ICMP. May be left out inside the program; JSON always has it. */
	readonly icmp?: { readonly type: number; readonly code: number } | null;
}

export interface Flow {
	/** tcp, udp, icmp, icmpv6, arp, or the number. */
	readonly protocol: string;
	readonly source: Endpoint;
	readonly destination: Endpoint;
	readonly service: ServiceRef | null;
}

/** The JSON of a path: every field is always present. */
export interface Path {
	readonly type: "path";
	readonly id: string;
	/** Counts up when a later report changes what was said. */
	readonly revision: number;
	readonly flow: Flow;
	readonly packet: PacketSummary;
	readonly hops: readonly Hop[];
	readonly verdict: Verdict;
	readonly evidence: Evidence;
	readonly blame: Blame | null;
	/** First byte at the first hop to first byte at the last hop. */
	readonly latencyNs: number;
	readonly clockErrorNs: number;
}
