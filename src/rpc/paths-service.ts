import { status } from "@grpc/grpc-js";
import type { LedgerStage, Summary } from "../collector/report.js";
import { type RemoteListener, type RemoteRequest, startRemoteTrace } from "./client/remote-trace.js";
import { decode, encode } from "./codec.js";
import { Phase, type StateMessage } from "./messages.js";
import { bareNodeState } from "./node-state-message.js";
import { flowMessage } from "./path-message.js";
import { type CheckedQuestion, checkQuestion, checkSample, Refusal, serviceErrorOf } from "./refusal.js";
import type { Reply } from "./server.js";

/** Each has a joining thread of its own. */
const MOST_TRACES = 8;
/** Bytes that wait for a slow client; beyond it, paths are lost, counted as subscriberSlow. */
const MOST_WAITING = 4 << 20;

/** Whom a server asks that joins paths. */
export type AskedAgents = Pick<RemoteRequest, "agents" | "followAgents" | "protection">;

/** Trace and WatchFlows of a server: a client's trace over the StreamSightings of agents, told as messages. */
export class PathsService {
	readonly #agents: () => Promise<AskedAgents>;
	readonly #instance: string;
	#running = 0;

	/** @param agents as of when a stream begins */
	constructor(instance: string, agents: () => Promise<AskedAgents>) {
		this.#instance = instance;
		this.#agents = agents;
	}

	trace(call: Reply): void {
		const message = decode("TraceRequest", call.request);
		const question = checkQuestion(message);
		const sample = checkSample(message.sample);
		const stream = new Told(call, this.#instance, (state) => encode("TraceResponse", { state }));
		this.#run(call, stream, question, sample, {
			path: () => undefined,
			message: (bytes, paths) => stream.rows(bytes, paths),
		});
	}

	watchFlows(call: Reply): void {
		const question = checkQuestion(decode("WatchFlowsRequest", call.request));
		const stream = new Told(call, this.#instance, (state) => encode("WatchFlowsResponse", { state }));
		this.#run(call, stream, question, 1, {
			path: () => undefined,
			flows: (flows) => {
				for (const flow of flows) stream.row(() => encode("WatchFlowsResponse", { flow: flowMessage(flow) }));
			},
		});
	}

	#run(
		call: Reply,
		stream: Told,
		question: CheckedQuestion,
		sample: number,
		hear: Pick<RemoteListener, "path" | "message" | "flows">,
	): void {
		if (this.#running >= MOST_TRACES) {
			throw new Refusal(status.RESOURCE_EXHAUSTED, `${MOST_TRACES} traces are joined here already`);
		}
		this.#running++;
		const stop = new AbortController();
		call.on("cancelled", () => stop.abort());
		call.on("close", () => stop.abort());
		const listener: RemoteListener = {
			...hear,
			ready: (ready) => stream.ready(ready.nodes, ready.warnings),
			status: () => stream.state(Phase.running, null),
			hook: () => undefined,
			warning: (line) => stream.warn(line),
			unsent: (offered, unsent) => stream.unsent(offered, unsent),
			get drained() {
				return stream.drained;
			},
			summary: (summary) => stream.state(Phase.ended, summary),
		};
		this.#agents()
			.then((asked) => {
				if (asked.agents.length === 0) throw new Refusal(status.UNAVAILABLE, "no agent is connected");
				const request: RemoteRequest = {
					...{ ...question, sample, count: null, durationMs: null, everyPath: true },
					...asked,
				};
				return startRemoteTrace(request, listener, stop.signal);
			})
			.then(
				() => call.end(),
				(cause: unknown) => call.emit("error", serviceErrorOf(cause)),
			)
			.finally(() => {
				this.#running--;
			})
			.catch(() => undefined);
	}
}

/** A stream of rows and states to one client. */
export class Told {
	readonly #call: Reply;
	readonly #instance: string;
	readonly #encode: (state: StateMessage) => Buffer;
	#nodes: readonly string[] = [];
	#warnings: string[] = [];
	#offered = 0;
	#lost = 0;
	#waiting = 0;
	/** What did not even come here, as this was full. */
	#before: { readonly offered: number; readonly unsent: number } | null = null;
	#room: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null;

	constructor(call: Reply, instance: string, encodeState: (state: StateMessage) => Buffer) {
		this.#call = call;
		this.#instance = instance;
		this.#encode = encodeState;
	}

	ready(nodes: readonly string[], warnings: readonly string[]): void {
		this.#nodes = nodes;
		this.#warnings.push(...warnings);
		this.state(Phase.ready, null);
	}

	warn(line: string): void {
		this.#warnings.push(line);
	}

	/** @param bytes as a function it is called only if there is room: a client that does not read must cost nothing */
	row(bytes: Buffer | (() => Buffer)): void {
		this.rows(bytes, 1);
	}

	/** A message that is no row: what it says the next one says anew. Left out where there is no room. */
	beside(bytes: Buffer): void {
		if (this.#waiting <= MOST_WAITING) this.#write(bytes);
	}

	/** A message of so many rows. */
	rows(bytes: Buffer | (() => Buffer), count: number): void {
		this.#offered += count;
		if (this.#waiting > MOST_WAITING) this.#lost += count;
		else this.#write(typeof bytes === "function" ? bytes() : bytes);
	}

	unsent(offered: number, unsent: number): void {
		this.#before = { offered, unsent };
	}

	/** When there is room again; null: there is. */
	get drained(): Promise<void> | null {
		if (this.#waiting <= MOST_WAITING) return null;
		this.#room ??= room();
		return this.#room.promise;
	}

	state(phase: number, summary: Summary | null): void {
		const { offered = 0, unsent = 0 } = this.#before ?? {};
		const lost = this.#lost + unsent;
		const losses = lost === 0 ? [] : [{ cause: "subscriberSlow", count: lost }];
		const output = { stage: "output (paths)", in: offered, out: offered - unsent, lost: { subscriberSlow: unsent } };
		const stages: readonly LedgerStage[] = summary?.ledger ?? (unsent === 0 ? [] : [output]);
		const ledger = stages.map(({ stage, in: received, out, lost }) => ({
			...{ stage, in: received, out },
			lost: Object.entries(lost).map(([cause, count]) => ({ cause, count: count ?? 0 })),
		}));
		const own = {
			...{ stage: "subscriber", in: this.#offered, out: this.#offered - this.#lost },
			lost: this.#lost === 0 ? [] : [{ cause: "subscriberSlow", count: this.#lost }],
		};
		const nodes = this.#nodes.map((node) => bareNodeState(node, true));
		const warnings = this.#warnings.splice(0);
		const instance = this.#instance;
		this.#write(
			this.#encode({ phase, instance, nextSequence: this.#offered, nodes, losses, ledger: [...ledger, own], warnings }),
		);
	}

	#write(bytes: Buffer): void {
		this.#waiting += bytes.length;
		this.#call.write(bytes, () => {
			this.#waiting -= bytes.length;
			if (this.#room === null || this.#waiting > MOST_WAITING / 2) return;
			this.#room.resolve();
			this.#room = null;
		});
	}
}

function room(): { readonly promise: Promise<void>; readonly resolve: () => void } {
	let resolve = () => {};
	const promise = new Promise<void>((done) => {
		resolve = done;
	});
	return { promise, resolve };
}
