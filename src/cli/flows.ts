import type { Command } from "commander";
import { askQuestion } from "../collector/question.js";
import type { FlowRecord } from "../flow/record.js";
import { jsonLine } from "../render/json.js";
import { sanitize } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { FlowTable } from "../render/text/flows.js";
import type { RemoteListener } from "../rpc/client/remote-trace.js";
import { specsOf, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { agentsToAsk } from "./remote-nodes.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { version } from "./version.js";

const help = `
Connections rebuilt from the paths of their packets: both directions, both faces of a service, pods and nodes, the
tunnel between them, TCP state, handshake and round-trip times, and at which hop the original of a retransmission was
lost. UDP and ICMP as far as they have it.

Examples:
  sudo weft flows                                      this node, again each second
  sudo weft flows tcp port 80 --once -d 5s             what was there within five seconds
  weft flows --agent unix:/run/weft/a.sock --agent 10.0.0.12:7443 --tls-cert me.pem --tls-key me.key --tls-ca ca.pem
  sudo weft flows --lab -o json | jq 'select(.retransmissions != [])'

JSON: a line for each flow that has changed, each second.`;

interface Options extends WhichNodes, ProtectionOptions {
	readonly namespace: string;
	readonly once?: boolean;
	readonly duration?: number;
	readonly agent: readonly string[];
	readonly attach?: "tcx" | "clsact";
	readonly sample: number;
	readonly output: "text" | "json";
}

const ONCE_MS = 3000;

export function define(command: Command): void {
	command
		.usage("[FILTER] [OPTIONS]")
		.argument("[FILTER...]", "tcpdump's language, and pod, svc, node")
		.option("--once", "watch for -d (default: 3s), then print once")
		.addHelpText("after", help)
		.action(run);
	addShared(command, ["namespace", "duration", "output", "agent", "lab", "netns", "hostRoot", "attach", "sample"]);
	addProtection(command);
}

async function run(words: readonly string[], options: Options): Promise<void> {
	const question = { from: "any", to: "any", filter: words.join(" "), namespace: options.namespace };
	askQuestion(question);
	const protection = protectionOf(options);
	const { agents, close } = await agentsFor(options);
	const stop = stopOnSignals();
	try {
		const { startRemoteTrace } = await import("../rpc/client/remote-trace.js");
		const durationMs = options.duration ?? (options.once === true ? ONCE_MS : null);
		const request = {
			...question,
			agents,
			protection,
			durationMs,
			sample: options.sample,
			count: null,
			everyPath: true,
		};
		const shown = shownAs(options);
		await startRemoteTrace(request, shown.listener, stop.signal);
		shown.end();
	} finally {
		stop.dispose();
		await close();
	}
}

interface Asked {
	readonly agents: readonly string[];
	readonly close: () => Promise<void>;
}

/** Those that are named; else the local one, if it answers; else this process is one. */
async function agentsFor(options: Options): Promise<Asked> {
	const agents = await agentsToAsk(options);
	if (agents.length > 0) return { agents, close: () => Promise.resolve() };
	const { lab, netns, hostRoot, attach } = options;
	requireTracingRights("tracing on this machine");
	const specs = await specsOf({
		...(lab !== undefined && { lab }),
		...(netns !== undefined && { netns }),
		...(hostRoot !== undefined && { hostRoot }),
	});
	const { InProcessAgents } = await import("../rpc/agent/in-process.js");
	const own = await InProcessAgents.start(specs, { attach: attach ?? "auto", version: version() });
	return { agents: own.addresses, close: () => own.close() };
}

interface Shown {
	readonly listener: RemoteListener;
	readonly end: () => void;
}

function shownAs({ output: form, once = false }: Options): Shown {
	const { stdout } = process;
	const output = new LineOutput(stdout);
	const flows = new Map<string, FlowRecord>();
	const table = new FlowTable({
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: () => (stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY),
		height: () => (stdout.isTTY ? (stdout.rows || 24) - 3 : Number.POSITIVE_INFINITY),
	});
	const show = () => {
		const lines = table.lines([...flows.values()]);
		if (stdout.isTTY && !once) output.row([HOME + lines.join("\n")]);
		else output.row(lines);
	};
	const listener: RemoteListener = {
		ready({ hooks, nodes }) {
			process.stderr.write(`weft: ${hooks.length} hooks on ${sanitize(nodes.join(", "))}\n`);
		},
		path: () => undefined,
		status() {
			if (form === "text" && !once) show();
		},
		hook: () => undefined,
		warning: (line) => process.stderr.write(`weft: ${sanitize(line)}\n`),
		summary: () => undefined,
		flows(changed) {
			for (const flow of changed) {
				flows.delete(flow.id);
				flows.set(flow.id, flow);
				if (form === "json" && !once) output.row([jsonLine(flow)]);
			}
			forgetOldest(flows);
		},
	};
	return {
		listener,
		end() {
			if (form === "text") show();
			else if (once) for (const flow of flows.values()) output.always([jsonLine(flow)]);
		},
	};
}

/** Cursor to the top left, and nothing below it. */
const HOME = "\x1b[H\x1b[J";
/** As many as the collector remembers. */
const MOST_FLOWS = 65_536;

function forgetOldest(flows: Map<string, FlowRecord>): void {
	for (const id of flows.keys()) {
		if (flows.size <= MOST_FLOWS) return;
		flows.delete(id);
	}
}
