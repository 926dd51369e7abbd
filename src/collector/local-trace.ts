import { type ResolvedEnd, resolveEnd } from "../filter/resolve.js";
import { MergedDirectory } from "../identity/merged.js";
import type { Wiring } from "../wiring/model.js";
import { Settling } from "../wiring/settling.js";
import { type Cluster, clusterOf, lookupOver } from "./cluster.js";
import { endPackets } from "./end-packets.js";
import { NodeObserver, nodeOf } from "./node-observer.js";
import type { FromWorker, ToWorker, World } from "./protocol.js";
import { askQuestion, type Question } from "./question.js";
import { recordRequest } from "./record-request.js";
import type { Summary } from "./report.js";
import type { NodeSpec, TraceListener, TraceRequest } from "./request.js";
import { Telling } from "./telling.js";
import { TraceError, type TracingThread } from "./tracing-thread.js";
import { unknownEnd } from "./unknown-end.js";
import { untilStopped } from "./until-stopped.js";

/** How long names of services may keep a trace from beginning. */
const SERVICES_MS = 250;
/** Changes that come together are told to the worker together. */
const SETTLE_MS = 5;

/** What was there before the rest of this thread's half was imported. */
export interface TraceBegun {
	/** Of worker.js, which may still be importing. */
	readonly thread: TracingThread<ToWorker, FromWorker>;
	/** On performance.now()'s clock. */
	readonly begun: number;
}

/** The main thread's half of a trace on this machine: follows wiring and names, gives paths their names. */
export class LocalTrace {
	readonly #begun: number;
	readonly #request: TraceRequest;
	readonly #listener: TraceListener;
	readonly #question: Question;
	readonly #observers: NodeObserver[] = [];
	readonly #directory = new MergedDirectory(() => this.#observers.map(({ directory }) => directory));
	readonly #telling: Telling;
	readonly #thread: TraceBegun["thread"];
	readonly #settling = new Settling(SETTLE_MS, () => this.#thread.tell({ kind: "world", world: this.#world() }));
	/** What the ENDs' own veths had counted when each was first asked. */
	readonly #counted = new Map<string, number>();
	/** The worker knows the world, and is told of its changes. */
	#following = false;
	#stopping = false;

	/** @throws FilterError */
	constructor(request: TraceRequest, listener: TraceListener, { thread, begun }: TraceBegun) {
		this.#thread = thread;
		this.#begun = begun;
		this.#request = request;
		this.#listener = listener;
		this.#question = askQuestion(request);
		this.#telling = new Telling({
			...{ request, listener, question: this.#question, directory: this.#directory },
			wirings: () => this.#wirings(),
			enough: () => this.#stop(),
		});
	}

	async run(signal: AbortSignal): Promise<Summary> {
		const { netns, hostRoot, nodes } = this.#request;
		const specs = nodes ?? [nodeOf(netns, hostRoot)];
		// The worker loads and makes room while the world is read here.
		const summary = this.#work(specs);
		// Whoever waits for it hears of its failure; nobody does when this thread finds a reason to end first.
		summary.catch(() => {});
		this.#observe(specs);
		await Promise.race([Promise.all(this.#observers.map(({ ready }) => ready)), sleep(SERVICES_MS)]);
		this.#refuseUnknown();
		this.#thread.tell({ kind: "world", world: this.#world() });
		this.#following = true;
		const { durationMs } = this.#request;
		const result = await untilStopped(summary, () => this.#stop(), { signal, durationMs });
		this.#listener.summary(result);
		return result;
	}

	close(): void {
		this.#settling.cancel();
		for (const observer of this.#observers) observer.close();
	}

	#observe(specs: readonly NodeSpec[]): void {
		for (const spec of specs) {
			this.#observers.push(new NodeObserver(spec, new Map(), () => this.#changed()));
		}
	}

	#work(specs: readonly NodeSpec[]): Promise<Summary> {
		const { attach, sample, everyPath } = this.#request;
		const nodes = specs.filter(({ watch }) => watch).map(({ name }) => name);
		const record = recordRequest(this.#request);
		const options = { question: this.#question, nodes, attach, sample, ringBytes: null, record, everyPath };
		this.#thread.tell({ kind: "begin", options });
		return this.#thread.summary(this.#telling, (message) => {
			if (message.kind === "ready") this.#ready(message);
			else if (message.kind === "second") {
				this.#telling.second(message.report, { from: this.#seenAt("from"), to: this.#seenAt("to") });
			}
		});
	}

	#ready({ hooks, wallClockBase }: FromWorker & { kind: "ready" }): void {
		// From here on the veths count.
		this.#seenAt("from");
		this.#seenAt("to");
		this.#telling.ready({
			...{ hooks, wallClockBase, cluster: this.#cluster() },
			readyMs: performance.now() - this.#begun,
			warnings: this.#observers.flatMap((observer) => observer.warnings),
		});
	}

	#changed(): void {
		if (this.#following && !this.#stopping) this.#settling.changed();
	}

	#stop(): void {
		if (this.#stopping) return;
		this.#stopping = true;
		this.#telling.stop();
		this.#settling.cancel();
		this.#thread.tell({ kind: "stop" });
	}

	#world(): World {
		const names = this.#request.write === null ? null : this.#observers.map(({ directory }) => directory.names());
		return { nodes: this.#localNodes(), cluster: this.#cluster(), names };
	}

	#wirings(): readonly Wiring[] {
		return this.#observers.map(({ wiring }) => wiring);
	}

	#localNodes(): World["nodes"] {
		return this.#observers.filter(({ spec }) => spec.watch).map(({ spec, wiring }) => ({ name: spec.name, wiring }));
	}

	#cluster(): Cluster {
		return clusterOf(
			this.#directory,
			this.#observers.flatMap(({ directory }) => directory.portals.hostPorts),
		);
	}

	#refuseUnknown(): void {
		const names = this.#observers.map(({ spec }) => spec.name);
		const unknown = unknownEnd(this.#question, this.#request, this.#cluster(), names);
		if (unknown === null) return;
		const elsewhere = "; a pod of another node is known by its address, or with --agent";
		throw new TraceError(unknown.kind === "pod" ? unknown.why + elsewhere : unknown.why);
	}

	#resolved(end: Question["from"]): ResolvedEnd {
		return resolveEnd(end, lookupOver(this.#cluster()));
	}

	/** Packets through the END's own veths since the trace began, traced or not; null: no watched node has one. */
	#seenAt(end: "from" | "to"): number | null {
		const resolved = this.#resolved(this.#question[end]);
		const seen = resolved.devices.flatMap(({ node, ifindex }) => {
			const observer = this.#observers.find(({ spec }) => spec.watch && spec.name === node);
			const packets = observer?.packets(ifindex) ?? null;
			if (packets === null) return [];
			const key = `${node}/${ifindex}`;
			const before = this.#counted.get(key) ?? packets;
			this.#counted.set(key, before);
			return [{ node, ifindex, packets: packets - before }];
		});
		return endPackets(resolved, seen);
	}
}

function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => {
		setTimeout(resolve, ms).unref();
	});
}
