import type { Space } from "./space.js";

/**
 * Settings of segmentation offloads that nodes are met with.
 * `default`: as veth has them; segments stay together all the way.
 * `no-tunnel-segmentation`: eth0 cannot segment inside VXLAN; packets are cut at eth0 and arrive singly.
 * `nic`: besides, the underlay cuts on transmission and eth0 puts together on reception (GRO), as a real NIC does.
 * `no-tunnel-checksum`: flannel.1 without checksum offload, a common workaround; packets are cut at flannel.1.
 */
export type OffloadSetting = "default" | "no-tunnel-segmentation" | "nic" | "no-tunnel-checksum";

export const OFFLOAD_SETTINGS: readonly OffloadSetting[] = [
	"default",
	"no-tunnel-segmentation",
	"nic",
	"no-tunnel-checksum",
];

/** Applies a setting to every node and its port of the switch, whatever was set before. */
export async function setOffloads(underlay: Space, nodes: readonly Space[], setting: OffloadSetting): Promise<void> {
	const tunnelSegmentation = onOff(setting === "default" || setting === "no-tunnel-checksum");
	const nic = setting === "nic";
	const tunnelChecksum = onOff(setting !== "no-tunnel-checksum");
	await Promise.all(
		nodes.map(async (node, index) => {
			await node.run(
				...["ethtool", "-K", "eth0"],
				...["tx-udp_tnl-segmentation", tunnelSegmentation, "tx-udp_tnl-csum-segmentation", tunnelSegmentation],
				...["gro", onOff(nic)],
			);
			for (const tunnel of ["flannel.1", "flannel-v6.1"]) {
				await node.run("ethtool", "-K", tunnel, "tx-checksum-ip-generic", tunnelChecksum);
			}
			await underlay.run("ethtool", "-K", `sw${index + 1}`, "gro", onOff(nic), "tso", onOff(!nic));
		}),
	);
}

function onOff(on: boolean): "on" | "off" {
	return on ? "on" : "off";
}
