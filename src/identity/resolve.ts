import type { NetnsCookie } from "../packet/hook.js";
import type { Link, Namespace } from "../wiring/model.js";
import type { WiringView } from "../wiring/view.js";
import { Bindings } from "./bindings.js";
import { type Claim, type Container, UNCLAIMED } from "./claim.js";
import type { IdentitySource, Pod } from "./owner.js";

/** A pod with all that was said of it. */
export interface ResolvedPod extends Pod {
	readonly sinceMs: number | null;
	readonly containers: readonly Container[];
	/** Where sources contradict each other or the kernel; one line each. */
	readonly conflicts: readonly string[];
}

/** What sources say, joined with what the kernel shows. */
export interface Resolution {
	readonly pods: readonly ResolvedPod[];
	/** Pods in the node's own network: they have no veth and no address of their own. */
	readonly onHost: readonly ResolvedPod[];
	/** Host ends of veths into namespaces that no source names. */
	readonly unexplained: readonly Link[];
	/** Claims about sandboxes that are not there (any more, or yet). */
	readonly stale: readonly Claim[];
}

/** In order of trust. */
const TRUST: readonly IdentitySource[] = [
	"cri",
	"cni-cache",
	"docker",
	"host-local",
	"cgroup",
	"kubernetes",
	"netns-name",
	"flannel",
	"kube-proxy",
];

/** Namespace of pods of which only the name of their network namespace is known. */
export const NETNS = "netns";

/**
 * Joins claims about sandboxes with the node's namespaces. A claim belongs to a namespace by its path, by a process in
 * it, by its veth or, failing all that, by its addresses; the kernel's addresses are the pod's. `bindings` knows where
 * claims belonged the last time, and is told where they do now.
 */
export function resolvePods(
	view: WiringView,
	claims: readonly Claim[],
	leases: ReadonlyMap<string, string>,
	delegates: ReadonlySet<string> = new Set(),
	bindings: Bindings = new Bindings(),
): Resolution {
	const groups = new Map<Namespace | Link, Claim[]>();
	const stale: Claim[] = [];
	const onHost: Claim[] = [];
	const places = new Places(view, bindings);
	for (const claim of claims) {
		const place = claim.inode === view.wiring.host.inode ? null : places.of(claim);
		if (claim.inode === view.wiring.host.inode) onHost.push(claim);
		else if (place === null) stale.push(claim);
		else append(groups, place, claim);
	}
	bindings.settle();
	joinBySandbox(groups, stale, leases, places);
	const pods: ResolvedPod[] = [];
	const unexplained: Link[] = [];
	for (const veth of view.host.namespace.links.filter((link) => view.role(link.ifindex) === "pod")) {
		const peer = view.peer(veth);
		const namespace = peer.kind === "paired" ? peer.namespace.namespace : null;
		const group = groups.get(namespace ?? veth) ?? groups.get(veth) ?? [];
		const pod = merged(view, veth, namespace, group, leases, delegates);
		if (pod === null) unexplained.push(veth);
		else if (!pods.some((known) => known.netns !== null && known.netns === pod.netns)) pods.push(pod);
	}
	return { pods, onHost: onHost.flatMap((claim) => podOnHost(view, claim) ?? []), unexplained, stale };
}

function podOnHost(view: WiringView, claim: Claim): ResolvedPod | null {
	if (claim.pod === null) return null;
	return {
		...claim.pod,
		uid: claim.uid,
		node: view.wiring.node,
		addresses: [],
		sandbox: claim.sandbox,
		netns: view.wiring.host.cookie,
		ifindex: null,
		device: null,
		sources: [claim.source],
		sinceMs: claim.sinceMs,
		containers: claim.containers,
		conflicts: [],
	};
}

/** Where a claim's sandbox is: its namespace, or the veth when namespaces cannot be seen from here. */
class Places {
	readonly #view: WiringView;
	readonly #bindings: Bindings;
	readonly #byPath = new Map<string, Namespace>();
	readonly #byInode: ReadonlyMap<number, Namespace>;
	readonly #byCookie: ReadonlyMap<NetnsCookie, Namespace>;
	readonly #devices: ReadonlyMap<string, Link>;

	constructor(view: WiringView, bindings: Bindings) {
		this.#view = view;
		this.#bindings = bindings;
		this.#byCookie = new Map(view.wiring.others.map((namespace) => [namespace.cookie, namespace]));
		this.#byInode = new Map(view.wiring.others.map((namespace) => [namespace.inode, namespace]));
		for (const namespace of view.wiring.others) this.#byPath.set(key(namespace.path), namespace);
		this.#devices = new Map(view.wiring.host.links.map((link) => [link.name, link]));
	}

	of(claim: Claim): Namespace | Link | null {
		const bound = this.#bindings.of(claim);
		const place = bound === null ? this.#found(claim) : (this.#byCookie.get(bound) ?? null);
		const netns = bound ?? (place !== null && "cookie" in place ? place.cookie : null);
		if (netns !== null) this.#bindings.bind(claim, netns);
		return place;
	}

	#found(claim: Claim): Namespace | Link | null {
		const byPath = claim.netnsPath === null ? undefined : this.#byPath.get(key(claim.netnsPath));
		const byInode = claim.inode === null ? undefined : this.#byInode.get(claim.inode);
		// An inode may be another namespace's by now: then it has other addresses.
		const fitting = byInode !== undefined && fits(claim, byInode) ? byInode : undefined;
		return byPath ?? fitting ?? this.#byDevice(claim) ?? this.#byAddress(claim);
	}

	/** By veth: names are used again, so its namespace must not have other addresses than the claim. */
	#byDevice(claim: Claim): Namespace | Link | null {
		const link = claim.device === null ? undefined : this.#devices.get(claim.device);
		if (link === undefined || this.#view.role(link.ifindex) !== "pod") return null;
		const peer = this.#view.peer(link);
		if (peer.kind !== "paired") return link;
		const { namespace } = peer.namespace;
		return fits(claim, namespace) ? namespace : null;
	}

	#byAddress(claim: Claim): Namespace | null {
		const found = new Set(
			claim.addresses.flatMap((address) =>
				this.#view.vethsByAddress(address).flatMap((link) => {
					const peer = this.#view.peer(link);
					return peer.kind === "paired" ? [peer.namespace.namespace] : [];
				}),
			),
		);
		// A file whose namespace is named and gone is of a pod that is gone: its address may be another's by now.
		return found.size === 1 && claim.netnsPath === null && claim.inode === null ? ([...found][0] ?? null) : null;
	}
}

/** Nothing is known of addresses on one side, or they share one. */
function fits({ addresses }: Claim, namespace: Namespace): boolean {
	const held = podAddresses(namespace);
	return addresses.length === 0 || held.length === 0 || addresses.some((one) => held.includes(one));
}

/** Mounts are told by their name: /var/run/netns/x is /run/netns/x, under whatever root. */
function key(path: string): string {
	const mount = /\/run\/(?:docker\/)?netns\/([^/]+)$/.exec(path);
	return mount?.[1] === undefined ? (/\/proc\/\d+\/ns\/net$/.exec(path)?.[0] ?? path) : `netns ${mount[1]}`;
}

/** A claim without a place of its own belongs where another claim about the same sandbox is. */
function joinBySandbox(
	groups: Map<Namespace | Link, Claim[]>,
	stale: Claim[],
	leases: ReadonlyMap<string, string>,
	places: Places,
): void {
	const placeOf = new Map<string, Namespace | Link>();
	for (const [place, claims] of groups) {
		for (const { sandbox } of claims) if (sandbox !== null) placeOf.set(sandbox, place);
	}
	for (const [address, sandbox] of leases) {
		if (placeOf.has(sandbox)) continue;
		const place = places.of({ ...UNCLAIMED, source: "host-local", addresses: [address] });
		if (place !== null) placeOf.set(sandbox, place);
	}
	for (const claim of stale.splice(0)) {
		const place = claim.sandbox === null ? undefined : placeOf.get(claim.sandbox);
		// Its own path or veth would have led there, were it the same life of the sandbox.
		if (place === undefined || claim.netnsPath !== null || claim.inode !== null) stale.push(claim);
		else append(groups, place, claim);
	}
}

function merged(
	view: WiringView,
	veth: Link,
	namespace: Namespace | null,
	claims: readonly Claim[],
	leases: ReadonlyMap<string, string>,
	delegates: ReadonlySet<string>,
): ResolvedPod | null {
	const byTrust = [...claims].sort((a, b) => TRUST.indexOf(a.source) - TRUST.indexOf(b.source));
	const named = byTrust.filter((claim) => claim.pod !== null);
	const best = named[0]?.pod ?? (namespace?.name == null ? null : { namespace: NETNS, name: namespace.name });
	if (best === null) return null;
	const kernel = namespace === null ? [] : podAddresses(namespace);
	const claimed = [...new Set(byTrust.flatMap((claim) => claim.addresses))];
	const addresses = kernel.length > 0 ? kernel : claimed;
	const sandbox = first(byTrust, (claim) => claim.sandbox);
	const sources = new Set(byTrust.map((claim) => claim.source));
	if (addresses.some((address) => sandbox !== null && leases.get(address) === sandbox)) sources.add("host-local");
	if (sandbox !== null && delegates.has(sandbox)) sources.add("flannel");
	if (named.length === 0) sources.add("netns-name");
	return {
		...best,
		uid: first(byTrust, (claim) => claim.uid),
		node: view.wiring.node,
		addresses,
		sandbox,
		netns: (namespace?.cookie ?? null) as NetnsCookie | null,
		ifindex: veth.ifindex,
		device: veth.name,
		sources: TRUST.filter((source) => sources.has(source)),
		sinceMs: first(byTrust, (claim) => claim.sinceMs),
		containers: byTrust.find((claim) => claim.containers.length > 0)?.containers ?? [],
		conflicts: conflicts(veth, best, kernel, byTrust, leases),
	};
}

function conflicts(
	veth: Link,
	best: { namespace: string; name: string },
	kernel: readonly string[],
	claims: readonly Claim[],
	leases: ReadonlyMap<string, string>,
): readonly string[] {
	const found: string[] = [];
	for (const { source, pod, device, addresses, sandbox } of claims) {
		if (pod !== null && (pod.namespace !== best.namespace || pod.name !== best.name)) {
			found.push(`${source} calls it ${pod.namespace}/${pod.name}`);
		}
		if (device !== null && device !== veth.name) found.push(`${source} says its veth is ${device}`);
		const missing = kernel.length === 0 ? [] : addresses.filter((address) => !kernel.includes(address));
		for (const address of missing) found.push(`${source} gives it ${address}, which it does not have`);
		for (const address of kernel) {
			const holder = leases.get(address);
			if (sandbox !== null && holder !== undefined && holder !== sandbox) {
				found.push(`host-local has leased ${address} to sandbox ${holder.slice(0, 12)}`);
			}
		}
	}
	return [...new Set(found)];
}

/** A namespace's addresses that others can reach it by. */
export function podAddresses(namespace: Namespace): readonly string[] {
	const loopback = new Set(namespace.links.filter((link) => link.loopback).map((link) => link.ifindex));
	return namespace.addresses
		.filter(({ ifindex, address }) => !loopback.has(ifindex) && !/^fe[89ab]/i.test(address))
		.map(({ address }) => address);
}

function first<T>(claims: readonly Claim[], pick: (claim: Claim) => T | null): T | null {
	for (const claim of claims) {
		const value = pick(claim);
		if (value !== null) return value;
	}
	return null;
}

function append<K, V>(map: Map<K, V[]>, at: K, value: V): void {
	const values = map.get(at);
	if (values === undefined) map.set(at, [value]);
	else values.push(value);
}
