import type { HookSite, Wiring } from "../wiring/model.js";
import type { Cluster } from "./cluster.js";
import type { Question } from "./question.js";
import type { HookChange, Quantiles, Summary } from "./report.js";

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
}

export interface WorkerOptions {
	readonly question: Question;
	readonly world: World;
	readonly attach: "tcx" | "clsact" | "auto";
	readonly sample: number;
	/** Bytes of each CPU's ring; null: by the number of CPUs. */
	readonly ringBytes: number | null;
	/** Every path comes up; else only those that deserve a row. */
	readonly everyPath: boolean;
	/** Recording to write; null: none. */
	readonly write: string | null;
}

export type ToWorker =
	/** Something came, went or changed: hook, unhook, filter and expect anew. */
	| { readonly kind: "world"; readonly world: World }
	/** So many paths have been taken: more may come. */
	| { readonly kind: "credit"; readonly paths: number }
	| { readonly kind: "stop" };

export type FromWorker =
	| { readonly kind: "ready"; readonly hooks: readonly HookSite[]; readonly nodes: readonly string[] }
	/** Paths as the Joiner made them, without names. */
	| { readonly kind: "paths"; readonly paths: readonly unknown[] }
	| { readonly kind: "second"; readonly report: Second }
	| { readonly kind: "hook"; readonly change: HookChange }
	| { readonly kind: "warning"; readonly line: string }
	| { readonly kind: "stopped"; readonly summary: Summary }
	| { readonly kind: "failed"; readonly message: string; readonly remedy: string | null };

export interface Second {
	readonly alike: number;
	readonly latency: Quantiles | null;
	readonly lost: number;
	/** Packets so far at each end's own veths; null: no watched node has one. */
	readonly fromSeen: number | null;
	readonly toSeen: number | null;
}

// HookSite says nothing of the node; a hook that is on does.
export type { HookSite };
