import { randomBytes } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { announce } from "../../collector/announce.js";
import { type Cluster, clusterOf, lookupOver } from "../../collector/cluster.js";
import { Naming } from "../../collector/naming.js";
import { planFor } from "../../collector/plan.js";
import { askQuestion, type Question } from "../../collector/question.js";
import type { Summary } from "../../collector/report.js";
import type { TraceListener, TraceRequest } from "../../collector/request.js";
import { untilStopped } from "../../collector/until-stopped.js";
import { describeUnknown, isUnknown, resolveEnd } from "../../filter/resolve.js";
import type { FlowRecord } from "../../flow/record.js";
import { nameFlow } from "../../flow/snapshot.js";
import { MergedDirectory } from "../../identity/merged.js";
import { NamesDirectory } from "../../identity/names.js";
import type { Hook, Role } from "../../packet/hook.js";
import type { Wiring } from "../../wiring/model.js";
import { clusterMessage } from "../cluster-message.js";
import type { Protection } from "../credentials.js";
import { roleNumber } from "../hook-message.js";
import { encode } from "../messages.js";
import { AgentLink, type LineBase, lineBaseNow, type RemoteNode } from "./agent-link.js";
import type { ClockReading } from "./clock-estimate.js";
import type { EncodedPaths } from "./path-messages.js";
import type { FromRemoteWorker, RemoteWorkerOptions, RemoteWorld, StreamOrder, ToRemoteWorker } from "./protocol.js";

/** How long agents that do not answer may keep a trace from beginning. */
const SETTLED_MS = 3000;
/** How long agents have for their last words. */
const FINISH_MS = 2000;
/** Changes that come together are told together. */
const SETTLE_MS = 10;
/** Bytes between the socket and the joining thread; then the socket waits. */
const MOST_UNREAD = 16 << 20;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

export interface RemoteRequest
	extends Pick<TraceRequest, "from" | "to" | "filter" | "namespace" | "count" | "durationMs" | "sample" | "everyPath">,
		Partial<Pick<TraceRequest, "write" | "anonymize" | "version">> {
	/** unix:/path or host:port. */
	readonly agents: readonly string[];
	readonly protection: Protection;
	/** Only devices that are one of these are hooked; absent: all that the question needs. */
	readonly roles?: readonly Role[];
}

export interface RemoteListener extends TraceListener {
	/** A path as a TraceResponse, instead of `path`: named and encoded where it was joined. */
	message?(bytes: Buffer): void;
	/** Flows that have changed, each second. */
	flows?(flows: readonly FlowRecord[]): void;
	/** How well a node's clock is known, ns; several times a second. */
	clock?(node: string, reading: ClockReading): void;
	/** Paths so far, and those for which `drained` left no room. */
	unsent?(offered: number, unsent: number): void;
}

/** A trace by agents that could not begin, or broke. The message names the remedy. */
export class RemoteTraceError extends Error {
	override readonly name = "RemoteTraceError";
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

interface Stream {
	readonly key: string;
	readonly node: string;
	readonly call: ClientDuplexStream<Buffer, Buffer>;
	unread: number;
	isOver: boolean;
}

class RemoteTrace {
	readonly #begun = performance.now();
	readonly #request: RemoteRequest;
	readonly #listener: RemoteListener;
	readonly #question: Question;
	readonly #line: LineBase = lineBaseNow();
	readonly #links: AgentLink[] = [];
	readonly #nodes = new Map<string, RemoteNode>();
	/** Also of nodes that are gone: packets are still due there, and their names are asked for. */
	readonly #wired = new Map<string, Wiring>();
	readonly #names = new Map<string, NamesDirectory>();
	readonly #directory = new MergedDirectory(() => [...this.#names.values()]);
	readonly #clocks = new Map<string, ClockReading>();
	readonly #streams = new Map<string, Stream>();
	readonly #byNode = new Map<string, Stream>();
	readonly #retries = new Map<string, { timer: NodeJS.Timeout | null; ms: number }>();
	readonly #gone = new Map<string, number>();
	readonly #hooks = new Map<number, Hook>();
	readonly #warned = new Set<string>();
	#hashSalt: Uint8Array = randomBytes(8);
	#worker: Worker | null = null;
	#naming: Naming | null = null;
	/** While recording: what the recording says at this place. */
	#inForce: { readonly names: readonly NamesDirectory[]; readonly wirings: readonly Wiring[] } | null = null;
	#settling: NodeJS.Timeout | null = null;
	#toldCluster = "";
	#nextKey = 0;
	#paths = 0;
	#statusAt = performance.now();
	#stopping = false;
	#stopped = false;

	constructor(request: RemoteRequest, listener: RemoteListener) {
		this.#request = request;
		this.#listener = listener;
		this.#question = askQuestion(request);
	}

	async run(signal: AbortSignal): Promise<Summary> {
		await this.#connect(signal);
		const cluster = this.#cluster();
		this.#refuseUnknown(cluster);
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
		if (this.#settling !== null) clearTimeout(this.#settling);
		for (const { timer } of this.#retries.values()) if (timer !== null) clearTimeout(timer);
		for (const { call } of this.#streams.values()) call.cancel();
		for (const link of this.#links) link.close();
		if (this.#worker !== null) void this.#worker.terminate();
	}

	/** Until every address has answered or failed, for the first time. */
	async #connect(signal: AbortSignal): Promise<void> {
		const failures: string[] = [];
		const settled = this.#request.agents.map(
			(address) =>
				new Promise<void>((resolve) => {
					const link: AgentLink = new AgentLink(address, this.#request.protection, this.#line, {
						node: (node) => this.#nodeChanged(node),
						gone: (name, why) => this.#nodeGone(name, why),
						settled: (failure) => {
							if (failure !== null) failures.push(failure);
							resolve();
						},
						clock: (name, reading) => this.#clockRead(name, reading),
					});
					this.#links.push(link);
				}),
		);
		await Promise.race([Promise.all(settled), patience(SETTLED_MS, signal)]);
		if (this.#nodes.size === 0) {
			const why = failures[0] ?? `${this.#request.agents.join(" and ")} did not answer`;
			throw new RemoteTraceError(`no agent to ask: ${why}; start one with weft agent --listen ADDR`);
		}
		for (const failure of failures) this.#warn(failure);
	}

	/** Whoever is served already has a key for hashes; then all use that one. */
	async #agreeOnSalt(asked: readonly RemoteNode[]): Promise<void> {
		const statuses = await Promise.all(asked.map(({ link }) => link.channel.getStatus().catch(() => null)));
		const salts = statuses.flatMap((status) => status?.agents ?? []).map(({ hashSalt }) => hashSalt);
		const taken = salts.filter((salt) => salt.length === 8);
		if (taken[0] !== undefined) this.#hashSalt = taken[0];
		if (new Set(taken.map((salt) => Buffer.from(salt).toString("hex"))).size > 1) {
			this.#warn("agents serve others with different keys: UDP and ICMP without an IP ID are joined on one node only");
		}
	}

	#work(asked: readonly RemoteNode[], cluster: Cluster): Promise<Summary> {
		const orders = asked.map((node) => this.#order(node));
		const { everyPath, sample, write = null, anonymize = false, version = "unknown" } = this.#request;
		const options: RemoteWorkerOptions = {
			...{ question: this.#question, everyPath, output: this.#output, sample },
			record: write === null ? null : { file: write, anonymize, weft: version },
			world: this.#world(cluster),
			wallClockBase: this.#line.wallNs,
			sources: orders,
		};
		const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: options });
		this.#worker = worker;
		asked.forEach((node, at) => {
			this.#open(node, (orders[at] as StreamOrder).key, cluster);
		});
		return new Promise((resolve, reject) => {
			worker.on("message", (message: FromRemoteWorker) => {
				try {
					this.#hear(message, resolve, reject);
				} catch (cause) {
					reject(cause);
				}
			});
			worker.once("error", reject);
			worker.once("exit", (code) => reject(new Error(`the joining thread ended with ${code} before it was done`)));
		});
	}

	#order({ name }: RemoteNode): StreamOrder {
		return { key: `${name}#${this.#nextKey++}`, node: name, clock: this.#clocks.get(name) ?? null };
	}

	#open(node: RemoteNode, key: string, cluster: Cluster): void {
		const call = node.link.channel.streamSightings();
		const stream: Stream = { key, node: node.name, call, unread: 0, isOver: false };
		this.#streams.set(key, stream);
		this.#byNode.set(node.name, stream);
		call.on("data", (bytes: Buffer) => this.#bytes(stream, bytes));
		call.on("error", (error: ServiceError) => this.#broken(stream, error.details || error.message));
		call.on("end", () => this.#broken(stream, "the agent ended the stream"));
		const { from, to, filter, namespace, sample, roles = [] } = this.#request;
		call.write(
			encode("StreamSightingsRequest", {
				...{ from: { end: from }, to: { end: to }, filter, namespace, sample },
				hashSalt: this.#hashSalt,
				roles: roles.map(roleNumber),
				nodes: [node.name],
				cluster: clusterMessage(cluster),
			}),
		);
	}

	#bytes(stream: Stream, bytes: Buffer): void {
		if (stream.isOver) return;
		const own = new Uint8Array(bytes);
		stream.unread += own.length;
		this.#worker?.postMessage({ kind: "bytes", key: stream.key, bytes: own } satisfies ToRemoteWorker, [own.buffer]);
		if (stream.unread > MOST_UNREAD) stream.call.pause();
	}

	#broken(stream: Stream, why: string): void {
		if (stream.isOver) return;
		stream.isOver = true;
		this.#streams.delete(stream.key);
		if (this.#byNode.get(stream.node) === stream) this.#byNode.delete(stream.node);
		this.#tell({ kind: "broken", key: stream.key, why });
		if (this.#stopping) {
			this.#stopWhenAllEnded();
			return;
		}
		this.#unwatched(stream.node, why);
		this.#retry(stream.node);
	}

	/** The explicit unknown interval: told when it begins and when it ends. */
	#unwatched(node: string, why: string): void {
		if (this.#gone.has(node) || this.#stopping) return;
		this.#gone.set(node, Date.now());
		this.#listener.warning(`${node} is not watched since ${new Date().toISOString()}: ${why}`);
	}

	#watchedAgain(node: string): void {
		const since = this.#gone.get(node);
		if (since === undefined) return;
		this.#gone.delete(node);
		this.#listener.warning(
			`${node} is watched again since ${new Date().toISOString()}: what it saw for ${((Date.now() - since) / 1000).toFixed(1)} s is not known`,
		);
	}

	#retry(node: string): void {
		const retry = this.#retries.get(node) ?? { timer: null, ms: FIRST_RETRY_MS };
		this.#retries.set(node, retry);
		if (retry.timer !== null) return;
		retry.timer = setTimeout(() => {
			retry.timer = null;
			this.#follow();
		}, retry.ms);
		retry.ms = Math.min(retry.ms * 2, LAST_RETRY_MS);
	}

	#hear(message: FromRemoteWorker, resolve: (summary: Summary) => void, reject: (cause: Error) => void): void {
		switch (message.kind) {
			case "taken": {
				const stream = this.#streams.get(message.key);
				if (stream === undefined) return;
				stream.unread -= message.bytes;
				if (stream.call.isPaused() && stream.unread < MOST_UNREAD / 2) stream.call.resume();
				return;
			}
			case "finished": {
				const stream = this.#streams.get(message.key);
				if (stream !== undefined) stream.isOver = true;
				this.#streams.delete(message.key);
				this.#stopWhenAllEnded();
				return;
			}
			case "hook":
				this.#hookChanged(message.hook, message.added);
				return;
			case "ready":
				this.#ready(message.hooks, message.wallClockBase);
				return;
			case "paths":
				for (const joined of message.paths) {
					if (this.#naming === null || this.#countReached()) break;
					this.#listener.path(this.#naming.path(joined));
					this.#paths++;
					if (this.#countReached()) this.#stop();
				}
				this.#credit(message.paths.length, reject);
				return;
			case "unsent":
				this.#listener.unsent?.(message.offered, message.unsent);
				return;
			case "messages":
				this.#credit(message.ends.length, reject);
				this.#tellMessages(message);
				return;
			case "inForce":
				this.#inForce = { names: message.names.map((each) => NamesDirectory.of(each)), wirings: message.wirings };
				return;
			case "flows":
				this.#listener.flows?.(message.flows.map((flow) => nameFlow(flow, this.#directory)));
				return;
			case "second": {
				const seconds = (performance.now() - this.#statusAt) / 1000;
				this.#statusAt = performance.now();
				this.#listener.status({ type: "status", seconds, ...message.report, fromSeen: null, toSeen: null });
				return;
			}
			case "warning":
				this.#warn(message.line);
				return;
			case "stopped":
				resolve(message.summary);
				return;
			case "failed":
				reject(new RemoteTraceError(message.message));
				return;
		}
	}

	/** A reader that is slow gets no more for now; what finds no room is counted where it is made. */
	#credit(paths: number, reject: (cause: Error) => void): void {
		const waiting = this.#listener.drained ?? null;
		if (waiting === null) this.#tell({ kind: "credit", paths });
		else waiting.then(() => this.#tell({ kind: "credit", paths })).catch(reject);
	}

	#tellMessages({ bytes, ends }: EncodedPaths): void {
		if (this.#naming === null) return;
		const all = Buffer.from(bytes.buffer);
		let start = 0;
		for (const end of ends) {
			this.#listener.message?.(all.subarray(start, end));
			start = end;
		}
	}

	#ready(hooks: readonly Hook[], wallClockBase: bigint): void {
		const knowledge = {
			directory: new MergedDirectory(() => this.#inForce?.names ?? [...this.#names.values()]),
			wirings: () => this.#inForce?.wirings ?? this.#wirings(),
		};
		this.#naming = new Naming(knowledge, wallClockBase, this.#hooks.values());
		const warnings = [...this.#nodes.values()].flatMap(({ evidence }) => evidence.warnings);
		const readyMs = performance.now() - this.#begun;
		const cluster = this.#cluster();
		const ready = {
			question: this.#question,
			text: this.#request,
			cluster,
			wirings: this.#wirings(),
			hooks,
			readyMs,
			warnings,
		};
		this.#listener.ready(announce(ready));
	}

	#countReached(): boolean {
		return this.#request.count !== null && this.#paths >= this.#request.count;
	}

	#hookChanged(hook: Hook, added: boolean): void {
		this.#hooks.set(hook.id, hook);
		this.#naming?.hook(hook);
		if (added) {
			this.#retries.delete(hook.node);
			this.#watchedAgain(hook.node);
		}
		if (this.#naming === null || hook.direction === "egress" || this.#stopping) return;
		const pod = this.#directory.podByDevice(hook.node, hook.ifindex, Date.now());
		this.#listener.hook({
			type: "hook",
			change: added ? "added" : "removed",
			node: hook.node,
			device: hook.device,
			pod: pod === null ? null : `${pod.namespace}/${pod.name}`,
		});
	}

	#nodeChanged(node: RemoteNode): void {
		const known = this.#nodes.get(node.name);
		if (known !== undefined && known.link !== node.link && known.link.nodes.has(node.name)) {
			this.#warn(
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
		const stream = this.#byNode.get(name);
		if (stream === undefined) return;
		// A process that died says so on both connections, in any order; a hung one only here.
		setTimeout(() => {
			if (!stream.isOver && !this.#nodes.has(name)) stream.call.cancel();
		}, 1000).unref();
		this.#unwatched(name, why);
	}

	#clockRead(name: string, reading: ClockReading): void {
		this.#clocks.set(name, reading);
		this.#listener.clock?.(name, reading);
		this.#tell({ kind: "clock", node: name, reading });
	}

	#changed(): void {
		if (this.#worker === null || this.#stopping) return;
		this.#settling ??= setTimeout(() => {
			this.#settling = null;
			this.#follow();
		}, SETTLE_MS);
	}

	/** The world as it is now: for the worker, for the agents, and for the question of which agents to ask. */
	#follow(): void {
		if (this.#stopping || this.#stopped || this.#worker === null) return;
		const cluster = this.#cluster();
		this.#tell({ kind: "world", world: this.#world(cluster) });
		const text = JSON.stringify(cluster);
		if (text !== this.#toldCluster) {
			this.#toldCluster = text;
			const bytes = encode("StreamSightingsRequest", { cluster: clusterMessage(cluster) });
			for (const { call } of this.#streams.values()) call.write(bytes);
		}
		for (const node of this.#asked(cluster)) {
			if (this.#byNode.has(node.name) || (this.#retries.get(node.name)?.timer ?? null) !== null) continue;
			this.#reopen(node, cluster).catch((cause: unknown) => {
				this.#warn(cause instanceof Error ? cause.message : String(cause));
				this.#retry(node.name);
			});
		}
	}

	async #reopen(node: RemoteNode, cluster: Cluster): Promise<void> {
		await node.link.measure(node.name);
		if (this.#byNode.has(node.name) || this.#nodes.get(node.name)?.instance !== node.instance) return;
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
		if (this.#settling !== null) clearTimeout(this.#settling);
		const finish = encode("StreamSightingsRequest", { finish: true });
		for (const { call } of this.#streams.values()) call.write(finish);
		setTimeout(() => this.#endNow(), FINISH_MS).unref();
		this.#stopWhenAllEnded();
	}

	#stopWhenAllEnded(): void {
		if (this.#stopping && this.#streams.size === 0) this.#endNow();
	}

	#endNow(): void {
		if (this.#stopped) return;
		this.#stopped = true;
		for (const { key, node } of this.#streams.values()) {
			this.#tell({ kind: "broken", key, why: "no last word came" });
			this.#listener.warning(`${node} gave no final counts`);
		}
		this.#tell({ kind: "stop" });
	}

	#tell(message: ToRemoteWorker): void {
		this.#worker?.postMessage(message);
	}

	#warn(line: string): void {
		if (this.#warned.has(line)) return;
		this.#warned.add(line);
		this.#listener.warning(line);
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

	#refuseUnknown(cluster: Cluster): void {
		const lookup = lookupOver(cluster);
		const { from, to } = this.#question;
		for (const [end, text] of [
			[from, this.#request.from],
			[to, this.#request.to],
		] as const) {
			if (!isUnknown(end, resolveEnd(end, lookup))) continue;
			const { suggestion } = describeUnknown(end, text, lookup);
			const nodes = [...this.#nodes.keys()].join(" and ");
			throw new RemoteTraceError(`no ${end.kind} ${text} is known on ${nodes}: ${suggestion}`);
		}
	}
}

function patience(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		setTimeout(resolve, ms).unref();
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}
