import type { Hook } from "../packet/hook.js";
import type { LedgerStage } from "./report.js";

/** One agent at one moment, as `weft status` shows it. JSON: every field is always present. */
export interface AgentStatus {
	readonly type: "agent";
	/** Where it was asked: unix:/path or host:port. */
	readonly address: string;
	readonly node: string;
	/** The process; another id means that it was restarted. */
	readonly instance: string;
	readonly version: string;
	/** Release, as uname -r. */
	readonly kernel: string;
	readonly attach: "tcx" | "clsact";
	/** RFC 3339. */
	readonly startedAt: string;
	readonly uptimeMs: number;
	readonly residentBytes: number;
	/** Its clock against ours; null: not measured. */
	readonly clock: { readonly offsetNs: number; readonly errorNs: number } | null;
	readonly hooks: readonly Pick<Hook, "node" | "device" | "ifindex" | "direction" | "role">[];
	readonly subscribers: readonly SubscriberStatus[];
	readonly ledger: readonly LedgerStage[];
	readonly warnings: readonly string[];
}

/** Who is served. Counts in what the method streams. */
export interface SubscriberStatus {
	readonly id: number;
	/** Trace, StreamSightings … */
	readonly method: string;
	/** What it asked for, in words. */
	readonly question: string;
	readonly delivered: number;
	readonly lost: number;
}
