import type { NetnsCookie } from "../packet/hook.js";

/** Where a mapping comes from, in order of trust. */
export type IdentitySource =
	| "cri"
	| "cni-cache"
	| "docker"
	| "host-local"
	| "cgroup"
	| "kubernetes"
	| "netns-name"
	| "flannel"
	| "kube-proxy";

/** A pod sandbox: who holds a network namespace. */
export interface Pod {
	readonly namespace: string;
	readonly name: string;
	readonly uid: string | null;
	readonly node: string;
	readonly addresses: readonly string[];
	readonly sandbox: string | null;
	readonly netns: NetnsCookie | null;
	/** Host end of its veth, in the node's namespace. */
	readonly ifindex: number | null;
	readonly device: string | null;
	readonly sources: readonly IdentitySource[];
}

/** Who held an address or a namespace, during which interval (wall clock, ns since 1970 as a double is too coarse for order: ms). */
export interface Owner {
	readonly pod: Pod;
	readonly fromMs: number;
	/** null: still. */
	readonly untilMs: number | null;
	/** Somebody without a name has had one of its addresses since. */
	readonly hasSuccessor?: true;
}

export interface Service {
	/** namespace/name. */
	readonly name: string;
	readonly ip: string;
	readonly port: number;
	readonly protocol: "tcp" | "udp" | "sctp";
	readonly portName: string | null;
	readonly nodePort: number | null;
	readonly endpoints: readonly { readonly ip: string; readonly port: number }[];
}

export interface Node {
	readonly name: string;
	/** Underlay address. */
	readonly address: string | null;
	/** Pod subnets, CIDR. */
	readonly subnets: readonly string[];
	readonly vtepMac: string | null;
	readonly sources: readonly IdentitySource[];
}

/** Names for addresses, as of a time. Implemented by identity/; nothing above it knows how names are found. */
export interface Directory {
	podByAddress(address: string, atMs: number): Pod | null;
	podByNetns(netns: NetnsCookie, atMs: number): Pod | null;
	podByDevice(node: string, ifindex: number, atMs: number): Pod | null;
	/** Pods whose namespace/name matches a glob, now. */
	pods(glob: string): readonly Pod[];
	service(ip: string, port: number, protocol: string): Service | null;
	services(name: string): readonly Service[];
	nodeByAddress(address: string): Node | null;
	nodes(): readonly Node[];
}
