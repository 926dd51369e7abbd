import type { Direction } from "../packet/hook.js";
import type { Endpoint } from "../path/path.js";

/** Packets that the kernel discarded alike: same reason, place and flow, since the report before. */
export interface DropReport {
	readonly type: "drop";
	/** Of the last of them, RFC 3339. */
	readonly time: string;
	readonly node: string;
	readonly count: number;
	/** The kernel's words: NETFILTER_DROP, nf_hook_slow. */
	readonly kernelReason: string;
	readonly kernelFunction: string | null;
	/** weft's: "an iptables rule in FORWARD"; null: none better than the kernel's. */
	readonly diagnosis: string | null;
	/** What usually causes it on a flannel node. */
	readonly explanation: string | null;
	/** A command that would repair it or show more. */
	readonly remedy: string | null;
	/** Where the packet was last. Null: made here, or not known. */
	readonly hop: DropPlace | null;
	/** tcp, udp … as in Flow. */
	readonly protocol: string;
	readonly source: Endpoint | null;
	readonly destination: Endpoint | null;
	/** Id of the traced path that ended here; null: not traced. */
	readonly path: string | null;
}

export interface DropPlace {
	readonly device: string;
	readonly direction: Direction;
	/**
	 * `seen`: a hook saw this very packet there, and no later one did. `concluded`: from the device that it came in by, or
	 * that threw it away while sending (see lastHop).
	 */
	readonly evidence: "seen" | "concluded";
}

/** The account of `weft drops`, in packets, at its end: seen = dropped + consumed + left out + what is not told here. */
export interface DropSummary {
	readonly type: "drops";
	readonly seconds: number;
	/** All that the kernel freed as dropped, on the whole machine. */
	readonly seen: number;
	/** Told in reports. */
	readonly dropped: number;
	/** Of these nodes, and no loss: copies for others, what was queued when a socket closed … */
	readonly consumed: number;
	/** Of these nodes, and not what the filter wants. */
	readonly filtered: number;
	/** Of other namespaces; of none that could be found; no network packets. */
	readonly foreign: number;
	readonly unknown: number;
	readonly unrelated: number;
	/** Counted by the kernel, their details told by others alike. */
	readonly sampled: number;
	/** Their details found no room: the ring was full. They are counted. */
	readonly ringFull: number;
	/** The program did not run because it would have interrupted itself: not counted anywhere else. */
	readonly missed: number;
}
