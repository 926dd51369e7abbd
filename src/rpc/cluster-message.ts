import type { Cluster } from "../collector/cluster.js";
import type { NetnsCookie } from "../packet/hook.js";
import type { ClusterMessage } from "./messages.js";

export function clusterMessage({ pods, services, nodes, hostPorts }: Cluster): ClusterMessage {
	return {
		pods: pods.map(({ namespace, name, node, addresses, netns, ifindex }) => ({
			...{ namespace, name, node, addresses },
			netns: netns ?? "",
			ifindex: ifindex ?? 0,
		})),
		services: services.map(({ name, ip, port, protocol, nodePort, endpoints }) => ({
			...{ name, ip, port, protocol },
			nodePort: nodePort ?? 0,
			backends: endpoints.map((backend) => ({ ip: backend.ip, port: backend.port })),
		})),
		nodes: nodes.map(({ name, address, subnets }) => ({ name, address: address ?? "", subnets })),
		hostPorts: hostPorts.map(({ port, protocol, endpoint }) => ({ port, protocol, backend: endpoint })),
	};
}

export function clusterFrom({ pods, services, nodes, hostPorts }: ClusterMessage): Cluster {
	return {
		pods: pods.map(({ namespace, name, node, addresses, netns, ifindex }) => ({
			...{ namespace, name, node, addresses },
			netns: netns === "" ? null : (netns as NetnsCookie),
			ifindex: ifindex === 0 ? null : ifindex,
		})),
		services: services.flatMap(({ name, ip, port, protocol, nodePort, backends }) =>
			isProtocol(protocol)
				? [{ name, ip, port, protocol, nodePort: nodePort === 0 ? null : nodePort, endpoints: backends }]
				: [],
		),
		nodes: nodes.map(({ name, address, subnets }) => ({ name, address: address === "" ? null : address, subnets })),
		hostPorts: hostPorts.flatMap(({ port, protocol, backend }) =>
			isProtocol(protocol) && backend != null ? [{ port, protocol, endpoint: backend }] : [],
		),
	};
}

function isProtocol(text: string): text is "tcp" | "udp" | "sctp" {
	return text === "tcp" || text === "udp" || text === "sctp";
}
