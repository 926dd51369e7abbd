import type { NodeTopology } from "../identity/topology.js";
import { roleNumber } from "./hook-message.js";
import type { NodeTopologyMessage } from "./messages.js";

/** A node as WatchTopology tells it. `evidence` is empty where it was not asked for. */
export function topologyMessage(topology: NodeTopology, instance: string, evidence: Uint8Array): NodeTopologyMessage {
	return {
		node: topology.node,
		instance,
		evidence,
		warnings: topology.warnings,
		devices: topology.devices.map((device) => ({
			ifindex: device.ifindex,
			name: device.name,
			kind: device.kind ?? "",
			role: roleNumber(device.role),
			mtu: device.mtu,
			up: device.up,
			operstate: device.operstate,
			master: device.master ?? "",
			addresses: device.addresses,
			peer: device.peer?.ifindex ?? 0,
			vni: device.tunnel?.vni ?? 0,
			port: device.tunnel?.port ?? 0,
		})),
		pods: topology.pods.map((pod) => ({
			namespace: pod.namespace,
			name: pod.name,
			uid: pod.uid ?? "",
			addresses: pod.addresses,
			ifindex: pod.ifindex ?? 0,
			device: pod.device ?? "",
			netns: pod.netns ?? "",
			sources: pod.sources,
			conflict: pod.conflicts.length > 0,
		})),
		remotes: topology.remotes.map(({ name, address, subnets, vtepMac }) => ({
			...{ name, subnets },
			address: address ?? "",
			vtepMac: vtepMac ?? "",
		})),
	};
}
