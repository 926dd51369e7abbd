import type { NetnsCookie } from "../packet/hook.js";
import type { Link, Wiring } from "../wiring/model.js";
import { WiringView } from "../wiring/view.js";
import { Bindings } from "./bindings.js";
import { bounded, type Claim } from "./claim.js";
import { flannelNodes, type SubnetEnv } from "./flannel.js";
import { NO_PORTALS, type Portals } from "./kube-proxy.js";
import { NamesDirectory } from "./names.js";
import type { IdentitySource } from "./owner.js";
import { podAddresses, type Resolution, type ResolvedPod, resolvePods } from "./resolve.js";
import { StaleClaims } from "./stale.js";

/** What the sources of one node say now. */
export interface Evidence {
	readonly wiring: Wiring;
	readonly claims: readonly Claim[];
	/** host-local: address → sandbox. */
	readonly leases: ReadonlyMap<string, string>;
	/** Sandboxes that flannel's plugin set up; absent: not looked. */
	readonly delegates?: ReadonlySet<string>;
	readonly subnetEnv: SubnetEnv | null;
	readonly portals: Portals;
	/** Names of nodes by their underlay addresses. */
	readonly nodeNames: ReadonlyMap<string, string>;
	/** What sources could not read. */
	readonly warnings: readonly string[];
	/** Every source has been asked once; absent: not yet. */
	readonly isWhole?: boolean;
}

/** All but the wiring, as plain data: crosses to another machine, where `NodeDirectory.from` knows the same of the node. */
export interface Testimony extends Pick<Evidence, "claims" | "subnetEnv" | "portals" | "warnings"> {
	readonly leases: readonly (readonly [address: string, sandbox: string])[];
	readonly delegates: readonly string[];
}

const DAEMONS: ReadonlySet<IdentitySource> = new Set(["cri", "docker"]);
const KNOW_PODS: ReadonlySet<IdentitySource> = new Set(["cri", "cni-cache", "docker", "kubernetes"]);

const NOTHING: Omit<Evidence, "wiring" | "nodeNames"> = {
	claims: [],
	leases: new Map(),
	subnetEnv: null,
	portals: NO_PORTALS,
	warnings: [],
};

/** Names on one node, out of evidence that is replaced as a whole whenever something changes. Pure. */
export class NodeDirectory extends NamesDirectory {
	#resolution: Resolution = { pods: [], onHost: [], unexplained: [], stale: [] };
	#portals = NO_PORTALS;
	#warnings: readonly string[] = [];
	readonly #stale = new StaleClaims();
	readonly #bindings = new Bindings();
	#view: WiringView | null = null;
	#evidence: Evidence | null = null;

	/** What another machine's directory knew; `nodeNames`: by underlay address, as its asker knows them. */
	static from(testimony: Testimony, wiring: Wiring, nodeNames: ReadonlyMap<string, string>): NodeDirectory {
		const directory = new NodeDirectory();
		const { leases, delegates } = testimony;
		const evidence = { ...testimony, leases: new Map(leases), delegates: new Set(delegates), wiring, nodeNames };
		directory.update(evidence, Date.now());
		return directory;
	}

	/** What names rest on now, but for the wiring. */
	testimony(): Testimony {
		const { claims, leases, delegates, subnetEnv, portals, warnings } = this.#evidence ?? NOTHING;
		return { claims, subnetEnv, portals, warnings, leases: [...leases], delegates: [...(delegates ?? [])] };
	}

	update(evidence: Evidence, nowMs: number): void {
		const view = this.#view?.wiring === evidence.wiring ? this.#view : new WiringView(evidence.wiring);
		this.#view = view;
		this.#evidence = evidence;
		this.#resolution = resolvePods(view, evidence.claims, evidence.leases, evidence.delegates, this.#bindings);
		this.owners.replace(
			this.#resolution.pods.map((pod) => ({ pod, sinceMs: pod.sinceMs })),
			nowMs,
			new Map(this.#resolution.unexplained.flatMap((veth) => addressesBehind(view, veth))),
		);
		this.#portals = evidence.portals;
		this.tell({
			services: evidence.portals.services,
			nodes: flannelNodes(view, evidence.subnetEnv, evidence.nodeNames),
			local: evidence.wiring.host.addresses.map(({ address }) => address),
		});
		const conflicts = this.#resolution.pods.flatMap((pod) =>
			pod.conflicts.map((conflict) => `${pod.namespace}/${pod.name} (${pod.device}): ${conflict}`),
		);
		this.#warnings = [
			...evidence.warnings,
			...bounded(conflicts),
			...bounded(this.#stale.lines(view, this.#resolution.stale, nowMs)),
			...this.#namelessness(),
		];
	}

	/** Pods are there, and nobody who knows pods is: it may be that we look in the wrong place. */
	#namelessness(): readonly string[] {
		const { pods, unexplained } = this.#resolution;
		const { claims = [], isWhole = false } = this.#evidence ?? {};
		return isWhole && pods.length + unexplained.length > 0 && !claims.some(({ pod }) => pod !== null)
			? [
					"no container runtime answers, and there is no CNI result cache: pods are called by their network namespaces (in a container, --host-root says where the host's files are)",
				]
			: [];
	}

	/**
	 * Host ends of veths of which more will be known soon: whose pod no source has named that knows pods, a runtime or its
	 * files; with `daemons` that answer, also those that none of them has told of with a container that runs.
	 */
	unsettled(daemons: boolean): readonly number[] {
		const settled = ({ sources, containers }: ResolvedPod) =>
			sources.some((source) => (daemons ? DAEMONS : KNOW_PODS).has(source)) &&
			(!daemons || containers.some(({ running }) => running));
		const { pods, unexplained } = this.#resolution;
		return [
			...unexplained.map(({ ifindex }) => ifindex),
			...pods.flatMap((pod) => (settled(pod) || pod.ifindex === null ? [] : [pod.ifindex])),
		];
	}

	/** Pods with their sources, containers and conflicts. */
	resolved(): readonly ResolvedPod[] {
		return this.#resolution.pods;
	}

	get resolution(): Resolution {
		return this.#resolution;
	}

	/** The wiring that names were last matched with; null: none yet. */
	get view(): WiringView | null {
		return this.#view;
	}

	get portals(): Portals {
		return this.#portals;
	}

	/** One line each, bounded. */
	get warnings(): readonly string[] {
		return this.#warnings;
	}
}

function addressesBehind(view: WiringView, veth: Link): readonly (readonly [address: string, netns: NetnsCookie])[] {
	const peer = view.peer(veth);
	if (peer.kind !== "paired") return [];
	const { namespace } = peer.namespace;
	return podAddresses(namespace).map((address) => [address, namespace.cookie]);
}
