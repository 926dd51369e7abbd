import {
	type AddressWords,
	type Prefix,
	parsePrefix,
	parseWords,
	prefixContains,
	prefixOf,
} from "../packet/addresses.js";
import type { NetnsCookie } from "../packet/hook.js";
import type { NameKind } from "./ast.js";
import type { End } from "./end.js";
import { didYouMean, FilterError } from "./error.js";
import { globMatches, isGlob } from "./pattern.js";

/** Who is there, as END and FILTER need it; identity's Directory is one. */
export interface EndLookup {
	/** Pods whose namespace/name matches a glob, now. */
	pods(glob: string): readonly EndPod[];
	/** Services of this namespace/name; all of them for a star on both sides of the slash. */
	services(name: string): readonly EndService[];
	nodes(): readonly EndNode[];
	/** Ports of nodes that lead to one pod (CNI's portmap). */
	hostPorts?(): readonly EndHostPort[];
}

export interface EndHostPort {
	readonly port: number;
	readonly protocol: "tcp" | "udp" | "sctp";
	readonly endpoint: { readonly ip: string; readonly port: number };
}

export interface EndPod {
	readonly namespace: string;
	readonly name: string;
	readonly node: string;
	readonly addresses: readonly string[];
	readonly netns: NetnsCookie | null;
	/** Host end of its veth, in the node's namespace; null: none, as with hostNetwork, or not known. */
	readonly ifindex: number | null;
}

export interface EndService {
	/** namespace/name. */
	readonly name: string;
	readonly ip: string;
	readonly port: number;
	readonly protocol: "tcp" | "udp" | "sctp";
	readonly nodePort: number | null;
	readonly endpoints: readonly { readonly ip: string; readonly port: number }[];
}

export interface EndNode {
	readonly name: string;
	readonly address: string | null;
	/** CIDR. */
	readonly subnets: readonly string[];
}

/** An END as of now. What does not apply is empty; for `any` everything is. */
export interface ResolvedEnd {
	readonly kind: End["kind"];
	/** namespace/name of what matched; empty for a prefix or any. */
	readonly names: readonly string[];
	readonly prefixes: readonly Prefix[];
	/** Host ends of veths: there the device says whose packet it is, whatever its addresses. */
	readonly devices: readonly Device[];
	/** Namespaces of pods, for hooks inside them. */
	readonly netns: readonly NetnsCookie[];
	/** What clients of a service address. */
	readonly faces: readonly Face[];
	/** Where it sends them. Part of the kernel's superset; the exact test asks for a face. */
	readonly endpoints: readonly Face[];
}

export interface Device {
	readonly node: string;
	readonly ifindex: number;
}

/** An address, protocol and port. */
export interface Face {
	readonly address: AddressWords;
	readonly protocol: number;
	readonly port: number;
}

/** A DNAT as kube-proxy does it: packets to one of `faces` go on to one of `endpoints`. */
export interface Translation {
	readonly faces: readonly Face[];
	readonly endpoints: readonly Face[];
}

/** Pure; call it again when pods, services or nodes changed. Nothing found is an empty end, see `describeUnknown`. */
export function resolveEnd(end: End, lookup: EndLookup): ResolvedEnd {
	switch (end.kind) {
		case "any":
			return { ...NOTHING, kind: "any" };
		case "pod":
			return { ...NOTHING, kind: "pod", ...podParts(lookup.pods(end.pattern)) };
		case "prefix": {
			// A pod named by its address is still a device.
			const pods = end.prefix.bits === 128 ? lookup.pods("*/*").filter((pod) => holds(pod, end.prefix)) : [];
			return { ...NOTHING, kind: "prefix", ...podParts(pods), names: [], prefixes: [end.prefix] };
		}
		case "service":
			return { ...NOTHING, kind: "service", ...serviceParts(matchingServices(end.pattern, lookup), lookup) };
		case "node":
			return { ...NOTHING, kind: "node", ...nodeParts(matchingNodes(end.pattern, lookup)) };
	}
}

/** `pod`, `svc` and `node` in a FILTER mean what the END of that name means. */
export function resolveName(what: NameKind, name: string, lookup: EndLookup): ResolvedEnd {
	return resolveEnd({ kind: what === "svc" ? "service" : what, pattern: name }, lookup);
}

/** Whether the END names something that is not there (yet). A glob may wait for its pods; so may a prefix. */
export function isUnknown(end: End, resolved: ResolvedEnd): boolean {
	return end.kind !== "any" && end.kind !== "prefix" && resolved.names.length === 0 && !isGlob(end.pattern);
}

/** What to tell when `isUnknown`: the nearest names that are there, and the same name in other namespaces. */
export function describeUnknown(end: End, text: string, lookup: EndLookup): FilterError {
	const known = knownNames(end, lookup);
	const pattern = end.kind === "any" || end.kind === "prefix" ? text : end.pattern;
	const bare = pattern.split("/")[1] ?? pattern;
	const elsewhere = known.filter((name) => name.split("/")[1] === bare);
	const prefix = end.kind === "service" ? "svc:" : end.kind === "node" ? "node:" : "";
	const options = elsewhere.map((name) => prefix + name).join(" or ");
	const meant = didYouMean(pattern, known)?.replace("mean ", `mean ${prefix}`) ?? null;
	const listed =
		known.length === 0
			? "none is known here"
			: `there are ${known.slice(0, 5).join(", ")}${known.length > 5 ? " …" : ""}`;
	return new FilterError({
		text,
		column: 1,
		found: pattern,
		expected: THINGS[end.kind],
		suggestion: elsewhere.length > 0 ? `did you mean ${options}?` : (meant ?? listed),
	});
}

/** Every service and published port of the directory, as the kernel table wants them. */
export function translations(lookup: EndLookup): readonly Translation[] {
	const services = lookup.services("*/*");
	return [
		...services.map((service) => ({ faces: facesOf(service, lookup), endpoints: endpointsOf(service) })),
		...(lookup.hostPorts?.() ?? []).map(({ port, protocol, endpoint }) => ({
			faces: portsOfNodes(port, PROTOCOL_NUMBERS[protocol], lookup),
			endpoints: faceOf(endpoint.ip, PROTOCOL_NUMBERS[protocol], endpoint.port),
		})),
	];
}

const NOTHING: Omit<ResolvedEnd, "kind"> = {
	names: [],
	prefixes: [],
	devices: [],
	netns: [],
	faces: [],
	endpoints: [],
};

const THINGS: Readonly<Record<End["kind"], string>> = {
	any: "an END",
	pod: "a pod that exists",
	prefix: "an address",
	service: "a service that exists",
	node: "a node that exists",
};

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

function podParts(pods: readonly EndPod[]): Pick<ResolvedEnd, "names" | "prefixes" | "devices" | "netns"> {
	return {
		names: pods.map((pod) => `${pod.namespace}/${pod.name}`),
		prefixes: pods.flatMap((pod) => pod.addresses.flatMap(hostPrefix)),
		devices: pods.flatMap(({ node, ifindex }) => (ifindex === null ? [] : [{ node, ifindex }])),
		netns: pods.flatMap(({ netns }) => (netns === null ? [] : [netns])),
	};
}

function serviceParts(
	services: readonly EndService[],
	lookup: EndLookup,
): Pick<ResolvedEnd, "names" | "faces" | "endpoints"> {
	return {
		names: [...new Set(services.map(({ name }) => name))],
		faces: services.flatMap((service) => facesOf(service, lookup)),
		endpoints: services.flatMap(endpointsOf),
	};
}

/**
 * A node's own addresses: the underlay's, flannel.1's (the subnet's first: packets that the node itself sends to pods
 * of others carry it) and cni0's (the next one).
 */
function nodeParts(nodes: readonly EndNode[]): Pick<ResolvedEnd, "names" | "prefixes"> {
	return { names: nodes.map(({ name }) => name), prefixes: nodes.flatMap(nodeAddresses) };
}

function nodeAddresses(node: EndNode): Prefix[] {
	const own = node.address === null ? [] : hostPrefix(node.address);
	return [...own, ...node.subnets.flatMap(firstAddresses)];
}

function firstAddresses(subnet: string): Prefix[] {
	const prefix = parsePrefix(subnet);
	if (prefix === null || prefix.bits > 127) return [];
	const [a, b, c, d] = prefix.words;
	return [prefixOf(prefix.words, 128), prefixOf([a, b, c, (d | 1) >>> 0], 128)];
}

function facesOf(service: EndService, lookup: EndLookup): Face[] {
	const protocol = PROTOCOL_NUMBERS[service.protocol];
	const { nodePort } = service;
	return [
		...faceOf(service.ip, protocol, service.port),
		...(nodePort === null ? [] : portsOfNodes(nodePort, protocol, lookup)),
	];
}

function portsOfNodes(port: number, protocol: number, lookup: EndLookup): Face[] {
	return lookup.nodes().flatMap((node) => nodeAddresses(node).map(({ words }) => ({ address: words, protocol, port })));
}

function endpointsOf(service: EndService): Face[] {
	return service.endpoints.flatMap(({ ip, port }) => faceOf(ip, PROTOCOL_NUMBERS[service.protocol], port));
}

function faceOf(ip: string, protocol: number, port: number): Face[] {
	const address = parseWords(ip);
	return address === null ? [] : [{ address, protocol, port }];
}

function hostPrefix(address: string): Prefix[] {
	const words = parseWords(address);
	return words === null ? [] : [prefixOf(words, 128)];
}

function holds(pod: EndPod, prefix: Prefix): boolean {
	return pod.addresses.some((address) => {
		const words = parseWords(address);
		return words !== null && prefixContains(prefix, words);
	});
}

/** The directory may know globs of services or not: ask for all, match here. */
function matchingServices(pattern: string, lookup: EndLookup): readonly EndService[] {
	if (!isGlob(pattern)) return lookup.services(pattern).filter(({ name }) => name === pattern);
	return lookup.services("*/*").filter(({ name }) => globMatches(pattern, name));
}

function matchingNodes(pattern: string, lookup: EndLookup): readonly EndNode[] {
	return lookup.nodes().filter(({ name }) => globMatches(pattern, name));
}

function knownNames(end: End, lookup: EndLookup): readonly string[] {
	switch (end.kind) {
		case "any":
		case "prefix":
			return [];
		case "pod":
			return lookup.pods("*/*").map((pod) => `${pod.namespace}/${pod.name}`);
		case "service":
			return [...new Set(lookup.services("*/*").map(({ name }) => name))];
		case "node":
			return lookup.nodes().map(({ name }) => name);
	}
}
