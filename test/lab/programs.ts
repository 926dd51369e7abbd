import { addon } from "../../src/kernel/addon.js";
import type { Lab } from "../../src/lab/lab.js";
import { readWiring } from "../../src/wiring/snapshot.js";

/** TCX programs of anybody on the devices of all nodes. */
export async function programsOn(lab: Lab): Promise<number> {
	let count = 0;
	for (const node of lab.nodes) {
		const { wiring } = readWiring({ native: addon(), node: node.name, netns: node.path, hostRoot: null });
		const netns = addon().openNetns(node.path);
		for (const { ifindex } of wiring.host.links) {
			for (const egress of [false, true]) count += addon().queryTcx(ifindex, egress, netns).length;
		}
		netns.close();
	}
	return count;
}
