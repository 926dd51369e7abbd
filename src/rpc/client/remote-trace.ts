import { randomBytes } from "node:crypto";
import { type Cluster, clusterOf, lookupOver } from "../../collector/cluster.js";
import { endPackets } from "../../collector/end-packets.js";
import { planFor } from "../../collector/plan.js";
import { askQuestion, type Question } from "../../collector/question.js";
import { recordRequest } from "../../collector/record-request.js";
import type { Summary } from "../../collector/report.js";
import type { TraceListener, TraceRequest } from "../../collector/request.js";
import { Telling } from "../../collector/telling.js";
import { TraceError, TracingThread } from "../../collector/tracing-thread.js";
import { unknownEnd } from "../../collector/unknown-end.js";
import { untilStopped } from "../../collector/until-stopped.js";
import { resolveEnd } from "../../filter/resolve.js";
import type { FlowRecord } from "../../flow/record.js";
import { nameFlow } from "../../flow/snapshot.js";
import { MergedDirectory } from "../../identity/merged.js";
import { NamesDirectory } from "../../identity/names.js";
import type { Role } from "../../packet/hook.js";
import type { Wiring } from "../../wiring/model.js";
import { Settling } from "../../wiring/settling.js";
import { clusterMessage } from "../cluster-message.js";
import { encode } from "../codec.js";
import type { Protection } from "../credentials.js";
import { roleNumber } from "../hook-message.js";
import { AgentLink, type LineBase, lineBaseNow, type RemoteNode } from "./agent-link.js";
import { AgentStreams } from "./agent-streams.js";
import type { ClockReading } from "./clock-estimate.js";
import { Outages } from "./outages.js";
import type { EncodedPaths } from "./path-messages.js";
import type { FromRemoteWorker, RemoteWorkerOptions, RemoteWorld, StreamOrder, ToRemoteWorker } from "./protocol.js";

/** How long agents that do not answer may keep a trace from beginning. */
const SETTLED_MS = 3000;
/** Of what keys payload hashes. */
const SALT_BYTES = 8;
/** How long agents have for their last words. */
const FINISH_MS = 2000;
/** Changes that come together are told together. */
const SETTLE_MS = 10;
/** Of paths in a message of Trace, about: what gRPC adds to a message is little beside it. */
const MESSAGE_BYTES = 16 << 10;

export interface RemoteRequest
	extends Pick<TraceRequest, "from" | "to" | "filter" | "namespace" | "count" | "durationMs" | "sample" | "everyPath">,
		Partial<Pick<TraceRequest, "write" | "anonymize" | "version">> {
	/** unix:/path or host:port. */
	readonly agents: readonly string[];
	/** Calls back with all of them whenever they are others, until what it returns is called. Absent: they stay. */
	readonly followAgents?: (changed: (agents: readonly string[]) => void) => () => void;
	readonly protection: Protection;
	/** Only devices that are one of these are hooked; absent: all that the question needs. */
	readonly roles?: readonly Role[];
}

export interface RemoteListener extends TraceListener {
	/** So many paths as a TraceResponse, instead of `path`: named and encoded where they were joined. */
	message?(bytes: Buffer, paths: number): void;
	/** Flows that have changed, each second. */
	flows?(flows: readonly FlowRecord[]): void;
	/** How well a node's clock is known, ns; several times a second. */
	clock?(node: string, reading: ClockReading): void;
	/** Paths so far, and those for which `drained` left no room. */
	unsent?(offered: number, unsent: number): void;
}

/**
 * Traces through agents and relays until the count or the duration is reached or `signal` aborts. Rejects with a typed
 * error when no agent answers or an END is not known. Nodes that go are told and come back by themselves.
 */
export async function startRemoteTrace(
	request: RemoteRequest,
	listener: RemoteListener,
	signal: AbortSignal,
): Promise<Summary> {
	const trace = new RemoteTrace(request, listener);
	try {
		return await trace.run(signal);
	} finally {
		trace.close();
	}
}

class RemoteTrace {
	readonly #begun = performance.now();
	readonly #request: RemoteRequest;
	readonly #listener: RemoteListener;
	readonly #question: Question;
	readonly #line: LineBase = lineBaseNow();
	readonly #links = new Map<string, AgentLink>();
	readonly #nodes = new Map<string, RemoteNode>();
	/** Also of nodes that are gone: packets are still due there, and their names are asked for. */
	readonly #wired = new Map<string, Wiring>();
	readonly #names = new Map<string, NamesDirectory>();
	readonly #directory = new MergedDirectory(() => [...this.#names.values()]);
	readonly #clocks = new Map<string, ClockReading>();
	readonly #streams = new AgentStreams({
		bytes: (key, bytes) => this.#thread?.tell({ kind: "bytes", key, bytes }, [bytes.buffer]),
		broken: ({ key, node }, why) => this.#broken(key, node, why),
	});
	readonly #outages: Outages;
	readonly #telling: Telling;
	#hashSalt: Uint8Array = randomBytes(SALT_BYTES);
	readonly #settling = new Settling(SETTLE_MS, () => this.#follow());
	/** Null until it is known whom to ask. */
	#thread: TracingThread<ToRemoteWorker, FromRemoteWorker> | null = null;
	#toldCluster = "";
	#nextKey = 0;
	#unfollow: () => void = () => {};
	#stopping = false;
	#stopped = false;

	constructor(request: RemoteRequest, listener: RemoteListener) {
		this.#request = request;
		this.#listener = listener;
		this.#question = askQuestion(request);
		this.#outages = new Outages(
			(line) => listener.warning(line),
			() => this.#follow(),
		);
		this.#telling = new Telling({
			...{ request, listener, question: this.#question, directory: this.#directory },
			wirings: () => this.#wirings(),
			enough: () => this.#stop(),
		});
	}

	async run(signal: AbortSignal): Promise<Summary> {
		await this.#connect(signal);
		const cluster = this.#cluster();
		const unknown = unknownEnd(this.#question, this.#request, cluster, [...this.#nodes.keys()]);
		if (unknown !== null) throw new TraceError(unknown.why);
		const asked = this.#asked(cluster);
		await Promise.all(asked.map((node) => node.link.measure(node.name).catch(() => undefined)));
		await this.#agreeOnSalt(asked);
		const summary = this.#work(asked, cluster);
		const { durationMs } = this.#request;
		const result = await untilStopped(summary, () => this.#stop(), { signal, durationMs });
		this.#listener.summary(result);
		return result;
	}

	close(): void {
		this.#stopped = true;
		this.#settling.cancel();
		this.#outages.close();
		this.#streams.close();
		this.#unfollow();
		for (const link of this.#links.values()) link.close();
		this.#thread?.close();
	}

	/** Until every address has answered or failed, for the first time. */
	async #connect(signal: AbortSignal): Promise<void> {
		const failures: string[] = [];
		const { agents, followAgents } = this.#request;
		const settled = agents.map(async (address) => {
			const failure = await this.#link(address);
			if (failure !== null) failures.push(failure);
		});
		if (followAgents !== undefined) this.#unfollow = followAgents((addresses) => this.#relink(addresses));
		await Promise.race([Promise.all(settled), patience(SETTLED_MS, signal)]);
		if (this.#nodes.size === 0) {
			const why = failures[0] ?? `${agents.join(" and ")} did not answer`;
			throw new TraceError(`no agent to ask: ${why}; start one with weft agent --listen ADDR`);
		}
		for (const failure of failures) this.#telling.warn(failure);
	}

	/** Resolves when it has answered or failed for the first time; to why it failed. */
	#link(address: string): Promise<string | null> {
		return new Promise((resolve) => {
			const link = new AgentLink(address, this.#request.protection, this.#line, {
				node: (node) => this.#nodeChanged(node),
				gone: (name, why) => this.#nodeGone(name, why),
				settled: resolve,
				clock: (name, reading) => this.#clockRead(name, reading),
			});
			this.#links.set(address, link);
		});
	}

	#relink(addresses: readonly string[]): void {
		for (const [address, link] of this.#links) {
			if (addresses.includes(address)) continue;
			this.#links.delete(address);
			link.close();
			for (const name of link.nodes.keys()) this.#nodeGone(name, "it was taken off the list");
		}
		for (const address of addresses) {
			if (!this.#links.has(address)) this.#link(address).catch(() => undefined);
		}
	}

	/** Whoever is served already has a key for hashes; then all use that one. Else clients that begin now find the same. */
	async #agreeOnSalt(asked: readonly RemoteNode[]): Promise<void> {
		const statuses = await Promise.all(asked.map(({ link }) => link.channel.getStatus().catch(() => null)));
		const agents = statuses.flatMap((status) => status?.agents ?? []);
		const taken = agents.map(({ hashSalt }) => hashSalt).filter((salt) => salt.length === SALT_BYTES);
		const offered = agents.map(({ offeredHashSalt }) => offeredHashSalt).filter((salt) => salt.length === SALT_BYTES);
		this.#hashSalt = taken[0] ?? offered.sort(Buffer.compare)[0] ?? randomBytes(SALT_BYTES);
		if (new Set(taken.map((salt) => Buffer.from(salt).toString("hex"))).size > 1) {
			this.#telling.warn(
				"agents serve others with different keys: UDP and ICMP without an IP ID are joined on one node only",
			);
		}
	}

	#work(asked: readonly RemoteNode[], cluster: Cluster): Promise<Summary> {
		const orders = asked.map((node) => this.#order(node));
		const { everyPath, sample } = this.#request;
		const options: RemoteWorkerOptions = {
			...{ question: this.#question, everyPath, output: this.#output, sample },
			record: recordRequest(this.#request),
			world: this.#world(cluster),
			wallClockBase: this.#line.wallNs,
			sources: orders,
		};
		const program = new URL("./worker.js", import.meta.url);
		const thread = new TracingThread<ToRemoteWorker, FromRemoteWorker>(program, "joining", options);
		this.#thread = thread;
		asked.forEach((node, at) => {
			this.#open(node, (orders[at] as StreamOrder).key, cluster);
		});
		return thread.summary(this.#telling, (message, credit) => this.#hear(message, credit));
	}

	#order({ name }: RemoteNode): StreamOrder {
		return { key: `${name}#${this.#nextKey++}`, node: name, clock: this.#clocks.get(name) ?? null };
	}

	#open(node: RemoteNode, key: string, cluster: Cluster): void {
		const { from, to, filter, namespace, sample, roles = [] } = this.#request;
		const request = {
			...{ from: { end: from }, to: { end: to }, filter, namespace, sample },
			hashSalt: this.#hashSalt,
			roles: roles.map(roleNumber),
			nodes: [node.name],
			cluster: clusterMessage(cluster),
		};
		this.#streams.begin(node, key, encode("StreamSightingsRequest", request));
	}

	#broken(key: string, node: string, why: string): void {
		this.#tell({ kind: "broken", key, why });
		if (this.#stopping) {
			this.#stopWhenAllEnded();
			return;
		}
		this.#outages.begin(node, why);
		this.#outages.retry(node);
	}

	#hear(message: FromRemoteWorker, credit: (paths: number) => void): void {
		switch (message.kind) {
			case "taken":
				this.#streams.taken(message.key, message.bytes);
				return;
			case "finished":
				this.#streams.finished(message.key);
				this.#stopWhenAllEnded();
				return;
			case "hook":
				if (message.added) this.#outages.end(message.hook.node);
				return;
			case "ready":
				this.#ready(message);
				return;
			case "unsent":
				this.#listener.unsent?.(message.offered, message.unsent);
				return;
			case "messages":
				this.#tellMessages(message);
				credit(message.ends.length);
				return;
			case "flows":
				this.#listener.flows?.(message.flows.map((flow) => nameFlow(flow, this.#directory)));
				return;
			case "second":
				this.#second(message);
				return;
		}
	}

	#second({ report, ends = [] }: FromRemoteWorker & { kind: "second" }): void {
		if (ends.length === 0) {
			this.#telling.second(report, { from: null, to: null });
			return;
		}
		const lookup = lookupOver(this.#cluster());
		const seen = (end: "from" | "to") => endPackets(resolveEnd(this.#question[end], lookup), ends);
		this.#telling.second(report, { from: seen("from"), to: seen("to") });
	}

	#tellMessages({ bytes, ends }: EncodedPaths): void {
		if (!this.#telling.isReady) return;
		const all = Buffer.from(bytes.buffer);
		let [start, first] = [0, 0];
		for (const [n, end] of ends.entries()) {
			if (end - start < MESSAGE_BYTES && n + 1 < ends.length) continue;
			this.#listener.message?.(all.subarray(start, end), n + 1 - first);
			[start, first] = [end, n + 1];
		}
	}

	#ready({ hooks, wallClockBase }: FromRemoteWorker & { kind: "ready" }): void {
		const warnings = [...this.#nodes.values()].flatMap(({ evidence }) => evidence.warnings);
		const readyMs = performance.now() - this.#begun;
		this.#telling.ready({ hooks, wallClockBase, cluster: this.#cluster(), readyMs, warnings });
	}

	#nodeChanged(node: RemoteNode): void {
		const known = this.#nodes.get(node.name);
		if (known !== undefined && known.link !== node.link && known.link.nodes.has(node.name)) {
			this.#telling.warn(
				`${node.link.address} and ${known.link.address} are the same node ${node.name}: the first one is asked`,
			);
			return;
		}
		this.#nodes.set(node.name, node);
		this.#wired.set(node.name, node.evidence.wiring);
		this.#names.set(node.name, NamesDirectory.of(node.evidence.names));
		this.#changed();
	}

	#nodeGone(name: string, why: string): void {
		this.#nodes.delete(name);
		if (this.#streams.giveUp(name, () => this.#nodes.has(name)) && !this.#stopping) this.#outages.begin(name, why);
	}

	#clockRead(name: string, reading: ClockReading): void {
		this.#clocks.set(name, reading);
		this.#listener.clock?.(name, reading);
		this.#tell({ kind: "clock", node: name, reading });
	}

	#changed(): void {
		if (this.#thread !== null && !this.#stopping) this.#settling.changed();
	}

	/** The world as it is now: for the worker, for the agents, and for the question of which agents to ask. */
	#follow(): void {
		if (this.#stopping || this.#stopped || this.#thread === null) return;
		const cluster = this.#cluster();
		this.#tell({ kind: "world", world: this.#world(cluster) });
		const text = JSON.stringify(cluster);
		if (text !== this.#toldCluster) {
			this.#toldCluster = text;
			this.#streams.write(encode("StreamSightingsRequest", { cluster: clusterMessage(cluster) }));
		}
		for (const node of this.#asked(cluster)) {
			if (this.#streams.has(node.name) || this.#outages.isWaiting(node.name)) continue;
			this.#reopen(node, cluster).catch((cause: unknown) => {
				this.#telling.warn(cause instanceof Error ? cause.message : String(cause));
				this.#outages.retry(node.name);
			});
		}
	}

	async #reopen(node: RemoteNode, cluster: Cluster): Promise<void> {
		await node.link.measure(node.name);
		if (this.#streams.has(node.name) || this.#nodes.get(node.name)?.instance !== node.instance) return;
		const source = this.#order(node);
		this.#tell({ kind: "open", source });
		this.#open(node, source.key, cluster);
	}

	/** Nodes that hold the ends, or that traffic between them may cross. */
	#asked(cluster: Cluster): readonly RemoteNode[] {
		const nodes = [...this.#nodes.values()].map(({ name, evidence }) => ({ name, wiring: evidence.wiring }));
		const planned = planFor(this.#question, { nodes, cluster, names: null }).nodes;
		return planned.flatMap(({ wiring }) => this.#nodes.get(wiring.node) ?? []);
	}

	#stop(): void {
		if (this.#stopping) return;
		this.#stopping = true;
		this.#telling.stop();
		this.#settling.cancel();
		this.#streams.write(encode("StreamSightingsRequest", { finish: true }));
		setTimeout(() => this.#endNow(), FINISH_MS).unref();
		this.#stopWhenAllEnded();
	}

	#stopWhenAllEnded(): void {
		if (this.#stopping && this.#streams.open.length === 0) this.#endNow();
	}

	#endNow(): void {
		if (this.#stopped) return;
		this.#stopped = true;
		for (const { key, node } of this.#streams.open) {
			this.#tell({ kind: "broken", key, why: "no last word came" });
			this.#listener.warning(`${node} gave no final counts`);
		}
		this.#tell({ kind: "stop" });
	}

	#tell(message: ToRemoteWorker): void {
		this.#thread?.tell(message);
	}

	#wirings(): readonly Wiring[] {
		return [...this.#wired.values()];
	}

	get #output(): RemoteWorkerOptions["output"] {
		if (this.#listener.flows !== undefined) return "flows";
		return this.#listener.message === undefined ? "paths" : "messages";
	}

	#world(cluster: Cluster): RemoteWorld {
		const isNamedThere = this.#output === "messages" || (this.#request.write ?? null) !== null;
		const names = isNamedThere ? [...this.#names.values()].map((directory) => directory.names()) : null;
		return { wirings: this.#wirings(), cluster, names };
	}

	#cluster(): Cluster {
		return clusterOf(
			this.#directory,
			[...this.#nodes.values()].flatMap(({ evidence }) => evidence.hostPorts),
		);
	}
}

function patience(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		setTimeout(resolve, ms).unref();
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}
