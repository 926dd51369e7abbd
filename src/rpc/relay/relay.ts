import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { type Cluster, clusterOf } from "../../collector/cluster.js";
import { planFor } from "../../collector/plan.js";
import { askQuestion } from "../../collector/question.js";
import { MergedDirectory } from "../../identity/merged.js";
import { NamesDirectory } from "../../identity/names.js";
import { AgentLink, type LinkListener, lineBaseNow, type RemoteNode } from "../client/agent-link.js";
import type { ClockReading } from "../client/clock-estimate.js";
import { clusterMessage } from "../cluster-message.js";
import { decode, encode } from "../codec.js";
import type { Protection } from "../credentials.js";
import type {
	AgentStatusMessage,
	NodeTopologyMessage,
	ResolvedEndpointMessage,
	StreamSightingsRequest,
} from "../messages.js";
import { type AskedAgents, PathsService } from "../paths-service.js";
import { checkEnd, checkQuestion, checkSample, Refusal, serviceErrorOf } from "../refusal.js";
import type { Conversation, Reply, Responder } from "../server.js";
import { TopologyStream } from "../topology-stream.js";
import { passOn } from "./pass-on.js";
import { RelayedStream } from "./relayed-stream.js";
import { tellWire } from "./wire-stream.js";

export interface RelayOptions {
	readonly protection: Protection;
	/** One line for the operator. */
	readonly log: (line: string) => void;
}

const PATIENCE_MS = 2000;
/** For weft status; clients that join measure for themselves, through here. */
const CLOCK_MS = 30_000;

/**
 * One address for many agents. Sightings pass through as they are: an agent waits for a slow client as it would for one
 * of its own, and counts what that client misses. Paths and flows are joined here. Needs neither root nor addon.
 */
export class Relay implements Responder {
	readonly instance = randomBytes(8).toString("hex");
	readonly #options: RelayOptions;
	readonly #links = new Map<string, AgentLink>();
	readonly #nodes = new Map<string, RemoteNode>();
	readonly #topologies = new Map<string, NodeTopologyMessage>();
	readonly #clocks = new Map<string, ClockReading>();
	readonly #names = new Map<string, NamesDirectory>();
	readonly #directory = new MergedDirectory(() => [...this.#names.values()]);
	readonly #watchers = new Set<TopologyStream>();
	readonly #streams = new Set<RelayedStream>();
	readonly #paths: PathsService;
	/** Who is told when the agents are others. */
	readonly #followers = new Set<(addresses: readonly string[]) => void>();
	readonly #awaited = new Map<string, Promise<void>>();
	readonly #line = lineBaseNow();

	constructor(options: RelayOptions) {
		this.#options = options;
		this.#paths = new PathsService(this.instance, async () => this.#agents());
	}

	get nodes(): ReadonlyMap<string, RemoteNode> {
		return this.#nodes;
	}

	/** These are the agents from now on. */
	follow(addresses: readonly string[]): void {
		const wanted = new Set(addresses);
		for (const [address, link] of this.#links) {
			if (wanted.has(address)) continue;
			this.#links.delete(address);
			this.#awaited.delete(address);
			link.close();
			for (const name of link.nodes.keys()) this.#gone(name, "it was taken off the list");
		}
		for (const address of wanted) if (!this.#links.has(address)) this.#connect(address);
		for (const changed of this.#followers) changed(addresses);
	}

	close(): void {
		for (const stream of this.#streams) stream.end();
		for (const watcher of this.#watchers) watcher.end();
		for (const link of this.#links.values()) link.close();
	}

	trace(call: Reply): void {
		this.#paths.trace(call);
	}

	watchFlows(call: Reply): void {
		this.#paths.watchFlows(call);
	}

	watchLatency(call: Reply): void {
		const { wire, intervalMs } = decode("WatchLatencyRequest", call.request);
		passOn("watchLatency", this.#links.values(), call);
		if (!wire) return;
		tellWire(call, this.#agents(), intervalMs).catch((cause: unknown) => {
			if (!call.destroyed) call.emit("error", serviceErrorOf(cause));
		});
	}

	watchDrops(call: Reply): void {
		const question = decode("WatchDropsRequest", call.request);
		const cluster = question.cluster ?? clusterMessage(this.#cluster());
		passOn("watchDrops", this.#links.values(), call, encode("WatchDropsRequest", { ...question, cluster }));
	}

	watchDevice(call: Reply): void {
		passOn("watchDevice", this.#links.values(), call);
	}

	streamSightings(call: Conversation): void {
		const stream = new RelayedStream(call, this.instance, {
			check: (request) => {
				checkQuestion(request);
				checkSample(request.sample);
				for (const name of request.nodes) {
					if (!this.#nodes.has(name)) throw new Refusal(status.NOT_FOUND, `nodes: ${name} is not connected`);
				}
			},
			asked: (request) => this.#asked(request),
			cluster: () => clusterMessage(this.#cluster()),
			over: () => this.#streams.delete(stream),
		});
		this.#streams.add(stream);
	}

	watchTopology(call: Reply): void {
		const { withEvidence } = decode("WatchTopologyRequest", call.request);
		const watcher = new TopologyStream(call, {
			names: () => this.#topologies.keys(),
			node: (name) => {
				const node = this.#topologies.get(name);
				return node === undefined ? null : shown(node, withEvidence);
			},
		});
		const leave = () => this.#watchers.delete(watcher);
		call.on("cancelled", leave);
		call.on("close", leave);
		this.#settled()
			.then(() => {
				if (!call.destroyed) this.#watchers.add(watcher);
				watcher.begin();
			})
			.catch(() => undefined);
	}

	async resolveEndpoint(bytes: Buffer): Promise<Buffer> {
		const request = decode("ResolveEndpointRequest", bytes);
		checkEnd("end.end", request.end, request.namespace || "default");
		const answers = await Promise.all(
			[...this.#links.values()].map((link) => link.channel.resolveEndpoint(request).catch(() => null)),
		);
		const found = new Map<string, ResolvedEndpointMessage>();
		// A node's own word on its pods counts most.
		const all = answers.flatMap((answer) => answer?.endpoints ?? []);
		for (const endpoint of all.sort((a, b) => Number(a.local) - Number(b.local))) {
			const { namespace, pod, addresses } = endpoint;
			found.set(pod === "" ? addresses.join() : `${namespace}/${pod}`, { ...endpoint, local: false });
		}
		return encode("ResolveEndpointResponse", { endpoints: [...found.values()] });
	}

	async syncClock(bytes: Buffer): Promise<Buffer> {
		const request = decode("SyncClockRequest", bytes);
		const only = this.#nodes.size === 1 ? [...this.#nodes.values()][0] : undefined;
		const node = request.node === "" ? only : this.#nodes.get(request.node);
		if (node === undefined) throw Refusal.field("node", `name one of ${[...this.#nodes.keys()].join(", ")}`);
		return encode("SyncClockResponse", await node.link.channel.syncClock({ ...request, node: node.name }));
	}

	async getStatus(): Promise<Buffer> {
		const answers = await Promise.all(
			[...this.#links.values()].map(async (link) => {
				const answer = await link.channel.getStatus().catch(() => null);
				return answer?.agents.map((agent) => this.#through(agent, link.address)) ?? [];
			}),
		);
		return encode("GetStatusResponse", { agents: answers.flat() });
	}

	/** Each agent has answered or failed once: a snapshot that comes sooner would look whole. */
	async #settled(): Promise<void> {
		const patience = new Promise<void>((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
		await Promise.race([Promise.all([...this.#awaited.values()]), patience]);
	}

	#through(agent: AgentStatusMessage, address: string): AgentStatusMessage {
		const reading = this.#clocks.get(agent.node);
		return {
			...agent,
			address: agent.address === "" ? address : agent.address,
			clockOffsetNs: reading === undefined ? null : Math.round(reading.offsetNs),
			clockErrorNs: reading === undefined ? 0 : Math.max(0, Math.round(reading.errorNs)),
		};
	}

	#connect(address: string): void {
		let settle: () => void = () => undefined;
		const settled = new Promise<void>((resolve) => {
			settle = resolve;
		});
		this.#awaited.set(address, settled);
		const listener: LinkListener = {
			node: (node) => this.#changed(node),
			gone: (name, why) => this.#gone(name, why),
			settled: (failure) => {
				settle();
				if (failure !== null) this.#options.log(failure);
			},
			clock: (name, reading) => {
				this.#clocks.set(name, reading);
			},
			topology: (node) => this.#topologies.set(node.node, node),
		};
		const link = new AgentLink(address, this.#options.protection, this.#line, listener, CLOCK_MS);
		this.#links.set(address, link);
	}

	#changed(node: RemoteNode): void {
		const known = this.#nodes.get(node.name);
		if (known === undefined) this.#options.log(`${node.name} came, at ${node.link.address}`);
		this.#nodes.set(node.name, node);
		this.#names.set(node.name, NamesDirectory.of(node.evidence.names));
		for (const watcher of this.#watchers) watcher.changed(node.name);
		const cluster = clusterMessage(this.#cluster());
		for (const stream of this.#streams) stream.worldChanged(cluster);
	}

	#gone(name: string, why: string): void {
		this.#options.log(`${name} went: ${why}`);
		this.#nodes.delete(name);
		this.#topologies.delete(name);
		for (const watcher of this.#watchers) watcher.changed(name);
	}

	/** For whoever joins here: not through this relay itself, or every sighting would pass it twice. */
	#agents(): AskedAgents {
		return {
			agents: [...this.#links.keys()],
			followAgents: (changed) => {
				this.#followers.add(changed);
				return () => this.#followers.delete(changed);
			},
			protection: this.#options.protection,
		};
	}

	/** Nodes that hold the ends, or that traffic between them may cross; those that are named. */
	#asked(request: StreamSightingsRequest): readonly RemoteNode[] {
		if (request.nodes.length > 0) return request.nodes.flatMap((name) => this.#nodes.get(name) ?? []);
		const nodes = [...this.#nodes.values()].map(({ name, evidence }) => ({ name, wiring: evidence.wiring }));
		const question = askQuestion(checkQuestion(request));
		const planned = planFor(question, { nodes, cluster: this.#cluster(), names: null }).nodes;
		return planned.flatMap(({ wiring }) => this.#nodes.get(wiring.node) ?? []);
	}

	#cluster(): Cluster {
		return clusterOf(
			this.#directory,
			[...this.#nodes.values()].flatMap(({ evidence }) => evidence.hostPorts),
		);
	}
}

function shown(node: NodeTopologyMessage, withEvidence: boolean): NodeTopologyMessage {
	return withEvidence ? node : { ...node, evidence: new Uint8Array(0) };
}
