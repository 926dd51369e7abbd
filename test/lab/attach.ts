import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

export type Attach = "tcx" | "clsact" | "auto";

/** The hooks that traces of this process's tests use; see clsact-suite.test.ts. */
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
	const hooks = ["trace", "latency", "flows", "agent"].includes(command);
	const remote = args.some((word) => /^(--agent|-r|--read)\b/.test(word));
	return asked === "auto" || !hooks || remote ? [] : [`--attach=${asked}`];
}

/** A precondition: by clsact no link is of TCX, and a watchdog stands by. */
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
