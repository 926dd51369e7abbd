import type { Flow, OuterHeader } from "../path/path.js";

/** Of one direction of a flow. */
export interface FlowCounts {
	/** On the wire: GSO segments counted one by one. */
	readonly packets: number;
	/** skb bytes at the first hop. */
	readonly bytes: number;
	readonly payloadBytes: number;
	/** Paths that were lost, dropped. */
	readonly lost: number;
	readonly dropped: number;
	readonly retransmissions: number;
}

/** null in a FlowRecord when not TCP. `closed`: both FINs were acknowledged. */
export type TcpState = "new" | "established" | "closing" | "closed" | "reset";

export interface RttQuantiles {
	readonly count: number;
	readonly p50Ns: number;
	readonly p90Ns: number;
	readonly p99Ns: number;
	readonly maxNs: number;
}

/** The JSON of a flow: a connection, or what comes closest for UDP and ICMP, rebuilt from paths of both directions. */
export interface FlowRecord {
	readonly type: "flow";
	/** Stable for the flow's life. */
	readonly id: string;
	/** The source is the end that opened it, else the one whose packet was seen first. */
	readonly flow: Flow;
	/** Tunnel ends that carried it, as its source sees them; empty on one node. */
	readonly tunnels: readonly OuterHeader[];
	/** Source to destination, and back. */
	readonly forward: FlowCounts;
	readonly reverse: FlowCounts;
	readonly tcpState: TcpState | null;
	/** SYN to the ACK that ends the handshake, at the first hop; null when not seen. */
	readonly handshakeRttNs: number | null;
	/** Data to its acknowledgement, request to reply, at the first hop; null without a sample. */
	readonly rtt: RttQuantiles | null;
	readonly resets: number;
	/** Where the originals of retransmissions were lost, as "flannel.1→e @node-a"; null: unknown. */
	readonly retransmissions: readonly { readonly place: string | null; readonly count: number }[];
	/** RFC 3339, ns. */
	readonly firstSeen: string;
	readonly lastSeen: string;
}
