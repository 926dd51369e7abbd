import { readdir } from "node:fs/promises";
import { LAB_ROOT, labName } from "./plan.js";
import { type LabState, readState, startTicks } from "./state.js";
import { labNamespaces } from "./teardown.js";

/** How a lab stands. `broken`: half built, or parts of it are gone. */
export interface LabStatus {
	readonly type: "lab";
	readonly name: string;
	readonly state: "up" | "starting" | "broken" | "down";
	/** Namespaces that should be there and are not. */
	readonly missing: readonly string[];
	readonly nodes: LabState["nodes"];
	readonly pods: LabState["pods"];
	readonly services: LabState["services"];
	readonly processes: readonly { readonly pid: number; readonly purpose: string; readonly alive: boolean }[];
}

/** Compares what a lab's records say with what the machine shows. */
export async function labStatus(name?: string): Promise<LabStatus> {
	const checked = labName(name);
	const [state, present] = await Promise.all([readState(checked), labNamespaces(checked)]);
	if (state === null) return { ...EMPTY, name: checked, state: present.length === 0 ? "down" : "broken" };
	const expected = [state.underlay, ...state.nodes, ...state.pods].map((each) => each.netns);
	const missing = expected.filter((netns) => !present.includes(netns));
	const processes = await Promise.all(
		state.processes.map(async ({ pid, purpose }) => ({ pid, purpose, alive: (await startTicks(pid)) !== null })),
	);
	const building = state.phase === "starting" && (await startTicks(state.builder.pid)) === state.builder.startTicks;
	const whole = state.phase === "up" && missing.length === 0;
	return {
		type: "lab",
		name: checked,
		state: whole ? "up" : building ? "starting" : "broken",
		missing: building ? [] : missing,
		nodes: state.nodes,
		pods: state.pods,
		services: state.services,
		processes,
	};
}

/** Names of the labs that left a directory or namespaces on this machine. */
export async function labNames(): Promise<string[]> {
	const directories = await readdir(LAB_ROOT).catch((): string[] => []);
	const namespaces = await readdir("/run/netns").catch((): string[] => []);
	const named = namespaces.map((netns) => /^weft-([a-z][a-z0-9]*)-(?:underlay$|node-|pod-)/.exec(netns)?.[1]);
	const names = [...directories.filter((entry) => !entry.startsWith(".")), ...named];
	return [...new Set(names.filter((name) => name !== undefined))].sort();
}

const EMPTY = { type: "lab", missing: [], nodes: [], pods: [], services: [], processes: [] } as const;
