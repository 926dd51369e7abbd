import type { Role } from "../packet/hook.js";
import type { Link, Namespace, Route, Wiring } from "./model.js";
import type { NamespaceView } from "./namespace.js";

/**
 * What a device of the node's namespace is to the pod network: by its kind, its peer, what is stacked on it and the
 * routes through it. Never by its name: flannel's device is flannel.1, flannel-v6.1 or something of one's own.
 */
export function role(host: NamespaceView, link: Link): Role {
	if (link.loopback) return "host";
	if (TUNNELS.has(link.kind ?? "")) return "tunnel";
	if (carriesTheNode(host.namespace, link)) return "nic";
	if (link.kind === "bridge") return "bridge";
	if (link.kind === "veth") return link.peerNsid === null ? "host" : "pod";
	return isHardware(host, link) ? "nic" : "host";
}

/** UDP destination ports of a namespace's VXLAN devices, each once, ascending: 8472 for flannel on Linux. */
export function tunnelPorts(namespace: Namespace): readonly number[] {
	return [...new Set(namespace.links.flatMap((link) => link.vxlan?.port ?? []))].sort((a, b) => a - b);
}

/** The addresses by which other nodes know this one: of the devices that tunnels and gateways go through. */
export function underlayAddresses(wiring: Wiring): readonly string[] {
	const { host } = wiring;
	const tunnelled = host.links.flatMap((link) => link.vxlan?.local ?? []);
	const carried = host.links.filter((link) => carriesTheNode(host, link));
	const own = host.addresses.filter(
		(address) => carried.some((link) => link.ifindex === address.ifindex) && isGlobal(address.address),
	);
	return [...new Set([...tunnelled, ...own.map((address) => address.address)])];
}

const TUNNELS = new Set([
	"vxlan",
	"geneve",
	"gre",
	"gretap",
	"ip6gre",
	"ip6gretap",
	"ip6tnl",
	"ipip",
	"sit",
	"tun",
	"wireguard",
]);
/** Devices that may stand on a real one. */
const STACKED = new Set(["vlan", "bond", "team", "macvlan", "ipvlan"]);
const RTN_UNICAST = 1;

/**
 * Is this the node's way to other machines? A tunnel is bound to it or sends from its address, or a gateway is behind
 * it, or it has a network of its own. A bridge's port has none of this: its bridge has.
 */
function carriesTheNode(host: Namespace, link: Link): boolean {
	if (link.master !== null || TUNNELS.has(link.kind ?? "")) return false;
	const addresses = host.addresses.filter((address) => address.ifindex === link.ifindex);
	const tunnelled = host.links.some(
		({ vxlan }) =>
			vxlan !== null &&
			(vxlan.underlay === link.ifindex || addresses.some((address) => address.address === vxlan.local)),
	);
	if (tunnelled) return true;
	const gateway = host.routes.some(
		(route) => route.ifindex === link.ifindex && route.gateway !== null && route.type === RTN_UNICAST,
	);
	// A route via a pod makes no underlay of the pods' bridge; the default gateway behind a bridge does.
	if (link.kind === "bridge") return host.routes.some((route) => route.ifindex === link.ifindex && isDefault(route));
	// The host end of a pod's own veth without a bridge (ptp, Calico) has at most one whole address.
	const network = addresses.some(
		(address) => isGlobal(address.address) && address.prefix < (address.address.includes(":") ? 128 : 32),
	);
	return gateway || (link.kind === "veth" && link.peerNsid !== null && network);
}

function isHardware(host: NamespaceView, link: Link): boolean {
	if (link.kind === null) return true;
	return STACKED.has(link.kind) && host.namespace.addresses.some((address) => address.ifindex === link.ifindex);
}

function isDefault({ destination, gateway }: Route): boolean {
	return gateway !== null && destination.endsWith("/0");
}

function isGlobal(address: string): boolean {
	return !/^(fe[89ab]|127\.|169\.254\.|::1$)/i.test(address);
}
