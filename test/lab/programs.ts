import { addon } from "../../src/kernel/addon.js";
import type { Lab } from "../../src/lab/lab.js";
import { readWiring } from "../../src/wiring/snapshot.js";

/** TCX programs of anybody, and filters of weft's, on the devices of all nodes. */
export async function programsOn(lab: Lab): Promise<number> {
	let count = 0;
	for (const node of lab.nodes) {
		const { wiring } = readWiring({ native: addon(), node: node.name, netns: node.path, hostRoot: null });
		const netns = addon().openNetns(node.path);
		for (const { ifindex } of wiring.host.links) {
			for (const egress of [false, true]) count += addon().queryTcx(ifindex, egress, netns).length;
		}
		netns.close();
		const sides = wiring.host.links.flatMap(({ name }) =>
			["ingress", "egress"].map((side) => node.attempt("tc", "filter", "show", "dev", name, side)),
		);
		for (const { stdout } of await Promise.all(sides)) count += stdout.match(/weft\//g)?.length ?? 0;
	}
	return count;
}
