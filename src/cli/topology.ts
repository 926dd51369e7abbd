import { Command } from "commander";
import { describeNode, type NodeTopology } from "../identity/topology.js";
import { sanitizeJson } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { topologyLines } from "../render/text/topology.js";
import { WiringView } from "../wiring/view.js";
import { LocalNodes, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { stopOnSignals } from "./signals.js";

const help = `
A tree of each node: bridges with what is plugged in and whose it is, the tunnel with the nodes behind it, the NIC,
bridges with nothing on them, and links that nobody explains. Every name says where it comes from.

Examples:
  sudo weft topology                                   this node
  sudo weft topology --watch                           again whenever something comes or goes
  sudo weft topology --lab                             all nodes of the lab
  sudo weft topology -o json | jq '.pods[] | {name, device, sources}'
  sudo weft explain docker0                            one thing, in words`;

interface Options extends WhichNodes {
	readonly output: "text" | "json";
	readonly watch?: boolean;
}

export function define(command: Command): void {
	command
		.description("Nodes, bridges, veths, namespaces and pods, with the evidence for each.")
		.addHelpText("after", help)
		.option("--watch", "stay, and print a node again when it changes")
		.action(run);
	addShared(command, ["output", "lab", "netns", "hostRoot"]);
}

/** The command on its own, for a program that has no list of commands. */
export function topologyCommand(): Command {
	const command = new Command("topology");
	define(command);
	return command;
}

async function run(options: Options): Promise<void> {
	const stop = stopOnSignals();
	const nodes = await LocalNodes.open(options).finally(() => (stop.signal.aborted ? stop.dispose() : undefined));
	const output = new LineOutput(process.stdout);
	const shown = new Map<string, string>();
	const show = () => {
		for (const { wiring, directory } of nodes.observers) {
			const topology = describeNode(directory.view ?? new WiringView(wiring), directory);
			const json = JSON.stringify(topology);
			if (shown.get(topology.node) === json) continue;
			shown.set(topology.node, json);
			output.always(linesOf(topology, json, options.output));
		}
	};
	try {
		show();
		if (options.watch === true) await until(stop.signal, nodes, show);
	} finally {
		stop.dispose();
		nodes.close();
	}
}

function linesOf(topology: NodeTopology, json: string, form: Options["output"]): readonly string[] {
	if (form === "json") return [sanitizeJson(json)];
	const { stdout } = process;
	return topologyLines(topology, {
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY,
	});
}

/** Changes that come together are shown together; a pod is shown well within 100 ms of being known. */
const SETTLE_MS = 20;

function until(signal: AbortSignal, nodes: LocalNodes, show: () => void): Promise<void> {
	return new Promise((resolve) => {
		let timer: NodeJS.Timeout | null = null;
		nodes.onChange(() => {
			timer ??= setTimeout(() => {
				timer = null;
				show();
			}, SETTLE_MS);
		});
		const end = () => {
			if (timer !== null) clearTimeout(timer);
			resolve();
		};
		if (signal.aborted) end();
		else signal.addEventListener("abort", end, { once: true });
	});
}
