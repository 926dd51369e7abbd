import type { Direction, Role } from "../packet/hook.js";

/**
 * What a packet does between two hooks. `bridge-forward`: port in → port out; `bridge-up`: port in → bridge device in;
 * `bridge-down`: bridge device out → port out; `route`: bridge in → tunnel or NIC out, and back; `encapsulate`: tunnel
 * out → NIC out; `decapsulate`: NIC in → tunnel in; `into-pod`: port out → the pod's own device in, where qdisc and
 * backlog sit; `out-of-pod`: the pod's own device out → port in; `transit`: the node's first hook → its last; `wire`:
 * from one node's NIC to the other's; `other`: two hooks whose passage has no name.
 */
export type SegmentKind =
	| "bridge-forward"
	| "bridge-up"
	| "bridge-down"
	| "route"
	| "encapsulate"
	| "decapsulate"
	| "into-pod"
	| "out-of-pod"
	| "transit"
	| "wire"
	| "other";

export interface SegmentEnd {
	readonly node: string;
	readonly device: string;
	readonly direction: Direction;
	readonly role: Role;
	/** namespace/name of the pod behind a port; null: none, or not known. */
	readonly pod: string | null;
}

/** How long packets stayed in one segment, over one interval. All times in ns. */
export interface Segment {
	readonly kind: SegmentKind;
	/** null: summed over all such devices. */
	readonly from: SegmentEnd | null;
	readonly to: SegmentEnd | null;
	/** The node; of a wire, the sending one. */
	readonly node: string;
	/** The bridge or tunnel that holds the packets meanwhile; null for routes, transit and wire. */
	readonly device: string | null;
	/** What `--by` grouped: a pod, port, flow or protocol; "other" for the rest; null: not grouped. */
	readonly group: string | null;
	readonly count: number;
	readonly sumNs: number;
	/** null when count is 0, as all below. */
	readonly minNs: number | null;
	readonly p50Ns: number | null;
	readonly p90Ns: number | null;
	readonly p99Ns: number | null;
	readonly p999Ns: number | null;
	readonly maxNs: number | null;
	/** Error of two clocks, on a wire; else 0. */
	readonly clockErrorNs: number;
	/** Not empty ones only, in order: from (inclusive) to (exclusive). */
	readonly buckets: readonly { readonly fromNs: number; readonly toNs: number; readonly count: number }[];
	/** Packets without a sample, by reason: segmented, merged, cloned, evicted … */
	readonly unmatched: Readonly<Record<string, number>>;
}

/** One answer of `weft latency`; with `--watch` one each interval, holding that interval only. */
export interface LatencyReport {
	readonly type: "latency";
	/** End of the interval, RFC 3339. */
	readonly time: string;
	readonly seconds: number;
	/** Quantiles are right to this share: 0.03 is 3 %. */
	readonly quantileError: number;
	readonly segments: readonly Segment[];
	/** Where every packet at every hook went; absent: not told. JSON always has it. */
	readonly packets?: PacketAccount | null;
	readonly warnings: readonly string[];
}

/** Sightings: seen = timed + begun + Σ unmatched + untracked, exactly once the hooks are quiet. */
export interface PacketAccount {
	readonly seen: number;
	/** Have a sample. */
	readonly timed: number;
	/** At their first hook: there is nothing to time yet. */
	readonly begun: number;
	readonly unmatched: Readonly<Record<string, number>>;
	/** The kernel's table had no room for where they went. */
	readonly untracked: number;
}
