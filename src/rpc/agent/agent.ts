import { randomBytes } from "node:crypto";
import { release } from "node:os";
import { Worker } from "node:worker_threads";
import { status } from "@grpc/grpc-js";
import { type Cluster, clusterOf, lookupOver, NOBODY } from "../../collector/cluster.js";
import { NodeObserver } from "../../collector/node-observer.js";
import { askQuestion } from "../../collector/question.js";
import type { LedgerStage } from "../../collector/report.js";
import type { NodeSpec } from "../../collector/request.js";
import { parseEnd } from "../../filter/end.js";
import { resolveEnd } from "../../filter/resolve.js";
import { describeNode } from "../../identity/topology.js";
import { addon } from "../../kernel/addon.js";
import { formatWords } from "../../packet/addresses.js";
import { Settling } from "../../wiring/settling.js";
import { WiringView } from "../../wiring/view.js";
import { clusterFrom } from "../cluster-message.js";
import { decode, encode, word64 } from "../codec.js";
import { evidenceBytes } from "../evidence.js";
import { hookMessage, ROLES } from "../hook-message.js";
import type { NodeTopologyMessage, ResolvedEndpointMessage, StreamSightingsRequest } from "../messages.js";
import { type NodeClock, wallNow } from "../node-clock.js";
import { PathsService } from "../paths-service.js";
import { checkEnd, checkQuestion, checkSample, LIMITS, Refusal, serviceErrorOf } from "../refusal.js";
import type { Conversation, Reply, Responder } from "../server.js";
import { stageMessage } from "../stage-message.js";
import { topologyMessage } from "../topology-message.js";
import { TopologyStream } from "../topology-stream.js";
import { DeviceService } from "./device-service.js";
import {
	type FromNodeWorker,
	MOST_SUBSCRIBERS,
	type NodeStatus,
	type NodeWorkerOptions,
	type ToNodeWorker,
} from "./protocol.js";
import { Watches } from "./watches.js";

export interface AgentOptions {
	readonly spec: NodeSpec;
	readonly attach: "tcx" | "clsact" | "auto";
	readonly version: string;
	/** Tests of honest clocks: how far off it is, and how much faster it runs, in millionths. */
	readonly clockOffsetNs?: bigint;
	readonly clockDriftPpm?: number;
	/** The address under which it reaches itself. */
	readonly own: () => Promise<string>;
	/** The tracing thread broke: nothing can be served any more. */
	readonly onFailure: (cause: Error) => void;
}

const SETTLE_MS = 10;
const CLOSE_MS = 2000;

interface Subscriber {
	readonly id: number;
	readonly call: Conversation;
	readonly question: string;
}

/** Serves one node. Idle it hooks nothing. */
export class Agent implements Responder {
	readonly instance = randomBytes(8).toString("hex");
	readonly #offeredSalt = randomBytes(8);
	readonly #options: AgentOptions;
	readonly #observer: NodeObserver;
	readonly #clock: NodeClock;
	readonly #worker: Worker;
	readonly #paths: PathsService;
	readonly #watches: Watches;
	readonly #devices: DeviceService;
	readonly #subscribers = new Map<number, Subscriber>();
	readonly #watchers = new Set<TopologyStream>();
	readonly #tickets = new Map<number, (status: NodeStatus) => void>();
	#nextId = 1;
	readonly #settling = new Settling(SETTLE_MS, () => this.#tellWorld());
	#closing = false;

	/** @throws KernelError when the node cannot be seen */
	constructor(options: AgentOptions) {
		this.#options = options;
		const { spec, attach, clockOffsetNs = 0n, clockDriftPpm = 0 } = options;
		const { monotonicNs, realtimeNs } = addon().clocks();
		this.#clock = { monotonicNs, wallNs: realtimeNs + clockOffsetNs, driftPpm: clockDriftPpm };
		this.#observer = new NodeObserver(spec, new Map(), () => this.#changed());
		const { wiring } = this.#observer;
		const instance = this.instance;
		const worker: NodeWorkerOptions = {
			...{ node: spec.name, instance, attach, wiring },
			clock: this.#clock,
			cluster: this.#cluster(),
		};
		this.#worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: worker });
		this.#worker.on("message", (message: FromNodeWorker) => this.#hear(message));
		this.#worker.on("error", (cause: Error) => options.onFailure(cause));
		this.#paths = new PathsService(instance, async () => ({
			agents: [await options.own()],
			protection: { tls: null, insecure: false },
		}));
		this.#devices = new DeviceService(instance, spec, attach);
		this.#watches = new Watches(instance, spec, attach);
	}

	get node(): string {
		return this.#options.spec.name;
	}

	async ready(): Promise<void> {
		await this.#observer.ready;
	}

	async close(): Promise<void> {
		this.#closing = true;
		this.#settling.cancel();
		for (const { call } of this.#subscribers.values()) call.end();
		for (const watcher of this.#watchers) watcher.end();
		const watches = Promise.all([this.#watches.close(), this.#devices.close()]);
		this.#observer.close();
		this.#tell({ kind: "close" });
		const exited = new Promise((resolve) => this.#worker.once("exit", resolve));
		const closed = Promise.all([exited, watches]);
		await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())]);
		await this.#worker.terminate();
	}

	trace(call: Reply): void {
		this.#paths.trace(call);
	}

	watchFlows(call: Reply): void {
		this.#paths.watchFlows(call);
	}

	watchLatency(call: Reply): void {
		this.#watches.latency(call);
	}

	watchDrops(call: Reply): void {
		this.#watches.drops(call);
	}

	watchDevice(call: Reply): void {
		this.#devices.watch(call, this.#observer.wiring);
	}

	streamSightings(call: Conversation): void {
		const id = this.#nextId++;
		let begun = false;
		call.on("data", (bytes: Buffer) => {
			try {
				const request = decode("StreamSightingsRequest", bytes);
				if (begun) this.#follow(id, request);
				else this.#subscribe(id, call, request);
				begun = true;
			} catch (cause) {
				this.#leave(id);
				call.emit("error", serviceErrorOf(cause));
			}
		});
		call.on("cancelled", () => this.#leave(id));
		call.on("close", () => this.#leave(id));
	}

	watchTopology(call: Reply): void {
		const { withEvidence } = decode("WatchTopologyRequest", call.request);
		const watcher = new TopologyStream(call, { names: () => [this.node], node: () => this.#topology(withEvidence) });
		this.#watchers.add(watcher);
		const leave = () => this.#watchers.delete(watcher);
		call.on("cancelled", leave);
		call.on("close", leave);
		this.#observer.ready.then(
			() => watcher.begin(),
			() => watcher.begin(),
		);
	}

	async resolveEndpoint(bytes: Buffer): Promise<Buffer> {
		const request = decode("ResolveEndpointRequest", bytes);
		const namespace = request.namespace || "default";
		const end = checkEnd("end.end", request.end, namespace);
		const { pods } = this.#cluster();
		const resolved = resolveEnd(parseEnd(end, { namespace }), lookupOver(this.#cluster()));
		const named = new Set(resolved.names);
		const known: ResolvedEndpointMessage[] = pods
			.filter((pod) => resolved.kind === "pod" && named.has(`${pod.namespace}/${pod.name}`))
			.map(({ namespace, name, node, addresses }) => ({
				...{ namespace, node, addresses },
				pod: name,
				local: node === this.node,
				sources: [],
			}));
		const others = [
			...resolved.prefixes.map(({ words }) => words),
			...resolved.endpoints.map(({ address }) => address),
		];
		if (known.length === 0 && others.length > 0) {
			const addresses = others.map((words) => formatWords(...words));
			known.push({ namespace: "", pod: "", node: "", addresses, local: false, sources: [] });
		}
		return encode("ResolveEndpointResponse", { endpoints: known });
	}

	async syncClock(bytes: Buffer): Promise<Buffer> {
		const receivedNs = word64(wallNow(this.#clock));
		const { clientTimeNs, node } = decode("SyncClockRequest", bytes);
		if (node !== "" && node !== this.node) throw Refusal.field("node", `this is ${this.node}`);
		const sentNs = word64(wallNow(this.#clock));
		return encode("SyncClockResponse", {
			...{ node: this.node, instance: this.instance, clientTimeNs, receivedNs, sentNs },
		});
	}

	/** What became of every sighting, stage by stage. */
	async ledger(): Promise<readonly LedgerStage[]> {
		return (await this.#workerStatus()).ledger;
	}

	async getStatus(): Promise<Buffer> {
		const worker = await this.#workerStatus();
		const counts = new Map(worker.subscribers.map((one) => [one.id, one]));
		return encode("GetStatusResponse", {
			agents: [
				{
					...{ node: this.node, instance: this.instance, version: this.#options.version, kernel: release() },
					attach: worker.attach ?? (this.#options.attach === "clsact" ? "clsact" : "tcx"),
					startedNs: word64(this.#clock.wallNs),
					hooks: worker.hooks.map(hookMessage),
					subscribers: [...this.#subscribers.values()].map(({ id, question }) => ({
						...{ id, question, method: "StreamSightings" },
						delivered: counts.get(id)?.delivered ?? 0,
						lost: counts.get(id)?.lost ?? 0,
					})),
					ledger: worker.ledger.map(stageMessage),
					residentBytes: process.memoryUsage.rss(),
					warnings: this.#observer.warnings,
					hashSalt: worker.hashSalt === null ? new Uint8Array(0) : saltBytes(worker.hashSalt),
					offeredHashSalt: this.#offeredSalt,
					address: "",
					clockErrorNs: 0,
				},
			],
		});
	}

	#subscribe(id: number, call: Conversation, request: StreamSightingsRequest): void {
		const question = checkQuestion(request);
		const sample = checkSample(request.sample);
		const roles = request.roles.flatMap((role) => ROLES[role - 1] ?? []);
		if (request.hashSalt.length !== 0 && request.hashSalt.length !== 8) {
			throw Refusal.field("hash_salt", `${request.hashSalt.length} bytes, not 8`);
		}
		if (this.#subscribers.size >= MOST_SUBSCRIBERS) {
			throw new Refusal(status.RESOURCE_EXHAUSTED, `${MOST_SUBSCRIBERS} subscribers are served already`);
		}
		const { from, to, filter } = question;
		this.#subscribers.set(id, { id, call, question: [from, to, filter].join(" ").trim() });
		const order = { id, question: askQuestion(question), cluster: clusterOfRequest(request), sample, roles };
		const hashSalt = request.hashSalt.length === 8 ? saltOf(request.hashSalt) : null;
		this.#tell({ kind: "subscribe", order: { ...order, hashSalt } });
	}

	#follow(id: number, request: StreamSightingsRequest): void {
		if (request.cluster !== null) this.#tell({ kind: "inform", id, cluster: clusterOfRequest(request) });
		if (request.finish) this.#tell({ kind: "finish", id });
	}

	#leave(id: number): void {
		if (this.#subscribers.delete(id)) this.#tell({ kind: "cancel", id });
	}

	#hear(message: FromNodeWorker): void {
		switch (message.kind) {
			case "message":
				this.#write(message.id, message.bytes);
				return;
			case "ended": {
				const subscriber = this.#subscribers.get(message.id);
				this.#subscribers.delete(message.id);
				if (subscriber === undefined) return;
				if (message.failure === null) subscriber.call.end();
				else subscriber.call.emit("error", serviceErrorOf(new Error(message.failure)));
				return;
			}
			case "status":
				this.#tickets.get(message.ticket)?.(message.status);
				this.#tickets.delete(message.ticket);
				return;
			case "closed":
				return;
		}
	}

	/** The worker bounds what waits: it hears when bytes have left. */
	#write(id: number, bytes: Uint8Array<ArrayBuffer>): void {
		const { length } = bytes;
		const call = this.#subscribers.get(id)?.call;
		if (call === undefined) return;
		call.write(Buffer.from(bytes.buffer, bytes.byteOffset, length), () =>
			this.#tell({ kind: "written", id, bytes: length }),
		);
	}

	#workerStatus(): Promise<NodeStatus> {
		const ticket = this.#nextId++;
		return new Promise((resolve) => {
			this.#tickets.set(ticket, resolve);
			this.#tell({ kind: "status", ticket });
		});
	}

	#changed(): void {
		if (!this.#closing) this.#settling.changed();
	}

	#tellWorld(): void {
		this.#tell({ kind: "world", wiring: this.#observer.wiring, cluster: this.#cluster() });
		for (const watcher of this.#watchers) watcher.changed(this.node);
	}

	#topology(withEvidence: boolean): NodeTopologyMessage {
		const { wiring, directory, warnings } = this.#observer;
		const evidence = withEvidence
			? evidenceBytes({
					...{ wiring, warnings, hostPorts: directory.portals.hostPorts },
					...{ names: directory.names(), testimony: directory.testimony() },
				})
			: new Uint8Array(0);
		return topologyMessage(describeNode(directory.view ?? new WiringView(wiring), directory), this.instance, evidence);
	}

	#cluster(): Cluster {
		const { directory } = this.#observer;
		return clusterOf(directory, directory.portals.hostPorts);
	}

	#tell(message: ToNodeWorker): void {
		this.#worker.postMessage(message);
	}
}

function clusterOfRequest({ cluster }: StreamSightingsRequest): Cluster {
	if (cluster === null) return NOBODY;
	if (cluster.pods.length > LIMITS.pods) {
		throw Refusal.field("cluster.pods", `${cluster.pods.length} pods, at most ${LIMITS.pods} are taken`);
	}
	return clusterFrom(cluster);
}

function saltBytes(salt: bigint): Uint8Array {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(salt);
	return bytes;
}

function saltOf(bytes: Uint8Array): bigint {
	return Buffer.from(bytes).readBigUInt64LE();
}
