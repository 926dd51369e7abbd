import type { Directory, Pod } from "../identity/owner.js";
import type { Endpoint } from "./path.js";

/** The pod's veth that a packet left by, or reached. */
export interface EndDevice {
	readonly node: string;
	/** In the node's namespace. */
	readonly ifindex: number;
}

/**
 * Gives an end its names, as of a time in ms since 1970: the pod behind the veth, else whoever held the address then,
 * else the node. @param veth null: the packet was not seen at a pod's
 */
export function nameEnd(end: Endpoint, veth: EndDevice | null, directory: Directory, atMs: number): Endpoint {
	const pod = podAt(end.ip, veth, directory, atMs);
	if (pod !== null) return { ...end, namespace: pod.namespace, pod: pod.name, node: pod.node };
	const node = end.ip === null ? null : directory.nodeByAddress(end.ip);
	return node === null ? end : { ...end, node: node.name };
}

/** A device is better evidence than an address, which NAT may have put there, and which a new pod may just have got. */
function podAt(address: string | null, veth: EndDevice | null, directory: Directory, atMs: number): Pod | null {
	const behind = veth && directory.podByDevice(veth.node, veth.ifindex, atMs);
	if (behind !== null) return behind;
	const holder = address === null ? null : directory.podByAddress(address, atMs);
	return holder !== null && veth !== null && isElsewhere(holder, veth) ? null : holder;
}

/** Its veth is another one: the packet is of a pod that nobody has told of yet. */
function isElsewhere({ node, ifindex }: Pod, veth: EndDevice): boolean {
	return node === veth.node && ifindex !== null && ifindex !== veth.ifindex;
}
