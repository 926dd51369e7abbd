import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { Hook } from "../../src/packet/hook.js";
import { labsUp } from "./cluster.js";

export type Attach = "tcx" | "clsact" | "auto";

/** Where a hook is, as `weft trace` and an agent's status tell. */
export type HookedAt = Pick<Hook, "node" | "device" | "direction" | "role">;

/** The hooks that traces of this process's tests use; see clsact-files.ts. */
let asked: Attach = "auto";

export function attachBy(how: Attach): void {
	asked = how;
}

export function attach(): Attach {
	return asked;
}

/** What a `weft COMMAND …` is told besides: only one that has hooks of its own. */
export function attachOptions(args: readonly string[]): readonly string[] {
	const [command = ""] = args;
	const hooks = ["trace", "latency", "flows", "agent", "explain"].includes(command);
	const remote = args.some((word) => /^(--agent|-r|--read)\b/.test(word));
	return asked === "auto" || !hooks || remote ? [] : [`--attach=${asked}`];
}

/** A precondition: by clsact a process of weft's has no link of TCX. */
export function assertAttached(pid: number | undefined): void {
	if (asked !== "clsact" || pid === undefined) return;
	const links = readdirSync(`/proc/${pid}/fdinfo`).filter((fd) => {
		try {
			return /^link_type:\s*tcx$/m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"));
		} catch {
			return false; // Closed meanwhile.
		}
	});
	assert.equal(links.length, 0, "precondition: its hooks are filters of clsact");
}

/** A precondition: by clsact each of these hooks is a filter that tc(8) shows under weft's name, in a lab of this process. */
export async function assertFiltered(hooks: readonly HookedAt[]): Promise<void> {
	if (asked !== "clsact" || hooks.length === 0) return;
	assert.ok(
		(await Promise.all(labsUp().map((lab) => lacking(lab, hooks)))).some((unfiltered) => unfiltered.length === 0),
		"precondition: each hook is a filter of weft's",
	);
}

/** Those of the hooks that are no filters in this lab. */
async function lacking(
	lab: ReturnType<typeof labsUp>[number],
	hooks: readonly HookedAt[],
): Promise<readonly HookedAt[]> {
	const perNode = lab.nodes.map(async (node) => {
		const here = hooks.filter((hook) => hook.node === node.name && hook.role !== "inside");
		// One shell for all of them: this is done before every trace.
		const shown = await node.attempt(
			...["bash", "-c"],
			here.map(({ device, direction }) => `tc filter show dev ${device} ${direction}; echo --`).join("\n"),
		);
		const texts = shown.stdout.split("--\n");
		return here.filter((_, at) => !/ weft\/\w+/.test(texts[at] ?? ""));
	});
	const names = new Set(lab.nodes.map(({ name }) => name));
	return [...(await Promise.all(perNode)).flat(), ...hooks.filter(({ node }) => !names.has(node))];
}
