import type { Role } from "../packet/hook.js";
import type { Link } from "../wiring/model.js";
import type { WiringView } from "../wiring/view.js";
import type { Container } from "./claim.js";
import type { NodeDirectory } from "./directory.js";
import type { IdentitySource } from "./owner.js";

/** A node with every device, pod and neighbour that can be told, and how each is known. As JSON shows it. */
export interface NodeTopology {
	readonly type: "topology";
	readonly node: string;
	/** On the underlay. */
	readonly address: string | null;
	/** Pod subnets, CIDR. */
	readonly subnets: readonly string[];
	readonly devices: readonly Device[];
	readonly pods: readonly PodAttachment[];
	readonly remotes: readonly RemoteNode[];
	/** What sources could not read, and where they contradict each other. */
	readonly warnings: readonly string[];
}

export interface Device {
	readonly ifindex: number;
	readonly name: string;
	/** IFLA_INFO_KIND; null for NICs. */
	readonly kind: string | null;
	readonly role: Role;
	readonly mtu: number;
	readonly up: boolean;
	readonly operstate: string;
	/** The bridge it is a port of; null: none. */
	readonly master: string | null;
	/** With prefix: 10.244.1.1/24. */
	readonly addresses: readonly string[];
	/** A veth's other end. */
	readonly peer: PeerEnd | null;
	readonly tunnel: Tunnel | null;
	/** Why nobody can say what it is for; null: it is explained. */
	readonly unexplained: string | null;
}

export interface PeerEnd {
	/** In its own namespace; null where that cannot be seen. */
	readonly device: string | null;
	readonly ifindex: number;
	/** Cookie of its namespace; null: not seen. */
	readonly netns: string | null;
	/** A path that opens it. */
	readonly path: string | null;
	/** Both ends point at each other. */
	readonly paired: boolean;
}

export interface Tunnel {
	readonly vni: number;
	/** UDP destination port. */
	readonly port: number;
	readonly local: string | null;
	/** The device it sends through. */
	readonly underlay: string | null;
}

export interface PodAttachment {
	readonly namespace: string;
	readonly name: string;
	readonly uid: string | null;
	readonly addresses: readonly string[];
	/** Host end of its veth; null: it is in the node's own network, or that cannot be seen. */
	readonly ifindex: number | null;
	readonly device: string | null;
	/** Cookie of its network namespace. */
	readonly netns: string | null;
	readonly sandbox: string | null;
	readonly containers: readonly Container[];
	/** Where the mapping comes from, most trusted first. */
	readonly sources: readonly IdentitySource[];
	/** Where sources disagree; empty: they agree. */
	readonly conflicts: readonly string[];
}

export interface RemoteNode {
	readonly name: string;
	/** On the underlay: its VTEP. */
	readonly address: string | null;
	readonly subnets: readonly string[];
	readonly vtepMac: string | null;
}

/**
 * Puts together what is known of one node now; `view`: the wiring that the directory has. Pure; equal inputs give equal
 * results, counters are left out.
 */
export function describeNode(view: WiringView, directory: NodeDirectory): NodeTopology {
	const { node, host } = view.wiring;
	const own = directory.nodes().find(({ name }) => name === node);
	const unexplained = new Set(directory.resolution.unexplained.map((link) => link.ifindex));
	return {
		type: "topology",
		node,
		address: own?.address ?? null,
		subnets: own?.subnets ?? [],
		devices: host.links.map((link) => device(view, link, unexplained.has(link.ifindex))),
		pods: [...directory.resolved(), ...directory.resolution.onHost].map((pod) => ({
			namespace: pod.namespace,
			name: pod.name,
			uid: pod.uid,
			addresses: pod.addresses,
			ifindex: pod.ifindex,
			device: pod.device,
			netns: pod.netns,
			sandbox: pod.sandbox,
			containers: pod.containers,
			sources: pod.sources,
			conflicts: pod.conflicts,
		})),
		remotes: directory
			.nodes()
			.filter(({ name }) => name !== node)
			.map(({ name, address, subnets, vtepMac }) => ({ name, address, subnets, vtepMac })),
		warnings: directory.warnings,
	};
}

/**
 * A node that tells of itself alone knows others by their addresses, those of each family apart: here each gets the name
 * that it goes by itself, once. Pure.
 */
export function nameRemotes(topologies: readonly NodeTopology[]): readonly NodeTopology[] {
	const names = new Map(
		topologies.flatMap(({ node, devices }) =>
			devices
				.filter(({ role }) => role === "nic")
				.flatMap(({ addresses }) => addresses.map((address) => [address.split("/")[0], node] as const)),
		),
	);
	return topologies.map((topology) => {
		const remotes = new Map<string, RemoteNode>();
		for (const remote of topology.remotes) {
			const name = names.get(remote.address ?? undefined) ?? remote.name;
			const known = remotes.get(name);
			const subnets = [...(known?.subnets ?? []), ...remote.subnets];
			remotes.set(name, { ...(known ?? remote), name, subnets });
		}
		return { ...topology, remotes: [...remotes.values()] };
	});
}

function device(view: WiringView, link: Link, nameless: boolean): Device {
	const { host } = view;
	return {
		ifindex: link.ifindex,
		name: link.name,
		kind: link.kind,
		role: view.role(link.ifindex),
		mtu: link.mtu,
		up: link.up,
		operstate: link.operstate,
		master: host.link(link.master)?.name ?? null,
		addresses: host.namespace.addresses
			.filter(({ ifindex }) => ifindex === link.ifindex)
			.map(({ address, prefix }) => `${address}/${prefix}`),
		peer: peerEnd(view, link),
		tunnel:
			link.vxlan === null
				? null
				: {
						vni: link.vxlan.vni,
						port: link.vxlan.port,
						local: link.vxlan.local,
						underlay: host.link(link.vxlan.underlay)?.name ?? null,
					},
		unexplained: nameless ? whyNameless(view, link) : null,
	};
}

function peerEnd(view: WiringView, link: Link): PeerEnd | null {
	if (link.kind !== "veth" || link.peer === null) return null;
	const peer = view.peer(link);
	if (peer.kind !== "paired") {
		return { device: null, ifindex: link.peer, netns: null, path: null, paired: false };
	}
	const { cookie, path } = peer.namespace.namespace;
	return { device: peer.link.name, ifindex: peer.link.ifindex, netns: cookie, path, paired: true };
}

function whyNameless(view: WiringView, link: Link): string {
	const peer = view.peer(link);
	if (peer.kind === "ambiguous") return `its other end cannot be told: ${peer.reason}`;
	const namespace = peer.kind === "paired" ? peer.namespace.namespace.path : "none";
	return `no source names the namespace that it leads to (${namespace})`;
}
