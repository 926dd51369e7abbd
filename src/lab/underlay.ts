import { run } from "./command.js";
import type { LabPlan, NodePlan } from "./plan.js";
import { Space } from "./space.js";
import { probeDevices } from "./surroundings.js";

/**
 * Builds the switch between the nodes: a bridge `sw0` in a namespace of its own with a port `sw<n>` per node. Its own
 * address is the nodes' default gateway and stands for everything outside the cluster.
 */
export async function buildUnderlay(plan: LabPlan, signal?: AbortSignal): Promise<Space> {
	const space = new Space("underlay", plan.underlay.netns);
	await run(["ip", "netns", "add", space.netns], { signal });
	await probeDevices(space);
	await space.sysctl(QUIET, signal);
	await space.ip(
		[
			"link set lo up",
			"link add sw0 type bridge mcast_snooping 0",
			`addr add ${plan.underlay.address.ipv4}/24 dev sw0`,
			`addr add ${plan.underlay.address.ipv6}/64 dev sw0 nodad`,
			"link set sw0 up",
		],
		signal,
	);
	return space;
}

/** Makes a node's namespace and plugs its eth0 into the switch. eth0 gets ifindex 2, docker0 3, as on a real node. */
export async function plugIn(
	underlay: Space,
	plan: LabPlan,
	node: NodePlan,
	index: number,
	signal?: AbortSignal,
): Promise<Space> {
	const space = new Space(node.name, node.netns);
	await run(["ip", "netns", "add", space.netns], { signal });
	await space.sysctl(NODE_SYSCTLS, signal);
	const port = `sw${index + 1}`;
	await underlay.ip(
		[
			`link add ${port} type veth peer name eth0 index 2 netns ${space.netns}`,
			`link set ${port} master sw0`,
			`link set ${port} up`,
		],
		signal,
	);
	await space.ip(
		[
			"link set lo up",
			`addr add ${node.address.ipv4}/24 dev eth0`,
			`addr add ${node.address.ipv6}/64 dev eth0 nodad`,
			"link set eth0 up",
			`route add default via ${plan.underlay.address.ipv4}`,
			`route add default via ${plan.underlay.address.ipv6}`,
			"link add docker0 index 3 type bridge",
			"addr add 172.17.0.1/16 brd 172.17.255.255 dev docker0",
			"link set docker0 up",
			...LOSE_CARRIER,
		],
		signal,
	);
	return space;
}

/** A bridge that never had a port reads UNKNOWN; one that lost its ports has no carrier, as docker0 on a real node. */
const LOSE_CARRIER = [
	"link add probe0 index 1001 type veth peer name probe1 index 1002",
	"link set probe0 master docker0",
	"link del probe0",
];

/** Addresses are unique by plan: nobody needs to wait a second for duplicate address detection, nor for routers. */
export const NO_WAITING: Readonly<Record<string, number>> = {
	"net.ipv6.conf.all.accept_dad": 0,
	"net.ipv6.conf.default.accept_dad": 0,
	"net.ipv6.conf.default.router_solicitations": 0,
};

/** A switch filters nothing. */
const QUIET: Readonly<Record<string, number>> = {
	...NO_WAITING,
	"net.ipv4.ip_forward": 0,
	"net.bridge.bridge-nf-call-iptables": 0,
	"net.bridge.bridge-nf-call-ip6tables": 0,
	"net.bridge.bridge-nf-call-arptables": 0,
};

/** What kubeadm's preflight demands, and route_localnet as kube-proxy sets it for NodePorts on 127.0.0.1. */
const NODE_SYSCTLS: Readonly<Record<string, number>> = {
	...NO_WAITING,
	"net.ipv4.ip_forward": 1,
	"net.ipv6.conf.all.forwarding": 1,
	"net.ipv4.conf.all.route_localnet": 1,
	"net.bridge.bridge-nf-call-iptables": 1,
	"net.bridge.bridge-nf-call-ip6tables": 1,
};
