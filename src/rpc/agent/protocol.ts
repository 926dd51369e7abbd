import type { Cluster } from "../../collector/cluster.js";
import type { Question } from "../../collector/question.js";
import type { LedgerStage } from "../../collector/report.js";
import type { Hook, Role } from "../../packet/hook.js";
import type { Wiring } from "../../wiring/model.js";
import type { NodeClock } from "../node-clock.js";

/*
 * An agent's two threads. The main thread owns sockets, wiring and names; the worker owns hooks and rings, and encodes
 * what each subscriber gets. Messages for subscribers come up as bytes and are written as they are.
 */

/** Bits of weft_event.subscribers. */
export const MOST_SUBSCRIBERS = 32;

export interface NodeWorkerOptions {
	readonly node: string;
	/** The process. */
	readonly instance: string;
	readonly attach: "tcx" | "clsact" | "auto";
	readonly clock: NodeClock;
	readonly wiring: Wiring;
	readonly cluster: Cluster;
}

export interface SubscribeOrder {
	readonly id: number;
	readonly question: Question;
	/** Known to the asker, of other nodes. */
	readonly cluster: Cluster;
	readonly sample: number;
	/** Only devices that are one of these; empty: all that the question needs. */
	readonly roles: readonly Role[];
	/** Null: whatever holds. */
	readonly hashSalt: bigint | null;
}

export type ToNodeWorker =
	| { readonly kind: "world"; readonly wiring: Wiring; readonly cluster: Cluster }
	| { readonly kind: "subscribe"; readonly order: SubscribeOrder }
	/** The asker knows more, or less, of other nodes. */
	| { readonly kind: "inform"; readonly id: number; readonly cluster: Cluster }
	/** Give what was seen until now, then the final state. */
	| { readonly kind: "finish"; readonly id: number }
	/** The client is gone. */
	| { readonly kind: "cancel"; readonly id: number }
	/** So many bytes of a subscriber's have left. */
	| { readonly kind: "written"; readonly id: number; readonly bytes: number }
	| { readonly kind: "status"; readonly ticket: number }
	| { readonly kind: "close" };

export type FromNodeWorker =
	| { readonly kind: "message"; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
	/** No message follows. `failure`: why it could not be served; null: it was finished. */
	| { readonly kind: "ended"; readonly id: number; readonly failure: string | null }
	| { readonly kind: "status"; readonly ticket: number; readonly status: NodeStatus }
	| { readonly kind: "closed" };

/** What the worker knows of itself. */
export interface NodeStatus {
	readonly hooks: readonly Hook[];
	readonly attach: "tcx" | "clsact" | null;
	readonly hashSalt: bigint | null;
	readonly ledger: readonly LedgerStage[];
	readonly subscribers: readonly { readonly id: number; readonly delivered: number; readonly lost: number }[];
}
