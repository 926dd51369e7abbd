/**
 * `weft trace` of a pair: start to ready, Ctrl-C to silent. As much is waiting for the kernel's grace periods, 12 ms a
 * hook, the CPU time is printed too: node dist/bench/start.bench.js [--rounds N]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Lab } from "../src/lab/lab.js";
import { inLab, startTraced, type Traced } from "./cluster.js";
import { alternate, spread } from "./rounds.js";
import { progress, row, title } from "./table.js";

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "9" } } });
const ROUNDS = Number(options.rounds);
const LATE = 5;
const PATIENCE_MS = 5000;

await inLab(async (lab) => {
	const { netns, root: hostRoot } = lab.node("node-a").node;
	const kinds = {
		"same node": { to: "default/neighbor", netns, hostRoot },
		"other node": { to: "default/server", netns, hostRoot },
		"other node, both watched": { to: "default/server", lab: lab.name },
	};
	const runs: Record<keyof typeof kinds, Traced[]> = {
		"same node": [],
		"other node": [],
		"other node, both watched": [],
	};
	const once = (kind: keyof typeof kinds) => async () => {
		const trace = await startTraced({ from: "default/client", ...kinds[kind] });
		const run = await trace.stop();
		runs[kind].push(run);
		return run.sinceStartMs;
	};
	await alternate(
		ROUNDS,
		{
			"same node": once("same node"),
			"other node": once("other node"),
			"other node, both watched": once("other node, both watched"),
		},
		(kind, round, ms) => progress(`start, round ${round + 1}/${ROUNDS}, ${kind}: ${ms.toFixed(0)} ms`),
	);
	const late = await appearing(lab);
	title(`weft trace of a pair, ${ROUNDS} rounds, median (min–max)`);
	for (const [kind, all] of Object.entries(runs)) {
		const hooks = all[0]?.summary.hooks ?? 0;
		const budgeted = hooks <= 12;
		const of = (pick: (run: Traced) => number) => spread(all.map(pick));
		row(
			`${kind}, ${hooks} hooks: start to ready`,
			of(({ sinceStartMs }) => sinceStartMs),
			"ms",
			budgeted ? "≤ 500" : "",
		);
		row(
			"  of which Node and imports take",
			of((run) => run.sinceStartMs - run.readyMs),
			"ms",
		);
		row(
			"  CPU time to ready",
			of(({ cpuToReadyMs }) => cpuToReadyMs),
			"ms",
		);
		row(
			"  Ctrl-C to the summary",
			of(({ stopMs }) => stopMs),
			"ms",
		);
		row(
			"  Ctrl-C to silent, hooks and process gone",
			of(({ silentMs }) => silentMs),
			"ms",
			budgeted ? "≤ 200" : "",
		);
	}
	row("a new veth, hooked both ways after it appears", spread(late), "ms", "≤ 50");
});

/** Ports of cni0 that come while everything is traced: from the end of `ip link add` to both hooks, ms. */
async function appearing(lab: Lab): Promise<number[]> {
	const node = lab.node("node-a");
	const { netns, root: hostRoot } = node.node;
	const pod = lab.pod("default/client").netns;
	const trace = await startTraced({ from: "any", to: "any", netns, hostRoot });
	const took: number[] = [];
	for (let n = 0; n < LATE; n++) {
		const device = `late${n}`;
		const hooked = trace.hooked(device);
		const peer = ["peer", "name", device, "netns", pod];
		await node.run("ip", "link", "add", device, "master", "cni0", "up", "type", "veth", ...peer);
		const added = performance.now();
		// One that is never hooked shows as such.
		await Promise.race([hooked, sleep(PATIENCE_MS)]);
		took.push(performance.now() - added);
	}
	await trace.stop();
	return took;
}
