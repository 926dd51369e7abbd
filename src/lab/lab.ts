import { CLOCKS_APART, type LabAgentsOptions, purposeOf, startAgent } from "./agents.js";
import { build, resolve, restoreServices } from "./build.js";
import { LabError } from "./error.js";
import * as faults from "./faults.js";
import { type Kubelet, kubelet } from "./kubelet.js";
import { type OffloadSetting, setOffloads } from "./offloads.js";
import {
	DEFAULT_LAB,
	type LabOptions,
	type LabPlan,
	labDirectory,
	labName,
	type NodePlan,
	type PodPlan,
	type PortMapping,
	planLab,
	prefix,
	type ServicePlan,
} from "./plan.js";
import { processesInCgroups } from "./runtime/cgroups.js";
import * as docker from "./runtime/docker.js";
import { Space } from "./space.js";
import { claim, type LabPod, type LabState, readState, startTicks, writeState } from "./state.js";
import { checkSurroundings } from "./surroundings.js";
import { endProcesses, labNamespaces, processesIn, type Removed, tearDown } from "./teardown.js";
import * as traffic from "./traffic.js";

/** A pod's namespace. */
export class PodSpace extends Space {
	readonly pod: LabPod;
	constructor(pod: LabPod) {
		super(`${pod.namespace}/${pod.name}`, pod.netns);
		this.pod = pod;
	}
}

/** A node's namespace. */
export class NodeSpace extends Space {
	readonly node: NodePlan;
	constructor(node: NodePlan) {
		super(node.name, node.netns);
		this.node = node;
	}
}

export interface NewPod {
	readonly name: string;
	/** "default" by default. */
	readonly namespace?: string;
	readonly hostPorts?: readonly PortMapping[];
}

/** A flannel cluster out of network namespaces on this machine. */
export class Lab {
	/** Builds a lab. Whatever goes wrong, or on `options.signal`, it leaves nothing behind. Throws LabError. */
	static async up(options: LabOptions = {}): Promise<Lab> {
		const plan = planLab(options);
		const { plugins } = await checkSurroundings(plan);
		const starting = await firstState(plan);
		await claimOrExplain(starting);
		const abort = new AbortController();
		const interrupt = () => abort.abort();
		if (options.signal?.aborted) interrupt();
		options.signal?.addEventListener("abort", interrupt);
		try {
			const progress = options.progress ?? (() => {});
			const pods = kubelet(plan.name, plan.runtime, plugins);
			const built = await build(plan, { kubelet: pods, progress, abort, signal: abort.signal });
			const lab = new Lab({ ...starting, ...built, phase: "up" }, pods);
			if (options.servers) await lab.startServers();
			await lab.save();
			return lab;
		} catch (error) {
			await tearDown(plan.name);
			if (options.signal?.aborted) {
				throw new LabError("lab up", "interrupted; nothing of it is left", { cause: error });
			}
			throw error;
		} finally {
			options.signal?.removeEventListener("abort", interrupt);
		}
	}

	/** Opens a lab that is up, whoever built it. Throws LabError when there is none, or only half of one. */
	static async open(name?: string): Promise<Lab> {
		const checked = labName(name);
		const state = await readState(checked);
		if (state?.phase === "up") {
			const { plugins } = await checkSurroundings(state);
			return new Lab(state, kubelet(checked, state.runtime, plugins));
		}
		if (state === null && (await labNamespaces(checked)).length === 0) {
			throw new LabError("lab", `${checked} is not up`, { remedy: `build it: ${command("up", checked)}` });
		}
		throw await halfThere(checked, state);
	}

	/** Removes a lab, whole or half built; nothing there is nothing to do. Throws LabError when something stays. */
	static async down(name?: string): Promise<Removed> {
		const checked = labName(name);
		const state = await readState(checked);
		if (state?.phase === "starting" && (await isBuilding(state))) throw stillBuilding(state);
		return tearDown(checked);
	}

	#state: LabState;
	readonly #kubelet: Kubelet;
	/** Pods of one lab come and go one after the other: their records are one file. */
	#turn: Promise<unknown> = Promise.resolve();

	private constructor(state: LabState, pods: Kubelet) {
		this.#state = state;
		this.#kubelet = pods;
	}

	get name(): string {
		return this.#state.name;
	}

	/** A snapshot: names, addresses, devices. */
	get state(): LabState {
		return this.#state;
	}

	get nodes(): readonly NodeSpace[] {
		return this.#state.nodes.map((node) => new NodeSpace(node));
	}

	get pods(): readonly PodSpace[] {
		return this.#state.pods.map((pod) => new PodSpace(pod));
	}

	/** The namespace of the switch: everything outside the cluster. */
	get outside(): Space {
		return new Space("outside", this.#state.underlay.netns);
	}

	/** By name: "node-a". Throws LabError when there is none. */
	node(name: string): NodeSpace {
		const node = this.#state.nodes.find((each) => each.name === name);
		if (node !== undefined) return new NodeSpace(node);
		throw unknown(
			"node",
			name,
			this.#state.nodes.map((each) => each.name),
		);
	}

	/** By namespace/name, or by name in `default`. Throws LabError when there is none. */
	pod(name: string): PodSpace {
		const full = name.includes("/") ? name : `default/${name}`;
		const pod = this.#state.pods.find((each) => `${each.namespace}/${each.name}` === full);
		if (pod !== undefined) return new PodSpace(pod);
		throw unknown(
			"pod",
			full,
			this.#state.pods.map((each) => `${each.namespace}/${each.name}`),
		);
	}

	/** "node:node-a", "outside", or a pod. Throws LabError when there is none. */
	space(name: string): Space {
		if (name === "outside") return this.outside;
		return name.startsWith("node:") ? this.node(name.slice("node:".length)) : this.pod(name);
	}

	/** By namespace/name: "default/web". Throws LabError when there is none. */
	service(name: string): ServicePlan {
		const service = this.#state.services.find((each) => each.name === name);
		if (service !== undefined) return service;
		throw unknown(
			"service",
			name,
			this.#state.services.map((each) => each.name),
		);
	}

	/** Makes a pod as a kubelet would, and leads the services to it that name it as a backend. */
	addPod(node: string, pod: NewPod): Promise<PodSpace> {
		return this.#inTurn(async () => {
			const plan: PodPlan = {
				namespace: pod.namespace ?? "default",
				name: pod.name,
				node,
				hostPorts: pod.hostPorts ?? [],
			};
			const made = await this.#kubelet.add(this.node(node).node, plan);
			await this.#podsBecome([...this.#state.pods, made], made);
			return new PodSpace(made);
		});
	}

	/** Deletes a pod as a kubelet would: plugins' DEL, then its namespace; processes inside are ended. */
	deletePod(name: string): Promise<void> {
		return this.#inTurn(async () => {
			const { pod } = this.pod(name);
			await this.#endServers(pod);
			await this.#kubelet.remove(this.node(pod.node).node, pod);
			await this.#podsBecome(
				this.#state.pods.filter((each) => each.netns !== pod.netns),
				pod,
			);
		});
	}

	/** Replaces the services, on all nodes. */
	setServices(services: readonly ServicePlan[]): Promise<void> {
		return this.#inTurn(async () => {
			this.#state = { ...this.#state, services };
			await this.#proxyServices();
			await this.save();
		});
	}

	/** Starts a server inside a namespace ("default/server", "node:node-b", "outside"). */
	serve(where: string, ...listeners: readonly traffic.Listener[]): Promise<traffic.Server> {
		return traffic.serve(this.space(where), listeners);
	}

	/** Sends a TCP stream or UDP datagrams from a namespace. */
	send(from: string, order: traffic.Stream | traffic.Datagram): Promise<traffic.Sent> {
		return traffic.send(this.space(from), order);
	}

	/** Pings from a namespace and gives the number of replies. */
	ping(from: string, address: string, options?: Parameters<typeof traffic.ping>[2]): Promise<number> {
		return traffic.ping(this.space(from), address, options);
	}

	/** One of the four settings of segmentation offloads, on all nodes. */
	setOffloads(setting: OffloadSetting): Promise<void> {
		return setOffloads(this.outside, this.nodes, setting);
	}

	/** Removes `node`'s FDB entries for `peer`: its packets vanish in flannel.1. */
	removeFdb(node: string, peer: string): Promise<void> {
		return faults.removeFdb(this.node(node), this.node(peer).node);
	}

	/** Puts `node`'s FDB entries for `peer` back. */
	restoreFdb(node: string, peer: string): Promise<void> {
		return faults.restoreFdb(this.node(node), this.node(peer).node);
	}

	/** Takes a device of a namespace down, or up again. */
	setLink(where: string, device: string, up: boolean): Promise<void> {
		return faults.setLink(this.space(where), device, up);
	}

	/** bridge-nf-call-iptables and -ip6tables of a node: on is the Kubernetes default. */
	setBridgeNetfilter(node: string, on: boolean): Promise<void> {
		return faults.setBridgeNetfilter(this.node(node), on);
	}

	/** Makes a node's neighbours on cni0 stale, as after an idle spell. */
	staleNeighbours(node: string): Promise<number> {
		return faults.staleNeighbours(this.node(node));
	}

	/** Starts a Docker daemon on a node, beside whatever runs its pods. */
	async startDocker(node: string): Promise<void> {
		const space = this.node(node);
		await checkSurroundings({ runtime: this.#state.runtime, docker: true });
		const containerd = this.#state.processes.find((process) => process.netns === space.netns);
		const daemon = await docker.startDocker(this.name, space, space.node, containerd?.pid ?? null);
		this.#state = { ...this.#state, processes: [...this.#state.processes, daemon] };
		await this.save();
	}

	/** Runs a container on a node's docker0. `options` are those of `docker run`: ["--publish", "8088:80"]. */
	runContainer(node: string, name: string, ...options: readonly string[]): Promise<Space> {
		return docker.runContainer(this.name, this.node(node).node, name, options);
	}

	removeContainer(node: string, name: string): Promise<void> {
		return docker.removeContainer(this.name, this.node(node).node, name);
	}

	/** A `weft agent` in each node, on a socket of its own (agentAddress); those that run are left alone. */
	startAgents({ clocks, attach }: LabAgentsOptions): Promise<void> {
		return this.#inTurn(async () => {
			const running = new Set(await this.#agents());
			const missing = this.nodes.filter(({ node }) => !running.has(node.name));
			const started = await Promise.allSettled(
				missing.map((space) => {
					const at = this.#state.nodes.indexOf(space.node) % CLOCKS_APART.length;
					return startAgent(this.name, space, clocks === "apart" ? (CLOCKS_APART[at] ?? null) : null, attach);
				}),
			);
			const fresh = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
			const replaced = new Set(missing.map(({ node }) => purposeOf(node.name)));
			const kept = this.#state.processes.filter(({ purpose }) => !replaced.has(purpose));
			this.#state = { ...this.#state, processes: [...kept, ...fresh] };
			await this.save();
			for (const one of started) if (one.status === "rejected") throw one.reason;
		});
	}

	/** Ends them; the number of those that ran. */
	stopAgents(): Promise<number> {
		return this.#inTurn(async () => {
			const purposes = new Set(this.#state.nodes.map(({ name }) => purposeOf(name)));
			const agents = this.#state.processes.filter(({ purpose }) => purposes.has(purpose));
			const pids = new Set(agents.map(({ pid }) => pid));
			// A pid may be another's by now: it must be in the node, too.
			const find = async () => (await processesIn(agents.map(({ netns }) => netns))).filter((pid) => pids.has(pid));
			const ended = await endProcesses(find);
			this.#state = {
				...this.#state,
				processes: this.#state.processes.filter(({ purpose }) => !purposes.has(purpose)),
			};
			await this.save();
			return ended;
		});
	}

	/** Removes the lab, this object's own servers included. */
	down(): Promise<Removed> {
		return tearDown(this.name);
	}

	/** Web on 8080 and UDP echo on 5353 in every pod behind a service. They outlive this process. */
	private async startServers(): Promise<void> {
		const backends = new Set(this.#state.services.flatMap((service) => service.backends));
		const processes = await Promise.all(
			[...backends].map(async (name) => {
				const space = this.pod(name);
				const { pid } = await traffic.serve(space, SERVERS, { detached: true });
				return { pid, netns: space.netns, purpose: `web and echo in ${name}` };
			}),
		);
		this.#state = { ...this.#state, processes: [...this.#state.processes, ...processes] };
	}

	private async save(): Promise<void> {
		await writeState(this.#state);
	}

	/** What was started in a pod's namespace by hand would outlive it: a process keeps its namespace. */
	async #endServers(pod: LabPod): Promise<void> {
		const contained = new Set(await processesInCgroups(this.name));
		await endProcesses(async () => (await processesIn([pod.netns])).filter((pid) => !contained.has(pid)));
		const processes = this.#state.processes.filter((process) => process.netns !== pod.netns);
		this.#state = { ...this.#state, processes };
	}

	/** Names of the nodes whose agents run. */
	async #agents(): Promise<readonly string[]> {
		const pids = new Set(await processesIn(this.#state.nodes.map(({ netns }) => netns)));
		const running = new Set(this.#state.processes.filter(({ pid }) => pids.has(pid)).map(({ purpose }) => purpose));
		return this.#state.nodes.map(({ name }) => name).filter((name) => running.has(purposeOf(name)));
	}

	async #podsBecome(pods: readonly LabPod[], changed: LabPod): Promise<void> {
		this.#state = { ...this.#state, pods };
		const backend = `${changed.namespace}/${changed.name}`;
		if (this.#state.services.some((service) => service.backends.includes(backend))) await this.#proxyServices();
		await this.save();
	}

	async #proxyServices(): Promise<void> {
		const services = resolve(this.#state, this.#state.pods);
		await Promise.all(this.#state.nodes.map((node) => restoreServices(node, services)));
	}

	#inTurn<T>(task: () => Promise<T>): Promise<T> {
		const mine = this.#turn.then(task);
		this.#turn = mine.catch(() => {});
		return mine;
	}
}

const SERVERS: readonly traffic.Listener[] = [
	{ protocol: "tcp", port: 8080, as: "web" },
	{ protocol: "udp", port: 5353, as: "echo" },
];

async function firstState(plan: LabPlan): Promise<LabState> {
	return {
		version: 1,
		name: plan.name,
		runtime: plan.runtime,
		phase: "starting",
		builder: { pid: process.pid, startTicks: (await startTicks(process.pid)) ?? 0 },
		underlay: plan.underlay,
		nodes: plan.nodes,
		pods: [],
		services: plan.services,
		processes: [],
	};
}

async function claimOrExplain(starting: LabState): Promise<void> {
	const { name } = starting;
	const leftovers = await labNamespaces(name);
	if (leftovers.length === 0 && (await claim(starting))) return;
	const state = await readState(name);
	if (state?.phase === "up" && leftovers.length > 0) {
		throw new LabError("lab up", `the lab ${name} is already up`, { remedy: `take it down: ${command("down", name)}` });
	}
	throw await halfThere(name, state);
}

/** The error for a lab that is being built, or that somebody left half built. */
async function halfThere(name: string, state: LabState | null): Promise<LabError> {
	if (state !== null && (await isBuilding(state))) return stillBuilding(state);
	return new LabError("lab", `${name} was left half built or half removed (${labDirectory(name)}, ${prefix(name)}…)`, {
		remedy: `tidy it up: ${command("down", name)}`,
	});
}

function stillBuilding(state: LabState): LabError {
	return new LabError("lab", `${state.name} is being built by process ${state.builder.pid}`, {
		remedy: "wait for it, or interrupt it",
	});
}

async function isBuilding(state: LabState): Promise<boolean> {
	const { pid, startTicks: started } = state.builder;
	return state.phase === "starting" && (await startTicks(pid)) === started;
}

function command(verb: string, name: string): string {
	return `weft lab ${verb}${name === DEFAULT_LAB ? "" : ` --name ${name}`}`;
}

function unknown(kind: string, name: string, known: readonly string[]): LabError {
	return new LabError("lab", `no ${kind} ${JSON.stringify(name)}`, {
		remedy: `there are ${known.join(", ") || "none"}`,
	});
}
