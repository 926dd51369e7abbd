import { mkdir, writeFile } from "node:fs/promises";
import { type LabPlan, type NodePlan, POD_NETWORK } from "./plan.js";
import type { Space } from "./space.js";

/** Gives a node flannel's two VXLAN devices and its entries for every other node, as flannel's vxlan backend does. */
export async function layFlannel(space: Space, plan: LabPlan, node: NodePlan, signal?: AbortSignal): Promise<void> {
	const peers = plan.nodes.filter((peer) => peer.name !== node.name);
	await space.ip(
		[
			`link add flannel.1 address ${node.vtepMac.ipv4} mtu ${MTU.ipv4} type vxlan id 1 dev eth0` +
				` local ${node.address.ipv4} dstport 8472 nolearning`,
			`addr add ${node.vtep.ipv4}/32 dev flannel.1`,
			"link set flannel.1 up",
			`link add flannel-v6.1 address ${node.vtepMac.ipv6} mtu ${MTU.ipv6} type vxlan id 1 dev eth0` +
				` local ${node.address.ipv6} dstport 8472 nolearning`,
			`addr add ${node.vtep.ipv6}/128 dev flannel-v6.1 nodad`,
			"link set flannel-v6.1 up",
			...peers.flatMap((peer) => [
				`neigh replace ${peer.vtep.ipv4} lladdr ${peer.vtepMac.ipv4} dev flannel.1 nud permanent`,
				`neigh replace ${peer.vtep.ipv6} lladdr ${peer.vtepMac.ipv6} dev flannel-v6.1 nud permanent`,
				`route replace ${peer.subnet.ipv4} via ${peer.vtep.ipv4} dev flannel.1 onlink`,
				`route replace ${peer.subnet.ipv6} via ${peer.vtep.ipv6} dev flannel-v6.1 onlink`,
			]),
		],
		signal,
	);
	await space.runWith(
		{ input: peers.flatMap((peer) => fdbEntries(peer).map((entry) => `fdb replace ${entry}\n`)).join(""), signal },
		"bridge",
		"-batch",
		"-",
	);
}

/** A peer's FDB entries in bridge(8)'s words: one for each family. */
export function fdbEntries(peer: NodePlan): [ipv4: string, ipv6: string] {
	return [
		`${peer.vtepMac.ipv4} dev flannel.1 dst ${peer.address.ipv4} self permanent`,
		`${peer.vtepMac.ipv6} dev flannel-v6.1 dst ${peer.address.ipv6} self permanent`,
	];
}

/** Writes what flannel and kubelet leave in a node's filesystem. */
export async function writeNodeFiles(node: NodePlan): Promise<void> {
	await Promise.all(
		[
			"etc/cni/net.d",
			"etc/kube-flannel",
			"run/flannel",
			"var/lib/cni/flannel",
			"var/lib/cni/networks",
			"var/lib/cni/results",
		].map((path) => mkdir(`${node.root}/${path}`, { recursive: true })),
	);
	await Promise.all([
		writeFile(`${node.root}/etc/hostname`, `${node.name}\n`),
		writeFile(`${node.root}/run/flannel/subnet.env`, subnetEnv(node)),
		writeFile(`${node.root}/etc/cni/net.d/10-flannel.conflist`, `${JSON.stringify(CONFLIST, null, 2)}\n`),
		writeFile(`${node.root}/etc/kube-flannel/net-conf.json`, `${JSON.stringify(NET_CONF, null, 2)}\n`),
	]);
}

/**
 * MTU of the tunnels: the underlay's 1500 less what VXLAN adds, 50 bytes over IPv4 and 70 over IPv6. Pods get the first,
 * as from flannel.
 */
export const MTU = { ipv4: 1450, ipv6: 1430 } as const;

/** The CNI network's configuration as flannel's manifest installs it. */
export const CONFLIST = {
	name: "cbr0",
	cniVersion: "0.3.1",
	plugins: [
		{ type: "flannel", delegate: { hairpinMode: true, isDefaultGateway: true } },
		{ type: "portmap", capabilities: { portMappings: true } },
	],
} as const;

const NET_CONF = {
	Network: POD_NETWORK.ipv4,
	IPv6Network: POD_NETWORK.ipv6,
	EnableIPv4: true,
	EnableIPv6: true,
	Backend: { Type: "vxlan" },
} as const;

/** Flannel writes the subnet with the bridge's address, the first one, not with the network's. */
function subnetEnv(node: NodePlan): string {
	return [
		`FLANNEL_NETWORK=${POD_NETWORK.ipv4}`,
		`FLANNEL_SUBNET=${node.subnet.ipv4.replace(".0/", ".1/")}`,
		`FLANNEL_IPV6_NETWORK=${POD_NETWORK.ipv6}`,
		`FLANNEL_IPV6_SUBNET=${node.subnet.ipv6.replace("::/", "::1/")}`,
		`FLANNEL_MTU=${MTU.ipv4}`,
		"FLANNEL_IPMASQ=true",
		"",
	].join("\n");
}
