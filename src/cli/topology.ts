import { Command } from "commander";
import { describeNode, type NodeTopology } from "../identity/topology.js";
import { sanitize, sanitizeJson } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { topologyLines } from "../render/text/topology.js";
import { Settling } from "../wiring/settling.js";
import { WiringView } from "../wiring/view.js";
import { LocalNodes, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { agentsToAsk, remoteNodes } from "./remote-nodes.js";
import { addProtection, type ProtectionOptions } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { until } from "./until.js";

const help = `
A tree of each node: bridges with what is plugged in and whose it is, the tunnel with the nodes behind it, the NIC,
bridges with nothing on them, and links that nobody explains. Every name says where it comes from.

Examples:
  sudo weft topology                                   this node, by its agent if one answers here
  sudo weft topology --watch                           again whenever something comes or goes
  sudo weft topology --lab                             all nodes of the lab
  weft topology --agent unix:/run/weft/a.sock --agent unix:/run/weft/b.sock
                                                       all nodes that agents, or a relay, serve
  sudo weft topology -o json | jq '.pods[] | {name, device, sources}'
  sudo weft explain docker0                            one thing, in words`;

interface Options extends WhichNodes, ProtectionOptions {
	readonly agent: readonly string[];
	readonly output: "text" | "json";
	readonly watch?: boolean;
}

export function define(command: Command): void {
	command
		.description("Nodes, bridges, veths, namespaces and pods, with the evidence for each.")
		.addHelpText("after", help)
		.option("--watch", "stay, and print a node again when it changes")
		.action(run);
	addShared(command, ["output", "agent", "lab", "netns", "hostRoot"]);
	addProtection(command);
}

/** The command on its own, for a program that has no list of commands. */
export function topologyCommand(): Command {
	const command = new Command("topology");
	define(command);
	return command;
}

async function run(asked: Options): Promise<void> {
	const stop = stopOnSignals();
	const options = { ...asked, agent: await agentsToAsk(asked) };
	const nodes = await followed(options).finally(() => (stop.signal.aborted ? stop.dispose() : undefined));
	const output = new LineOutput(process.stdout);
	const shown = new Map<string, string>();
	const show = () => {
		const topologies = nodes.topologies();
		for (const topology of topologies) {
			const json = JSON.stringify(topology);
			if (shown.get(topology.node) === json) continue;
			shown.set(topology.node, json);
			output.always(linesOf(topology, json, options.output));
		}
		const present = new Set(topologies.map(({ node }) => node));
		for (const node of shown.keys()) {
			if (present.has(node)) continue;
			shown.delete(node);
			process.stderr.write(`weft: ${sanitize(node)} is gone\n`);
		}
	};
	try {
		show();
		if (options.watch === true) {
			const settling = new Settling(SETTLE_MS, show);
			nodes.onChange(() => settling.changed());
			await until(stop.signal, null);
			settling.cancel();
		}
	} finally {
		stop.dispose();
		nodes.close();
	}
}

/** Nodes that are shown, here or far away. */
interface FollowedNodes {
	topologies(): readonly NodeTopology[];
	onChange(call: () => void): void;
	close(): void;
}

/** Those behind the agents; else those of this machine. */
async function followed(options: Options): Promise<FollowedNodes> {
	if (options.agent.length > 0) {
		const remote = await remoteNodes(options, { withEvidence: false });
		return {
			topologies: () => remote.topologies,
			onChange: (call) => remote.onChange(call),
			close: () => remote.close(),
		};
	}
	const local = await LocalNodes.open(options);
	return {
		topologies: () =>
			local.observers.map(({ wiring, directory }) => describeNode(directory.view ?? new WiringView(wiring), directory)),
		onChange: (call) => local.onChange(call),
		close: () => local.close(),
	};
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
