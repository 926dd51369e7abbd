import type { Command } from "commander";
import { parseFilter } from "../filter/grammar.js";
import type { DropReport, DropSummary } from "../latency/drop-report.js";
import { jsonLine } from "../render/json.js";
import { sanitize } from "../render/sanitize.js";
import type { TimeForm } from "../render/text/clock.js";
import { wantsColour } from "../render/text/colours.js";
import { DropTable } from "../render/text/drops.js";
import { UsageError } from "./errors.js";
import { specsOf, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { agentsToAsk } from "./remote-nodes.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { until } from "./until.js";

const help = `
Each row is what was dropped alike within a tenth of a second: why, where the packet was last, whose it was; under
the first of its kind what the kernel says, what usually causes it, and what to do (→). Only drops of this node and its
pods, or of those that agents serve. What the kernel throws away with nothing lost (copies for others, the end of
connections) is left out, but counted.

Where a packet was last is concluded from what the kernel notes on it: the device by which it came in, or the one that
threw it away while sending. That costs nothing while nothing is dropped. With --hooks each device notes which packets it
has seen, as under weft trace and at its price, and a row tells where that very packet was seen last. In JSON a hop's
"evidence" is "concluded" or "seen"; what no hook saw, such as copies that a bridge floods, is concluded also then.

Examples:
  sudo weft drops                                      live, until Ctrl-C; then a table of all
  sudo weft drops pod default/web                      of one pod, either way
  sudo weft drops 'tcp port 80 and not net 10.96.0.0/12'
  sudo weft drops -d 10s -o json | jq -r 'select(.type == "drop") | "\\(.count) \\(.diagnosis) \\(.remedy)"'
  sudo weft drops --hooks                              where each was seen last, not concluded
  sudo weft drops --lab                                all nodes of the lab
  weft drops --agent a:7443 --agent b:7443 --tls-…     of both nodes, from anywhere
  sudo weft trace default/client default/server        the same drops on the packets' own paths, hop by hop`;

interface Options extends WhichNodes, ProtectionOptions {
	readonly agent: readonly string[];
	readonly namespace: string;
	readonly duration?: number;
	readonly count?: number;
	readonly time: TimeForm;
	readonly output: "text" | "json";
	readonly hooks?: boolean;
	readonly attach?: "tcx" | "clsact";
}

export function define(command: Command): void {
	command
		.usage("[FILTER] [OPTIONS]")
		.argument("[FILTER...]", "tcpdump's language, plus pod, svc and node")
		.option("--hooks", "hook the devices, to see where packets were last")
		.addHelpText("after", help)
		.action(run);
	const shared = [
		"namespace",
		"count",
		"duration",
		"time",
		"output",
		"agent",
		"lab",
		"netns",
		"hostRoot",
		"attach",
	] as const;
	addShared(command, shared);
	addProtection(command);
}

/** What watches: this process, or agents. */
interface Watching {
	readonly begun: string;
	/** Hooks go with the process, all at once; taking them away one by one would keep the user waiting. */
	stop(): Promise<DropSummary>;
}

type Tell = (reports: readonly DropReport[]) => void;

const warn = (line: string) => process.stderr.write(`weft: ${sanitize(line)}\n`);

async function startHere(filter: string, options: Options, tell: Tell): Promise<Watching> {
	const { attach = "auto", namespace } = options;
	const parsed = parseFilter(filter, { namespace });
	requireTracingRights("watching drops on this machine");
	const nodes = await specsOf(options);
	const { DropsWatch } = await import("../collector/drops.js");
	const watch = await DropsWatch.start({ nodes, filter: parsed, ...(options.hooks ? { hooks: attach } : {}) }, tell);
	const { nodes: names, namespaces, warnings } = watch.ready;
	for (const line of warnings) warn(line);
	return {
		begun: `watching ${namespaces} namespaces on ${sanitize(names.join(", "))}`,
		stop: () => watch.stop(),
	};
}

async function startRemote(agents: readonly string[], filter: string, options: Options, tell: Tell): Promise<Watching> {
	const { namespace, hooks = false } = options;
	parseFilter(filter, { namespace });
	const protection = protectionOf(options);
	const { RemoteDrops } = await import("../rpc/client/remote-drops.js");
	const watch = await RemoteDrops.start(
		{ agents, protection, filter, namespace, hooks },
		{ drops: tell, warning: warn },
	);
	return {
		begun: `agents are watching ${sanitize(watch.ready.nodes.join(", "))}`,
		stop: () => watch.stop(),
	};
}

async function run(words: readonly string[], options: Options): Promise<void> {
	const stop = stopOnSignals();
	const enough = new AbortController();
	const printer = printerFor(options);
	let reports = 0;
	const tell: Tell = (batch) => {
		for (const report of batch) {
			if (reports === options.count) break;
			printer.drop(report);
			reports++;
		}
		if (reports === options.count) enough.abort();
	};
	try {
		if (options.attach !== undefined && !options.hooks) {
			throw new UsageError("--attach says which hooks, and there are none", "give --hooks, too");
		}
		const filter = words.join(" ");
		const agents = await agentsToAsk(options);
		const watch = await (agents.length > 0
			? startRemote(agents, filter, options, tell)
			: startHere(filter, options, tell));
		process.stderr.write(`weft: ${watch.begun}\n`);
		await until(AbortSignal.any([stop.signal, enough.signal]), options.duration ?? null);
		printer.summary(await watch.stop());
	} finally {
		stop.dispose();
	}
}

interface Printer {
	drop(report: DropReport): void;
	summary(summary: DropSummary): void;
}

function printerFor({ output: form, time }: Options): Printer {
	const output = new LineOutput(process.stdout);
	if (form === "json") {
		return {
			drop: (report) => output.row([jsonLine(report)]),
			summary: (summary) => output.always([jsonLine(summary)]),
		};
	}
	const { stdout } = process;
	const table = new DropTable({
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: () => (stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY),
		time,
	});
	return {
		drop: (report) => output.row(table.drop(report)),
		summary: (summary) => output.always([...table.table(summary.seconds), accountOf(summary)]),
	};
}

/** What is not in the table. */
function accountOf({ seconds, dropped, consumed, filtered, sampled, ringFull, unknown, missed }: DropSummary): string {
	const others = [
		[filtered, "not matched by the filter"],
		[consumed, "freed with nothing lost"],
		[unknown, "of no namespace that could be found"],
		[sampled, "counted by kind, not in detail"],
		[ringFull, "without details: the ring was full"],
		[missed, "not seen: the program would have interrupted itself"],
	] as const;
	const told = others.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
	return `${dropped} dropped in ${seconds.toFixed(1)} s${told.length === 0 ? "" : `; ${told.join(", ")}`}`;
}
