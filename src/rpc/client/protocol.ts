import type { Cluster } from "../../collector/cluster.js";
import type { FromWorker, RecordRequest } from "../../collector/protocol.js";
import type { Question } from "../../collector/question.js";
import type { FlowSnapshot } from "../../flow/snapshot.js";
import type { Names } from "../../identity/names.js";
import type { Wiring } from "../../wiring/model.js";
import type { ClockReading } from "./clock-estimate.js";
import type { EncodedPaths } from "./path-messages.js";

/*
 * A trace by agents in two threads: the main one owns connections and names, the worker decodes and joins. Bytes of
 * agents go down as they came.
 */

export interface RemoteWorkerOptions {
	readonly question: Question;
	readonly everyPath: boolean;
	/** What goes up: paths without names; messages of Trace; or flows, rebuilt from all paths, every second. */
	readonly output: "paths" | "messages" | "flows";
	/** A recording to write; null: none. */
	readonly record: RecordRequest | null;
	readonly sample: number;
	readonly world: RemoteWorld;
	/** Our wall clock at 0 of the Joiner's line, ns since 1970. */
	readonly wallClockBase: bigint;
	/** Streams that the trace begins with: it is ready when all of these are, or have failed. */
	readonly sources: readonly StreamOrder[];
}

/** All that is known besides the packets. */
export interface RemoteWorld {
	readonly wirings: readonly Wiring[];
	readonly cluster: Cluster;
	/** Only for messages and recordings: whom addresses belong to; null: not asked for. */
	readonly names: readonly Names[] | null;
}

/** One epoch of one node: a stream of an agent process. */
export interface StreamOrder {
	/** Unique among all of a trace. */
	readonly key: string;
	readonly node: string;
	/** The hash of payloads cannot be compared with other nodes': it does not count. */
	readonly clock: ClockReading | null;
}

export type ToRemoteWorker =
	| { readonly kind: "world"; readonly world: RemoteWorld }
	| { readonly kind: "open"; readonly source: StreamOrder }
	| { readonly kind: "bytes"; readonly key: string; readonly bytes: Uint8Array<ArrayBuffer> }
	| { readonly kind: "clock"; readonly node: string; readonly reading: ClockReading }
	/** The stream has ended without its final state. */
	| { readonly kind: "broken"; readonly key: string; readonly why: string }
	/** So many paths, or messages, have been taken: more may come. */
	| { readonly kind: "credit"; readonly paths: number }
	/** Every stream has ended. */
	| { readonly kind: "stop" };

export type FromRemoteWorker =
	| FromWorker
	/** Bytes have been read. */
	| { readonly kind: "taken"; readonly key: string; readonly bytes: number }
	/** Paths that were to go up so far, and those that a slow reader had no room for; when there are more of these. */
	| { readonly kind: "unsent"; readonly offered: number; readonly unsent: number }
	/** With `output` "messages". */
	| ({ readonly kind: "messages" } & EncodedPaths)
	/** The final state was read. */
	| { readonly kind: "finished"; readonly key: string }
	| { readonly kind: "flows"; readonly flows: readonly FlowSnapshot[] };
