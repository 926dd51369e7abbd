import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { answers } from "../rpc/answers.js";
import { LabError } from "./error.js";
import { labDirectory, type NodePlan } from "./plan.js";
import type { Space } from "./space.js";
import type { LabProcess } from "./state.js";

/** Shared: all nodes have this machine's clock, as namespaces of one kernel do. Apart: each its own, as real nodes. */
export type LabClocks = "shared" | "apart";

export interface LabAgentsOptions {
	readonly clocks: LabClocks;
	/** Which hooks they use; absent: tcx where the kernel has it. */
	readonly attach?: "tcx" | "clsact";
}

/** How far each node's clock is off, and how much faster it runs: ns and millionths. */
export const CLOCKS_APART: readonly { readonly offsetNs: bigint; readonly driftPpm: number }[] = [
	{ offsetNs: 37_000_000_000n, driftPpm: 40 },
	{ offsetNs: -2_500_000_000n, driftPpm: -25 },
	{ offsetNs: 123_456_789n, driftPpm: 90 },
];

/** Where the agent of a lab's node listens. */
export function agentAddress(lab: string, node: string): string {
	return `unix:${socketOf(lab, node)}`;
}

export function purposeOf(node: string): string {
	return `agent of ${node}`;
}

/**
 * Starts `weft agent` inside a node, as it runs on a real one, and waits until it answers. It outlives this process and
 * ends with the lab.
 * @param clock the node's; null: the machine's
 * @throws LabError with its last words
 */
export async function startAgent(
	lab: string,
	space: Space & { readonly node: NodePlan },
	clock: (typeof CLOCKS_APART)[number] | null,
	attach?: "tcx" | "clsact",
): Promise<LabProcess> {
	const { name, netns, root } = space.node;
	const apart =
		clock === null ? [] : ["--clock-offset", String(clock.offsetNs), "--clock-drift", String(clock.driftPpm)];
	const place = ["--node", name, "--host-root", root, "--listen", agentAddress(lab, name)];
	const hooks = attach === undefined ? [] : ["--attach", attach];
	const log = `${labDirectory(lab)}/${name}/agent.log`;
	const file = openSync(log, "w");
	const child = space.spawn([process.execPath, WEFT, "agent", ...place, ...apart, ...hooks], {
		stdio: ["ignore", file, file],
		detached: true,
	});
	closeSync(file);
	let ended = false;
	once(child, "exit").then(
		() => {
			ended = true;
		},
		() => {
			ended = true;
		},
	);
	const deadline = Date.now() + PATIENCE_MS;
	while (!(await answers(socketOf(lab, name)))) {
		if (!ended && Date.now() < deadline) {
			await sleep(20);
			continue;
		}
		child.kill("SIGKILL");
		const words = (await readFile(log, "utf8").catch(() => "")).trim().split("\n").at(-1);
		throw new LabError(`agent of ${name}`, words || "it does not answer", { remedy: `see ${log}` });
	}
	child.unref();
	return { pid: child.pid ?? 0, netns, purpose: purposeOf(name) };
}

const WEFT = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const PATIENCE_MS = 20_000;

function socketOf(lab: string, node: string): string {
	return `${labDirectory(lab)}/${node}/weft.sock`;
}
