import type { NodeSpec, StartTrace, TraceListener } from "../collector/request.js";
import { sanitizeJson } from "../render/sanitize.js";
import { coloursFor } from "../render/text/colours.js";
import { wrap } from "../render/text/explain.js";
import { Line } from "../render/text/line.js";
import type { TreeOptions } from "../render/text/topology.js";
import type { WhichNodes } from "./local-nodes.js";
import { type Checked, ModelCheck, type Promised, type Witness } from "./model-check.js";
import { requestOf } from "./trace.js";

/** What each promise means, and traffic that would put it to the test. */
const MEANING: Readonly<Record<Promised, { readonly words: string; readonly traffic: string }>> = {
	"pods reach pods without NAT": {
		words: "A packet arrives at a pod with the addresses that it was sent with, whichever node the two are on.",
		traffic: "ping one pod from another by its address",
	},
	"nodes reach pods without NAT": {
		words: "So does a packet that the node itself sends: a kubelet's probe, for one.",
		traffic: "ping a pod from a node",
	},
	"others see a pod's own address": {
		words:
			"Whoever a pod talks to inside the cluster sees the address that the pod sees itself. (Outside of the cluster they see the node's: that is masqueraded, and no promise.)",
		traffic: "let a pod talk to another one, or to a service",
	},
};

/** Watches live traffic for `ms` and says of each promise which packets prove it, and which break it. */
export async function checkModel(
	which: WhichNodes & { readonly agent: readonly string[]; readonly attach?: "tcx" | "clsact" },
	ms: number,
	signal: AbortSignal,
	startTrace: StartTrace,
): Promise<readonly Checked[]> {
	const check = new ModelCheck();
	const request = requestOf([], {
		...which,
		namespace: "default",
		sample: 1,
		all: true,
		time: "absolute",
		output: "json",
		duration: ms,
	});
	const quiet = () => {};
	const listener: TraceListener = {
		ready: quiet,
		path: (path) => check.path(path),
		status: quiet,
		hook: quiet,
		warning: (line) => process.stderr.write(`weft: ${JSON.stringify(line).slice(1, -1)}\n`),
		summary: quiet,
	};
	await startTrace({ ...request, nodes: which.agent.length > 0 ? null : await specsOf(which) }, listener, signal);
	return check.results();
}

async function specsOf({ lab, netns }: WhichNodes): Promise<readonly NodeSpec[] | null> {
	if (lab === undefined && netns === undefined) return null;
	const { labNodes, labNodesAround } = await import("../lab/nodes.js");
	return lab !== undefined ? labNodes(lab) : labNodesAround(netns ?? "");
}

/** One JSON object a promise. */
export function modelJson(results: readonly Checked[]): readonly string[] {
	return results.map((checked) => sanitizeJson(JSON.stringify({ type: "promise", ...checked })));
}

export function modelLines(results: readonly Checked[], seconds: number, options: TreeOptions): readonly string[] {
	const colours = coloursFor(options.colour);
	const columns = Math.min(options.width, 100);
	const lines: Line[] = [];
	for (const { promise, kept, broken, proof, breaches } of results) {
		const { words, traffic } = MEANING[promise];
		const title = `${promise[0]?.toUpperCase()}${promise.slice(1)}`;
		const unseen = kept + broken === 0;
		lines.push(
			...(lines.length === 0 ? [] : [new Line()]),
			new Line()
				.add(unseen ? "? " : broken === 0 ? "✓ " : "✗ ", unseen ? "yellow" : broken === 0 ? "green" : "red")
				.add(title, "bold"),
			...wrap(words, columns - 2).map((text) => new Line().add(`  ${text}`)),
		);
		if (unseen) {
			lines.push(new Line().add(`  no such packet passed in ${seconds} s: ${traffic}`, "yellow"));
			continue;
		}
		if (kept > 0) lines.push(new Line().add(`  ${kept} packets prove it, like this one:`, "green"));
		if (proof !== null) lines.push(...witnessLines(proof));
		if (broken > 0) lines.push(new Line().add(`  ${broken} packets break it:`, "red"));
		for (const breach of breaches) lines.push(...witnessLines(breach));
	}
	return lines.map((line) => line.toString(colours));
}

function witnessLines({ time, protocol, ends, first, last, sent, arrived }: Witness): readonly Line[] {
	return [
		new Line().add(`    ${time}  ${protocol}  ${ends}`),
		new Line().add(`      ${sent}  at ${first}`, "dim"),
		new Line().add(`      ${arrived}  at ${last}`, "dim"),
	];
}
