import type { EndDevice } from "../path/name-end.js";
import { Pending } from "./pending.js";
import { RttSketch } from "./sketch.js";
import { TcpConnection } from "./tcp.js";

export type WayIndex = 0 | 1;

/** How well an end's own address is known: as its own device showed it, by a NAT on the way, or as it happened to be. */
export const Rank = { none: 0, seen: 1, translated: 2, device: 3 } as const;
export type Rank = (typeof Rank)[keyof typeof Rank];

/** One of the two ends of a flow. */
export class FlowEnd {
	address: string | null = null;
	port: number | null = null;
	rank: Rank = Rank.none;
	/** What the other end calls it, when NAT stands between: a service's address. */
	face: { readonly address: string; readonly port: number | null } | null = null;
	device: EndDevice | null = null;

	learn(address: string | null, port: number | null, rank: Rank): void {
		if (address === null || rank < this.rank) return;
		this.address = address;
		this.port = port;
		this.rank = rank;
	}
}

interface Shape {
	readonly firstTuple: number;
	readonly lastTuple: number;
	readonly firstHook: number;
	readonly lastHook: number;
	readonly hops: number;
}

/** What went one way: from end 0 to end 1, or back. */
export class FlowWay {
	packets = 0;
	bytes = 0;
	payloadBytes = 0;
	lost = 0;
	dropped = 0;
	retransmissions = 0;
	/** What the latest path looked like: while it stays so, nothing is to be learned from the next. */
	seen: Shape = { firstTuple: 0, lastTuple: 0, firstHook: -1, lastHook: -1, hops: 0 };

	add(other: FlowWay): void {
		this.packets += other.packets;
		this.bytes += other.bytes;
		this.payloadBytes += other.payloadBytes;
		this.lost += other.lost;
		this.dropped += other.dropped;
		this.retransmissions += other.retransmissions;
	}
}

/** One tunnel header that carried it. */
export interface Tunnel {
	/** Of the direction in which it went. */
	readonly way: WayIndex;
	readonly source: string | null;
	readonly destination: string | null;
	readonly vni: number;
}

/** A connection under observation. Way 0 goes from end 0 to end 1; which end is the source is decided late. */
export class Flow {
	readonly number: number;
	readonly protocol: string;
	readonly ends: readonly [FlowEnd, FlowEnd] = [new FlowEnd(), new FlowEnd()];
	readonly ways: readonly [FlowWay, FlowWay] = [new FlowWay(), new FlowWay()];
	readonly rtt = new RttSketch();
	readonly tcp: TcpConnection | null;
	/** Echo requests by sequence. */
	readonly echoes: Pending | null;
	/** Who asked, of an echo. */
	asker: WayIndex | null = null;
	tunnels: Tunnel[] = [];
	firstNs = Number.POSITIVE_INFINITY;
	lastNs = Number.NEGATIVE_INFINITY;
	/** The way of the earliest packet. */
	firstWay: WayIndex = 0;
	/** Where and when that packet was seen. */
	firstHops: readonly { readonly device: number; readonly time: number }[] = [];
	/** Keys under which it is found. */
	faces: Face[] = [];
	/** The connection that had these faces before. */
	previous: Flow | null = null;
	changed = false;
	gone = false;
	older: Flow | null = null;
	newer: Flow | null = null;

	constructor(number: number, protocol: string, kind: "tcp" | "echo" | "other") {
		this.number = number;
		this.protocol = protocol;
		this.tcp = kind === "tcp" ? new TcpConnection() : null;
		this.echoes = kind === "echo" ? new Pending() : null;
	}

	/** The way of what the source sends. */
	get forward(): WayIndex {
		return this.tcp?.opener ?? this.asker ?? this.firstWay;
	}
}

/** A tuple's two ends as one key, and which way of the flow it is when it is not turned. */
export interface Face {
	readonly key: string;
	flow: Flow;
	flip: WayIndex;
}

/** The same way, or with a flip of 1 the other. */
export function flipped(way: WayIndex, flip: WayIndex): WayIndex {
	return way === flip ? 0 : 1;
}
