import type { IdentitySource } from "../identity/owner.js";
import type { Device, NodeTopology, PodAttachment } from "../identity/topology.js";
import { ROLES, roleNumber } from "./hook-message.js";
import type { DeviceMessage, NodeTopologyMessage, PodAttachmentMessage } from "./messages.js";

/** A node as WatchTopology tells it. `evidence` is empty where it was not asked for. */
export function topologyMessage(topology: NodeTopology, instance: string, evidence: Uint8Array): NodeTopologyMessage {
	const { node, address, subnets, devices, pods, remotes, warnings } = topology;
	return {
		...{ node, instance, evidence, subnets, warnings },
		address: address ?? "",
		devices: devices.map(deviceMessage),
		pods: pods.map(podMessage),
		remotes: remotes.map(({ name, address, subnets, vtepMac }) => ({
			...{ name, subnets },
			address: address ?? "",
			vtepMac: vtepMac ?? "",
		})),
	};
}

/** The node that was told: what the message leaves empty is not known. */
export function topologyOf(message: NodeTopologyMessage): NodeTopology {
	const { node, address, subnets, devices, pods, remotes, warnings } = message;
	return {
		type: "topology",
		node,
		address: known(address),
		subnets,
		devices: devices.map(deviceOf),
		pods: pods.map(podOf),
		remotes: remotes.map(({ name, address, subnets, vtepMac }) => ({
			name,
			address: known(address),
			subnets,
			vtepMac: known(vtepMac),
		})),
		warnings,
	};
}

function deviceMessage(device: Device): DeviceMessage {
	const { peer, tunnel } = device;
	return {
		ifindex: device.ifindex,
		name: device.name,
		kind: device.kind ?? "",
		role: roleNumber(device.role),
		mtu: device.mtu,
		up: device.up,
		operstate: device.operstate,
		master: device.master ?? "",
		addresses: device.addresses,
		peer: peer?.ifindex ?? 0,
		vni: tunnel?.vni ?? 0,
		port: tunnel?.port ?? 0,
		peerEnd:
			peer === null ? null : { ...peer, device: peer.device ?? "", netns: peer.netns ?? "", path: peer.path ?? "" },
		tunnel: tunnel === null ? null : { ...tunnel, local: tunnel.local ?? "", underlay: tunnel.underlay ?? "" },
		unexplained: device.unexplained ?? "",
	};
}

function deviceOf(message: DeviceMessage): Device {
	const { ifindex, name, mtu, up, operstate, addresses, peerEnd, tunnel } = message;
	return {
		ifindex,
		name,
		kind: known(message.kind),
		role: ROLES[message.role - 1] ?? "host",
		mtu,
		up,
		operstate,
		master: known(message.master),
		addresses,
		peer:
			peerEnd == null
				? null
				: {
						device: known(peerEnd.device),
						ifindex: peerEnd.ifindex,
						netns: known(peerEnd.netns),
						path: known(peerEnd.path),
						paired: peerEnd.paired,
					},
		tunnel:
			tunnel == null
				? null
				: { vni: tunnel.vni, port: tunnel.port, local: known(tunnel.local), underlay: known(tunnel.underlay) },
		unexplained: known(message.unexplained),
	};
}

function podMessage(pod: PodAttachment): PodAttachmentMessage {
	return {
		namespace: pod.namespace,
		name: pod.name,
		uid: pod.uid ?? "",
		addresses: pod.addresses,
		ifindex: pod.ifindex ?? 0,
		device: pod.device ?? "",
		netns: pod.netns ?? "",
		sandbox: pod.sandbox ?? "",
		containers: pod.containers.map(({ id, name, image, running }) => ({ id, name, image: image ?? "", running })),
		sources: pod.sources,
		conflict: pod.conflicts.length > 0,
		conflicts: pod.conflicts,
	};
}

function podOf(message: PodAttachmentMessage): PodAttachment {
	const { namespace, name, uid, addresses, ifindex, device, netns, sandbox, containers, sources, conflicts } = message;
	return {
		namespace,
		name,
		uid: known(uid),
		addresses,
		ifindex: ifindex === 0 ? null : ifindex,
		device: known(device),
		netns: known(netns),
		sandbox: known(sandbox),
		containers: containers.map((one) => ({
			id: one.id,
			name: one.name,
			image: known(one.image),
			running: one.running,
		})),
		// Those of a newer agent may be others: they are shown as they come.
		sources: sources as readonly IdentitySource[],
		conflicts,
	};
}

function known(text: string): string | null {
	return text === "" ? null : text;
}
