import { globMatches } from "../filter/pattern.js";
import type { NetnsCookie } from "../packet/hook.js";
import type { Wiring } from "../wiring/model.js";
import { contains } from "../wiring/namespace.js";
import { WiringView } from "../wiring/view.js";
import { bounded, type Claim } from "./claim.js";
import { type FlannelNode, flannelNodes, type SubnetEnv } from "./flannel.js";
import { NO_PORTALS, type Portals } from "./kube-proxy.js";
import type { Directory, IdentitySource, Node, Pod, Service } from "./owner.js";
import { Owners } from "./owners.js";
import { type Resolution, type ResolvedPod, resolvePods } from "./resolve.js";

/** What the sources of one node say now. */
export interface Evidence {
	readonly wiring: Wiring;
	readonly claims: readonly Claim[];
	/** host-local: address → sandbox. */
	readonly leases: ReadonlyMap<string, string>;
	readonly subnetEnv: SubnetEnv | null;
	readonly portals: Portals;
	/** Names of nodes by their underlay addresses. */
	readonly nodeNames: ReadonlyMap<string, string>;
	/** What sources could not read. */
	readonly warnings: readonly string[];
}

const KNOW_PODS: ReadonlySet<IdentitySource> = new Set(["cri", "cni-cache", "docker", "kubernetes"]);

/** Names on one node, out of evidence that is replaced as a whole whenever something changes. Pure. */
export class NodeDirectory implements Directory {
	readonly #owners = new Owners();
	#resolution: Resolution = { pods: [], unexplained: [], stale: [] };
	#nodes: readonly FlannelNode[] = [];
	#portals = NO_PORTALS;
	#warnings: readonly string[] = [];
	#services = new Map<string, Service>();
	#local: readonly string[] = [];

	update(evidence: Evidence, nowMs: number): void {
		const view = new WiringView(evidence.wiring);
		this.#resolution = resolvePods(view, evidence.claims, evidence.leases);
		this.#owners.replace(
			this.#resolution.pods.map((pod) => ({ pod, sinceMs: pod.sinceMs })),
			nowMs,
		);
		this.#nodes = flannelNodes(view, evidence.subnetEnv, evidence.nodeNames);
		this.#portals = evidence.portals;
		this.#services = new Map(evidence.portals.services.map((one) => [`${one.protocol} ${one.ip} ${one.port}`, one]));
		this.#local = evidence.wiring.host.addresses.map(({ address }) => address);
		const conflicts = this.#resolution.pods.flatMap((pod) =>
			pod.conflicts.map((conflict) => `${pod.namespace}/${pod.name} (${pod.device}): ${conflict}`),
		);
		this.#warnings = [...evidence.warnings, ...bounded(conflicts)];
	}

	podByAddress(address: string, atMs: number): Pod | null {
		return this.#owners.byAddress(address, atMs);
	}

	podByNetns(netns: NetnsCookie, atMs: number): Pod | null {
		return this.#owners.byNetns(netns, atMs);
	}

	podByDevice(node: string, ifindex: number, atMs: number): Pod | null {
		return this.#owners.byDevice(node, ifindex, atMs);
	}

	pods(glob: string): readonly Pod[] {
		return this.#owners.current().filter(({ namespace, name }) => globMatches(glob, `${namespace}/${name}`));
	}

	/** By its own address, or by a port that the node publishes for it. */
	service(ip: string, port: number, protocol: string): Service | null {
		const own = this.#services.get(`${protocol} ${ip} ${port}`);
		if (own !== undefined) return own;
		if (!this.#local.includes(ip)) return null;
		return this.#portals.services.find((one) => one.nodePort === port && one.protocol === protocol) ?? null;
	}

	services(name: string): readonly Service[] {
		return this.#portals.services.filter((service) => globMatches(name, service.name));
	}

	/** By an underlay address, else by the pod subnet that the address is in. */
	nodeByAddress(address: string): Node | null {
		return (
			this.#nodes.find((node) => node.addresses.includes(address)) ??
			this.#nodes.find((node) => node.subnets.some((subnet) => contains(subnet, address))) ??
			null
		);
	}

	nodes(): readonly FlannelNode[] {
		return this.#nodes;
	}

	/** Host ends of veths whose pod no source has named that knows pods: a runtime or its files. */
	nameless(): readonly number[] {
		const named = (pod: ResolvedPod) => pod.sources.some((source) => KNOW_PODS.has(source));
		const { pods, unexplained } = this.#resolution;
		return [
			...unexplained.map(({ ifindex }) => ifindex),
			...pods.flatMap((pod) => (named(pod) || pod.ifindex === null ? [] : [pod.ifindex])),
		];
	}

	/** Pods with their sources, containers and conflicts. */
	resolved(): readonly ResolvedPod[] {
		return this.#resolution.pods;
	}

	get resolution(): Resolution {
		return this.#resolution;
	}

	get portals(): Portals {
		return this.#portals;
	}

	/** One line each, bounded. */
	get warnings(): readonly string[] {
		return this.#warnings;
	}
}
