import type { ResolvedName } from "../../collector/report.js";
import type { Endpoint, OuterHeader, Path } from "../../path/path.js";

/** "default/client @node-a", "10.0.0.7", "any". */
export function nameOfEnd(end: ResolvedName): string {
	return atNode(end.name, end.node);
}

/** "default/client @node-a", else its address. */
export function nameOfEndpoint(endpoint: Endpoint): string {
	const name = endpoint.pod === null ? (endpoint.ip ?? "?") : `${endpoint.namespace ?? "?"}/${endpoint.pod}`;
	return atNode(name, endpoint.node);
}

/** Both ends of a path in the direction of its requests: the same for both directions, whatever NAT did. */
export function nameOfFlow({ flow }: Path, reply: boolean): string {
	const [client, server] = reply ? [flow.destination, flow.source] : [flow.source, flow.destination];
	return `${nameOfEndpoint(client)} → ${nameOfEndpoint(server)}`;
}

/** The same with the service that stands between the ends, where the path shows it. */
export function nameWithService(path: Path, reply: boolean): string {
	const { service } = path.flow;
	if (service === null || reply) return nameOfFlow(path, reply);
	const { source, destination } = path.flow;
	return `${nameOfEndpoint(source)} → ${nameOfService(service)} → ${nameOfEndpoint(destination)}`;
}

function nameOfService(service: {
	readonly ip: string;
	readonly port: number | null;
	readonly name: string | null;
}): string {
	const face = joinFace(service.ip, service.port);
	return service.name === null ? face : `${service.name} (${face})`;
}

/** The tunnel of a path as requests see it; null when no hop was inside one. */
export function outerOf(path: Path, reply: boolean): OuterHeader | null {
	const outer = path.hops.find((hop) => hop.outer !== null)?.outer ?? null;
	if (outer === null || !reply) return outer;
	return { source: outer.destination, destination: outer.source, vni: outer.vni };
}

/** "vxlan 1  192.168.66.11 → .12": what both IPv4 addresses share is said once. */
export function nameOfTunnel({ source, destination, vni }: OuterHeader): string {
	if (source === null && destination === null) return `vxlan ${vni}`;
	const network = source?.includes(":") ? null : (source?.slice(0, source.lastIndexOf(".") + 1) ?? null);
	const short = network && destination?.startsWith(network) ? destination.slice(network.length - 1) : destination;
	return `vxlan ${vni}  ${source ?? "?"} → ${short ?? "?"}`;
}

/** "10.0.0.1:80" → its address and port; bare addresses have none. */
export function splitFace(face: string): { readonly address: string; readonly port: string | null } {
	const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(face) ?? [];
	return { address: bracketed ?? plain ?? face, port: port ?? null };
}

/** "10.0.0.1:80", "[fd00::1]:80", "default/web:80"; without a port the bare name. */
export function joinFace(ip: string, port: number | null): string {
	if (port === null) return ip;
	return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function atNode(name: string, node: string | null): string {
	return node === null ? name : `${name} @${node}`;
}
