import type { Path } from "../path/path.js";
import type { HookChange, Ready, Status, Summary } from "./report.js";

/** What `weft trace` was asked for, checked and in plain units. The ends and the filter are still text. */
export interface TraceRequest {
	/** END; "any" when none was given. */
	readonly from: string;
	readonly to: string;
	/** FILTER; "" when none was given. */
	readonly filter: string;
	/** Of pods that are named without one. */
	readonly namespace: string;
	/** Stop after so many paths; null: never. */
	readonly count: number | null;
	/** Stop after so many ms; null: never. */
	readonly durationMs: number | null;
	/** Name or path of the network namespace that is the node; null: the caller's own. */
	readonly netns: string | null;
	/** Name of a lab whose nodes are all traced; null: none. The caller has looked up its `nodes`. */
	readonly lab: string | null;
	/** Nodes on this machine; null: one, by `netns` and `hostRoot`. */
	readonly nodes?: readonly NodeSpec[] | null;
	/** Where the host's filesystem is mounted; null: "/". */
	readonly hostRoot: string | null;
	/** "auto": tcx where the kernel has it. */
	readonly attach: "tcx" | "clsact" | "auto";
	/** 1: every packet; N: one in N, the same ones at every hop. */
	readonly sample: number;
	/** unix:/path or host:port; empty: in this process, or the local agent. */
	readonly agents: readonly string[];
	/** Recording to write, to read. */
	readonly write: string | null;
	readonly read: string | null;
	/** Replace addresses and names in what is written. */
	readonly anonymize?: boolean;
	/** Of weft, for what is written. */
	readonly version?: string;
	/** Pipes and --all: no thinning. */
	readonly everyPath: boolean;
}

/** A node on this machine: a network namespace and a filesystem. */
export interface NodeSpec {
	readonly name: string;
	/** Path of its namespace; null: the caller's own. */
	readonly netns: string | null;
	readonly hostRoot: string | null;
	/** False: only its names are wanted, nothing is hooked there. */
	readonly watch: boolean;
}

/**
 * Who is told of a trace. `ready` comes once and first, `summary` once and last; `status` once a second, also when
 * nothing happens. Calls must not throw; they may block, and then events are lost and counted, not kept.
 */
export interface TraceListener {
	ready(ready: Ready): void;
	path(path: Path): void;
	status(status: Status): void;
	hook(change: HookChange): void;
	/** One line: something the user should know. */
	warning(line: string): void;
	summary(summary: Summary): void;
	/** Resolves when it can take more paths; null: now. What comes nevertheless it may leave out. */
	readonly drained?: Promise<void> | null;
}

/**
 * Traces until the count or the duration is reached or `signal` aborts, then takes every hook away and resolves.
 * Rejects with a typed error that names the remedy when it cannot begin.
 */
export type StartTrace = (request: TraceRequest, listener: TraceListener, signal: AbortSignal) => Promise<Summary>;
