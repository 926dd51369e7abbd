import type { NodeSpec } from "../collector/request.js";
import { labName } from "./plan.js";
import { readState } from "./state.js";

/** The nodes of a lab as a trace takes them. Throws LabError when it is not up. */
export async function labNodes(name: string): Promise<readonly NodeSpec[]> {
	const state = await readState(labName(name));
	// What is wrong with a lab that is not up takes all of its code to say.
	const nodes = state?.phase === "up" ? state.nodes : (await (await import("./lab.js")).Lab.open(name)).state.nodes;
	return nodes.map((node) => ({
		name: node.name,
		netns: `/run/netns/${node.netns}`,
		hostRoot: node.root,
		watch: true,
	}));
}

/**
 * The lab that a namespace is a node of: all its nodes, of which only this one is watched; the others tell their pods'
 * names, as an API server would. Null: no lab's.
 */
export async function labNodesAround(netns: string): Promise<readonly NodeSpec[] | null> {
	const match = /^weft-([a-z0-9]+)-/.exec(netns);
	const state = match === null ? null : await readState(match[1] as string);
	if (state === null || !state.nodes.some((node) => node.netns === netns)) return null;
	const nodes = await labNodes(state.name);
	return nodes.map((node) => ({ ...node, watch: node.netns === `/run/netns/${netns}` }));
}
