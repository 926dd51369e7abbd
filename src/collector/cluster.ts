import { globMatches } from "../filter/pattern.js";
import type { EndHostPort, EndLookup, EndNode, EndPod, EndService } from "../filter/resolve.js";
import type { Directory } from "../identity/owner.js";

/** Who is there, as plain data that crosses to a worker: the part of a Directory that resolving ends needs. */
export interface Cluster {
	readonly pods: readonly EndPod[];
	readonly services: readonly EndService[];
	readonly nodes: readonly EndNode[];
	readonly hostPorts: readonly EndHostPort[];
}

export const NOBODY: Cluster = { pods: [], services: [], nodes: [], hostPorts: [] };

export function clusterOf(directory: Directory, hostPorts: readonly EndHostPort[] = []): Cluster {
	return {
		pods: directory.pods("*/*").map(({ namespace, name, node, addresses, netns, ifindex }) => ({
			namespace,
			name,
			node,
			addresses,
			netns,
			ifindex,
		})),
		services: directory.services("*/*"),
		nodes: directory.nodes().map(({ name, address, subnets }) => ({ name, address, subnets })),
		hostPorts,
	};
}

export function lookupOver(cluster: Cluster): EndLookup {
	return {
		pods: (glob) => cluster.pods.filter((pod) => globMatches(glob, `${pod.namespace}/${pod.name}`)),
		services: (name) => cluster.services.filter((service) => globMatches(name, service.name)),
		nodes: () => cluster.nodes,
		hostPorts: () => cluster.hostPorts,
	};
}

/** What a node knows of itself counts; of others, what the asker knows. */
export function mergeClusters(node: string, own: Cluster, told: Cluster): Cluster {
	const { hostPorts } = own;
	const isOwn = new Set(own.services.map(serviceKey));
	const named = new Set(told.nodes.flatMap(({ name, address }) => [name, address]));
	return {
		hostPorts,
		pods: [...own.pods, ...told.pods.filter((pod) => pod.node !== node)],
		services: [...own.services, ...told.services.filter((service) => !isOwn.has(serviceKey(service)))],
		nodes: [
			...told.nodes,
			...own.nodes.filter(({ name, address }) => !named.has(name) && (address === null || !named.has(address))),
		],
	};
}

function serviceKey({ protocol, ip, port }: Cluster["services"][number]): string {
	return `${protocol} ${ip} ${port}`;
}
