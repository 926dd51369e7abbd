import { fdbEntries } from "./flannel.js";
import type { NodePlan } from "./plan.js";
import type { Space } from "./space.js";

/** Removes flannel's FDB entries for a peer, both families. */
export async function removeFdb(node: Space, peer: NodePlan): Promise<void> {
	await bridge(node, "del", peer);
}

/** Puts them back. */
export async function restoreFdb(node: Space, peer: NodePlan): Promise<void> {
	await bridge(node, "replace", peer);
}

export async function setLink(space: Space, device: string, up: boolean): Promise<void> {
	await space.run("ip", "link", "set", device, up ? "up" : "down");
}

export async function setBridgeNetfilter(node: Space, on: boolean): Promise<void> {
	const value = on ? 1 : 0;
	await node.sysctl({
		"net.bridge.bridge-nf-call-iptables": value,
		"net.bridge.bridge-nf-call-ip6tables": value,
	});
}

/** Makes all neighbours on cni0 stale and gives their number. */
export async function staleNeighbours(node: Space): Promise<number> {
	const neighbours = JSON.parse(await node.run("ip", "-j", "neigh", "show", "dev", "cni0")) as {
		readonly dst: string;
		readonly lladdr?: string;
	}[];
	const known = neighbours.filter((each) => each.lladdr !== undefined);
	await node.ip(known.map((each) => `neigh replace ${each.dst} lladdr ${each.lladdr} dev cni0 nud stale`));
	return known.length;
}

async function bridge(node: Space, verb: "del" | "replace", peer: NodePlan): Promise<void> {
	const input = fdbEntries(peer)
		.map((entry) => `fdb ${verb} ${entry}\n`)
		.join("");
	await node.runWith({ input }, "bridge", "-batch", "-");
}
