import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Summary } from "../../src/collector/report.js";
import type { FlowRecord } from "../../src/flow/record.js";
import type { Lab } from "../../src/lab/lab.js";
import type { Path } from "../../src/path/path.js";
import { shortName } from "./hop-table.js";
import { flowsOf } from "./replayed.js";
import { readSightings, type Sighting } from "./sightings.js";
import { assertBalanced, startWeft } from "./weft.js";

export interface Recorded {
	/** What was said last of each, in the order of their first words. */
	readonly paths: readonly Path[];
	/** What the hooks saw, whatever the Joiner made of it. */
	readonly sightings: readonly Sighting[];
	readonly flows: readonly FlowRecord[];
	readonly summary: Summary;
}

/** Runs `weft trace --lab -w` around some traffic, until what may be lost is known to be. */
export async function recorded(
	lab: Lab,
	filter: string,
	send: () => Promise<unknown>,
	...options: readonly string[]
): Promise<Recorded> {
	const folder = mkdtempSync(join(tmpdir(), "weft-recorded-"));
	const file = join(folder, "trace.weft");
	try {
		const weft = await startWeft("trace", "any", "any", filter, `--lab=${lab.name}`, "-w", file, ...options);
		try {
			await send();
			await sleep(2600);
		} catch (cause) {
			await weft.stop();
			throw cause;
		}
		const summary = await weft.stop();
		assertBalanced(summary);
		keep(file, weft.paths);
		const paths = [...new Map(weft.paths.map((path) => [path.id, path])).values()];
		return { paths, sightings: await readSightings(file), flows: await flowsOf(file), summary };
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/**
 * With WEFT_RECORDINGS=DIRECTORY what was traced becomes a case of test/collector/recordings.test.ts: the file, and the
 * paths as they were told live.
 */
export function keep(file: string, paths: readonly Path[]): void {
	const folder = process.env["WEFT_RECORDINGS"];
	if (folder === undefined) return;
	kept++;
	const name = join(folder, `${basename(process.argv[1] ?? "", ".test.js")}-${kept}`);
	copyFileSync(file, `${name}.weft`);
	writeFileSync(`${name}.json`, paths.map((path) => `${JSON.stringify(path)}\n`).join(""));
}

let kept = 0;

/** "cA→i", "flannel→e", and the node's letter: "cA→i a". */
export function hookName(
	lab: Lab,
	{ node, device, direction }: { readonly node: string; readonly device: string; readonly direction: string },
): string {
	return `${shortName(lab, node, device)}→${direction === "ingress" ? "i" : "e"} ${node.at(-1)}`;
}

/** How often each hook saw something, in order of first sight. */
export function countByHook(lab: Lab, sightings: readonly Sighting[]): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const { hook } of sightings) {
		const name = hookName(lab, hook);
		counts[name] = (counts[name] ?? 0) + 1;
	}
	return counts;
}

/** The packets of a path by hook, as the path says. */
export function packetsByHook(lab: Lab, path: Path): Record<string, number> {
	return Object.fromEntries(path.hops.map((hop) => [hookName(lab, hop), hop.packets]));
}

export function assertNothingLost({ summary }: Recorded): void {
	assert.deepEqual(summary.events.lost, {}, "precondition: no event was lost");
}
