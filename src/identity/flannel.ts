import { formatPrefix, parsePrefix } from "../packet/addresses.js";
import type { Wiring } from "../wiring/model.js";
import { contains } from "../wiring/namespace.js";
import { underlayAddresses } from "../wiring/roles.js";
import type { WiringView } from "../wiring/view.js";
import { onHost, readSmallFile } from "./files.js";
import type { Node } from "./owner.js";

/** A node with every address it is known by, both families. */
export interface FlannelNode extends Node {
	readonly addresses: readonly string[];
}

/** What flannel wrote for the CNI plugin. */
export interface SubnetEnv {
	/** CIDR of the cluster's pods. */
	readonly networks: readonly string[];
	/** CIDR of this node's. */
	readonly subnets: readonly string[];
	readonly mtu: number | null;
}

/**
 * Nodes by the kernel's tables alone: flannel gives each other node a route to its subnet, and either a gateway on the
 * underlay (host-gw) or a neighbour and an FDB entry of the tunnel. `names`: address → name; nodes without one are
 * called by their underlay address.
 */
export function flannelNodes(
	view: WiringView,
	subnetEnv: SubnetEnv | null,
	names: ReadonlyMap<string, string>,
): readonly FlannelNode[] {
	const nodes = new Nodes(names, sameMachines(view.wiring));
	nodes.add(view.wiring.node, underlayAddresses(view.wiring), ownSubnets(view, subnetEnv), ownVtep(view.wiring));
	for (const { destination, gateway, ifindex } of view.wiring.host.routes) {
		if (gateway === null || ifindex === null || destination.endsWith("/0")) continue;
		const role = view.role(ifindex);
		if (role === "tunnel") {
			const mac = view.host.neighbour(ifindex, gateway)?.mac ?? null;
			const entry = mac === null ? undefined : view.host.fdb(mac).find((one) => one.ifindex === ifindex);
			if (entry?.destination != null) nodes.add(null, [entry.destination], [destination], mac);
		} else if (role === "nic" && isPodSubnet(destination, subnetEnv)) {
			nodes.add(null, [gateway], [destination], null);
		}
	}
	return nodes.all();
}

/** Parses `/run/flannel/subnet.env`; null: there is none. */
export function readSubnetEnv(hostRoot: string | null): SubnetEnv | null {
	const file = readSmallFile(onHost(hostRoot, "/run/flannel/subnet.env"));
	if (file.kind !== "text") return null;
	const values = new Map([...file.text.matchAll(/^(\w+)=(.*)$/gm)].map((match) => [match[1], match[2]?.trim() ?? ""]));
	const list = (...keys: string[]) =>
		keys.flatMap((key) => (values.get(key) ?? "").split(",").flatMap((cidr) => network(cidr) ?? []));
	return {
		networks: list("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"),
		subnets: list("FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"),
		mtu: Number(values.get("FLANNEL_MTU")) || null,
	};
}

/** Flannel writes its subnet with the bridge's address: 10.244.1.1/24. */
function network(cidr: string): string | null {
	const prefix = cidr.includes("/") ? parsePrefix(cidr.trim()) : null;
	return prefix === null ? null : formatPrefix(prefix);
}

/** Names of machines by their addresses, from `/etc/hosts` of the node (hosts(5): address, name, aliases). */
export function readHosts(hostRoot: string | null): ReadonlyMap<string, string> {
	const names = new Map<string, string>();
	const file = readSmallFile(onHost(hostRoot, "/etc/hosts"));
	if (file.kind !== "text") return names;
	for (const line of file.text.split("\n")) {
		const [address, name] = line.replace(/#.*/, "").trim().split(/\s+/);
		if (address !== undefined && name !== undefined && /^[\w.-]{1,253}$/.test(name)) names.set(address, name);
	}
	return names;
}

/** Merges what is found of one machine: by its name, or by both of its addresses having one MAC. */
class Nodes {
	readonly #names: ReadonlyMap<string, string>;
	readonly #same: ReadonlyMap<string, string>;
	readonly #found = new Map<
		string,
		{ name: string; addresses: Set<string>; subnets: Set<string>; mac: string | null }
	>();

	constructor(names: ReadonlyMap<string, string>, same: ReadonlyMap<string, string>) {
		this.#names = names;
		this.#same = same;
	}

	add(name: string | null, addresses: readonly string[], subnets: readonly string[], mac: string | null): void {
		const address = addresses.map((one) => this.#same.get(one) ?? one).find((one) => one !== undefined);
		const known = [...addresses, address ?? ""].map((one) => this.#names.get(one)).find((one) => one !== undefined);
		const called = name ?? known ?? address ?? "";
		const node = this.#found.get(called) ?? { name: called, addresses: new Set(), subnets: new Set(), mac: null };
		for (const one of addresses) node.addresses.add(one);
		for (const subnet of subnets) node.subnets.add(subnet);
		node.mac ??= mac;
		this.#found.set(called, node);
	}

	all(): readonly FlannelNode[] {
		return [...this.#found.values()].map(({ name, addresses, subnets, mac }) => ({
			name,
			address: [...addresses].find((one) => !one.includes(":")) ?? [...addresses][0] ?? null,
			addresses: [...addresses],
			subnets: [...subnets],
			vtepMac: mac,
			sources: ["flannel"],
		}));
	}
}

/** IPv6 address → IPv4 address of the neighbour on a NIC that has the same MAC. */
function sameMachines({ host }: Wiring): ReadonlyMap<string, string> {
	const ipv4 = new Map<string, string>();
	for (const { ifindex, address, mac } of host.neighbours) {
		if (mac !== null && !address.includes(":")) ipv4.set(`${ifindex} ${mac}`, address);
	}
	return new Map(
		host.neighbours.flatMap(({ ifindex, address, mac }) => {
			const other = address.includes(":") ? ipv4.get(`${ifindex} ${mac}`) : undefined;
			return other === undefined ? [] : [[address, other] as const];
		}),
	);
}

/** From subnet.env, else the networks of bridges that pods are on. */
function ownSubnets(view: WiringView, subnetEnv: SubnetEnv | null): readonly string[] {
	if (subnetEnv !== null) return subnetEnv.subnets;
	const { links, routes } = view.wiring.host;
	const bridges = new Set(
		links
			.filter((link) => link.kind === "bridge" && view.host.ports(link.ifindex).length > 0)
			.map((link) => link.ifindex),
	);
	return routes
		.filter((route) => route.ifindex !== null && bridges.has(route.ifindex) && route.gateway === null)
		.filter((route) => route.table === MAIN_TABLE && !/^(fe80|ff00)/.test(route.destination))
		.map((route) => route.destination);
}

const MAIN_TABLE = 254;

function ownVtep({ host }: Wiring): string | null {
	return host.links.find((link) => link.vxlan !== null)?.address ?? null;
}

function isPodSubnet(destination: string, subnetEnv: SubnetEnv | null): boolean {
	const address = destination.split("/")[0] ?? "";
	return subnetEnv?.networks.some((network) => contains(network, address)) ?? false;
}
