import { LabError } from "./error.js";

/** Both families of one thing's addresses, in text form. */
export interface DualStack {
	readonly ipv4: string;
	readonly ipv6: string;
}

export interface LabOptions {
	/** Prefix of everything the lab makes: labs with different names live side by side. Letters and digits. */
	readonly name?: string | undefined;
	/** 2 to 26: node-a, node-b… */
	readonly nodes?: number | undefined;
	/** Pods per node beyond the named ones: default/extra-a-1… */
	readonly pods?: number | undefined;
	/** What runs the pods; "none" by default. */
	readonly runtime?: RuntimeName | undefined;
	/** Start a Docker daemon on node-a. */
	readonly docker?: boolean | undefined;
	/** Start small web and UDP echo servers behind the services. */
	readonly servers?: boolean | undefined;
	/** Told what is being done, a line at a time. */
	readonly progress?: ((line: string) => void) | undefined;
	/** Interrupts `up`, which then tidies up after itself. */
	readonly signal?: AbortSignal | undefined;
}

/** `none`: namespaces and CNI plugins alone. `containerd`: real sandboxes and containers over CRI. */
export type RuntimeName = "none" | "containerd";

/** A node as it will be built. */
export interface NodePlan {
	readonly name: string;
	readonly netns: string;
	/** Its filesystem, for `--host-root`. */
	readonly root: string;
	/** On the underlay. */
	readonly address: DualStack;
	/** Pod subnets, CIDR. */
	readonly subnet: DualStack;
	/** The subnets' first addresses: what flannel gives its VTEPs. */
	readonly vtep: DualStack;
	/** MACs of flannel.1 and flannel-v6.1. */
	readonly vtepMac: DualStack;
}

/** A port of the node that the portmap plugin leads to the pod. */
export interface PortMapping {
	readonly hostPort: number;
	readonly containerPort: number;
	readonly protocol: "tcp" | "udp";
}

export interface PodPlan {
	readonly namespace: string;
	readonly name: string;
	readonly node: string;
	readonly hostPorts: readonly PortMapping[];
}

export interface ServicePlan {
	/** namespace/name. */
	readonly name: string;
	readonly clusterIp: DualStack;
	readonly protocol: "tcp" | "udp";
	readonly port: number;
	readonly targetPort: number;
	readonly nodePort: number | null;
	/** namespace/name of the pods behind it. */
	readonly backends: readonly string[];
}

export interface LabPlan {
	readonly name: string;
	readonly runtime: RuntimeName;
	readonly docker: boolean;
	readonly underlay: { readonly netns: string; readonly address: DualStack };
	readonly nodes: readonly NodePlan[];
	readonly pods: readonly PodPlan[];
	readonly services: readonly ServicePlan[];
}

export const LAB_ROOT = "/run/weft/lab";

/** The cluster's pod network. */
export const POD_NETWORK: DualStack = { ipv4: "10.244.0.0/16", ipv6: "fd00:10:244::/48" };

/** Decides every name and address of a lab. Pure. Throws LabError on bad options. */
export function planLab(options: LabOptions): LabPlan {
	const name = labName(options.name);
	const count = whole("--nodes", options.nodes ?? 2, 2, 26);
	const extra = whole("--pods", options.pods ?? 0, 0, 240);
	const nodes = Array.from({ length: count }, (_, index) => planNode(name, index));
	return {
		name,
		runtime: options.runtime ?? "none",
		docker: options.docker ?? false,
		underlay: {
			netns: `${prefix(name)}underlay`,
			address: { ipv4: "192.168.66.1", ipv6: "fd00:66::1" },
		},
		nodes,
		pods: [...NAMED_PODS, ...nodes.flatMap((node) => extraPods(node, extra))],
		services: SERVICES,
	};
}

/** What every namespace of the lab begins with. Lab names hold no dash, so no lab's prefix begins another's. */
export function prefix(name: string): string {
	return `weft-${name}-`;
}

/** Directory with the lab's state and its nodes' filesystems. */
export function labDirectory(name: string): string {
	return `${LAB_ROOT}/${name}`;
}

/** Namespace of a pod. */
export function podNetns(lab: string, namespace: string, pod: string): string {
	return `${prefix(lab)}pod-${namespace}-${pod}`;
}

/** The lab that is meant where no name is given. */
export const DEFAULT_LAB = "lab";

/** Checks a lab's name. Throws LabError. */
export function labName(name: string = DEFAULT_LAB): string {
	if (/^[a-z][a-z0-9]{0,23}$/.test(name)) return name;
	throw new LabError("lab", `the name ${JSON.stringify(name)} will not do`, {
		remedy: "use up to 24 lower-case letters and digits, a letter first",
		usage: true,
	});
}

function planNode(lab: string, index: number): NodePlan {
	const number = index + 1;
	const name = `node-${String.fromCharCode("a".charCodeAt(0) + index)}`;
	const hex = number.toString(16).padStart(2, "0");
	return {
		name,
		netns: `${prefix(lab)}${name}`,
		root: `${labDirectory(lab)}/${name}/root`,
		address: { ipv4: `192.168.66.${10 + number}`, ipv6: `fd00:66::${10 + number}` },
		subnet: { ipv4: `10.244.${number}.0/24`, ipv6: `fd00:10:244:${number}::/64` },
		vtep: { ipv4: `10.244.${number}.0`, ipv6: `fd00:10:244:${number}::` },
		vtepMac: { ipv4: `8e:${hex}:00:00:00:${hex}`, ipv6: `8e:${hex}:00:00:06:${hex}` },
	};
}

function extraPods(node: NodePlan, count: number): PodPlan[] {
	return Array.from({ length: count }, (_, index) => ({
		namespace: "default",
		name: `extra-${node.name.slice("node-".length)}-${index + 1}`,
		node: node.name,
		hostPorts: [],
	}));
}

const NAMED_PODS: readonly PodPlan[] = [
	{ namespace: "default", name: "client", node: "node-a", hostPorts: [] },
	{ namespace: "default", name: "neighbor", node: "node-a", hostPorts: [] },
	{
		namespace: "default",
		name: "server",
		node: "node-b",
		hostPorts: [{ hostPort: 18080, containerPort: 8080, protocol: "tcp" }],
	},
	{ namespace: "default", name: "other", node: "node-b", hostPorts: [] },
];

const SERVICES: readonly ServicePlan[] = [
	service("default/web", 11, "tcp", 80, 8080, 30080, ["default/server"]),
	service("default/near", 12, "tcp", 80, 8080, null, ["default/neighbor"]),
	service("default/both", 13, "tcp", 80, 8080, null, ["default/server", "default/other"]),
	service("default/dns", 10, "udp", 53, 5353, null, ["default/server"]),
	service("default/neardns", 14, "udp", 53, 5353, null, ["default/neighbor"]),
];

function service(
	name: string,
	host: number,
	protocol: "tcp" | "udp",
	port: number,
	targetPort: number,
	nodePort: number | null,
	backends: readonly string[],
): ServicePlan {
	const clusterIp = { ipv4: `10.96.0.${host}`, ipv6: `fd00:10:96::${host}` };
	return { name, clusterIp, protocol, port, targetPort, nodePort, backends };
}

function whole(option: string, value: number, least: number, most: number): number {
	if (Number.isInteger(value) && value >= least && value <= most) return value;
	throw new LabError("lab up", `${option} ${value} will not do`, {
		remedy: `give a number from ${least} to ${most}`,
		usage: true,
	});
}
