import type { Directory, Pod } from "../identity/owner.js";
import type { Endpoint, Hop, Path, ServiceRef } from "../path/path.js";

/**
 * Gives the ends of a path their names, as of the time it was seen: the pod whose veth it left or reached, else
 * whoever held the address then. A device is better evidence than an address, which NAT may have put there.
 */
export function nameEnds(path: Path, directory: Directory): Path {
	const first = path.hops[0];
	const last = path.hops[path.hops.length - 1];
	if (first === undefined || last === undefined) return path;
	const atMs = Date.parse(first.first);
	const { source, destination, service, protocol } = path.flow;
	return {
		...path,
		flow: {
			...path.flow,
			source: nameEnd(source, leaving(first) ? first : null, directory, atMs),
			destination: nameEnd(destination, arriving(last) ? last : null, directory, atMs),
			service: service === null ? null : nameService(service, protocol, directory),
		},
	};
}

/** Out of a pod: into the host through its veth. */
function leaving(hop: Hop): boolean {
	return (hop.role === "pod" && hop.direction === "ingress") || (hop.role === "inside" && hop.direction === "egress");
}

function arriving(hop: Hop): boolean {
	return (hop.role === "pod" && hop.direction === "egress") || (hop.role === "inside" && hop.direction === "ingress");
}

function nameEnd(end: Endpoint, hop: Hop | null, directory: Directory, atMs: number): Endpoint {
	const pod = (hop && directory.podByDevice(hop.node, hop.ifindex, atMs)) ?? podAt(end.ip, directory, atMs);
	if (pod !== null) return { ...end, namespace: pod.namespace, pod: pod.name, node: pod.node };
	const node = end.ip === null ? null : directory.nodeByAddress(end.ip);
	return node === null ? end : { ...end, node: node.name };
}

function podAt(ip: string | null, directory: Directory, atMs: number): Pod | null {
	return ip === null ? null : directory.podByAddress(ip, atMs);
}

function nameService(service: ServiceRef, protocol: string, directory: Directory): ServiceRef {
	const known = directory.service(service.ip, service.port ?? 0, protocol);
	return known === null ? service : { ...service, name: known.name };
}
