import type { Names } from "../identity/names.js";
import type { Hook } from "../packet/hook.js";
import type { JoinedPath } from "../path/path-view.js";
import type { Wiring } from "../wiring/model.js";
import type { Cluster } from "./cluster.js";
import type { DevicePackets } from "./end-packets.js";
import type { Question } from "./question.js";
import type { Quantiles, Summary } from "./report.js";

/*
 * Two threads share the work of a trace. The main thread watches wiring and identity and owns sockets and the terminal;
 * the worker owns hooks, rings, decoding and the Joiner. What is known of the world goes down as whole snapshots, so a
 * message that comes late is only late, never wrong; what was found comes up, named by addresses and devices.
 */

/** A node to watch, in this process. */
export interface LocalNode {
	readonly name: string;
	readonly wiring: Wiring;
}

/** The world as the main thread knows it now. */
export interface World {
	readonly nodes: readonly LocalNode[];
	readonly cluster: Cluster;
	/** Who is who, for a recording's later readers; null: nothing is recorded. */
	readonly names: readonly Names[] | null;
}

export interface WorkerOptions {
	readonly question: Question;
	/** Names of the nodes to watch. */
	readonly nodes: readonly string[];
	readonly attach: "tcx" | "clsact" | "auto";
	readonly sample: number;
	/** Bytes of each CPU's ring; null: by the number of CPUs. */
	readonly ringBytes: number | null;
	/** A recording to write; null: none. */
	readonly record: RecordRequest | null;
	/** Every path comes up; else only those that deserve a row. */
	readonly everyPath: boolean;
}

export interface RecordRequest {
	/** "-": standard output. */
	readonly file: string;
	readonly anonymize: boolean;
	/** Version of weft. */
	readonly weft: string;
}

export type ToWorker =
	/** Comes first. */
	| { readonly kind: "begin"; readonly options: WorkerOptions }
	/** The first begins the trace. Later ones: something came, went or changed; hook, unhook, filter and expect anew. */
	| { readonly kind: "world"; readonly world: World }
	/** So many paths have been taken: more may come. */
	| { readonly kind: "credit"; readonly paths: number }
	| { readonly kind: "stop" };

export type FromWorker =
	| {
			readonly kind: "ready";
			readonly hooks: readonly Hook[];
			/** Both clocks at 0 of the Joiner's line, ns. */
			readonly wallClockBase: bigint;
			readonly monotonicBase: bigint;
	  }
	/** Comes before the first path that names it. */
	| { readonly kind: "hook"; readonly added: boolean; readonly hook: Hook }
	/** Only while recording: paths that follow are named by this, as they will be when the recording is replayed. */
	| { readonly kind: "inForce"; readonly names: readonly Names[]; readonly wirings: readonly Wiring[] }
	/** As the Joiner made them: hooks as ids, no names. */
	| { readonly kind: "paths"; readonly paths: readonly JoinedPath[] }
	| { readonly kind: "second"; readonly report: Second; readonly ends?: readonly DevicePackets[] }
	| { readonly kind: "warning"; readonly line: string }
	| { readonly kind: "stopped"; readonly summary: Summary }
	| { readonly kind: "failed"; readonly message: string };

/** Of the paths that got no row. */
export interface Second {
	readonly alike: number;
	readonly latency: Quantiles | null;
	readonly lost: number;
}
