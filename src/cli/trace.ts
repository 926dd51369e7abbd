import type { Command } from "commander";
import { askQuestion } from "../collector/question.js";
import type { NodeSpec, StartTrace, TraceRequest } from "../collector/request.js";
import { UsageError } from "./errors.js";
import { jsonListener, textListener } from "./listeners.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { version } from "./version.js";

const help = `
Ends and filter:
  FROM and TO are ENDs: namespace/pod, pod, a glob (default/web-*), an address or prefix, svc:namespace/name, node:NAME
  or any. Packets of both directions are traced. FILTER is tcpdump's language, plus pod, svc and node; it may follow
  either END: the first word that only a filter can begin with (tcp, port, not, greater …) begins it.

Examples:
  weft trace default/client default/server             everything between two pods
  weft trace client svc:default/web tcp port 80        through a service, by the port of the service
  weft trace any node:node-b 'icmp or icmp6'           pings to anything on a node
  weft trace 10.244.1.0/24 any 'tcp[tcpflags] & (tcp-syn|tcp-rst) != 0'
  weft trace client server -c 20 --all                 every packet of the first twenty, no thinning
  weft trace client server -o json | jq -c 'select(.verdict != "delivered")'
  weft trace client server --lab                       both nodes of the lab: whole paths
  weft trace client server --netns node-a              one node that is a network namespace
  weft trace client server -d 10s -w slow.weft; weft trace -r slow.weft
  weft trace client server -w share.weft --anonymize   with addresses and names replaced, to show to others

Reading a row:
  time → packet, then µs since the previous hop for each hop, ║ between nodes, the total, and how the path ended:
  ✓ delivered   → node-b, not watched: left as the routes say   ✗ lost or dropped, and why   ? incomplete
  Replies (←) read from right to left. ×45: so many packets on the wire. *: NAT happened here. ±2: error of the clocks.

Ctrl-C ends with a summary. Needs root for tracing on this machine; neither for --agent nor for -r.`;

interface Options extends ProtectionOptions {
	readonly namespace: string;
	readonly count?: number;
	readonly duration?: number;
	readonly agent: readonly string[];
	readonly lab?: string;
	readonly netns?: string;
	readonly hostRoot?: string;
	readonly attach?: "tcx" | "clsact";
	readonly sample: number;
	readonly all: boolean;
	readonly time: "absolute" | "relative";
	readonly output: "text" | "json";
	readonly write?: string;
	readonly read?: string;
	readonly anonymize?: boolean;
}

export function define(command: Command): void {
	command
		.usage("[FROM] [TO] [FILTER] [OPTIONS]")
		.argument("[FROM]", "END that packets come from (default: any)")
		.argument("[TO]", "END that they go to (default: any)")
		.argument("[FILTER...]", "tcpdump's language")
		.addHelpText("after", help)
		.action(async (from: string | undefined, to: string | undefined, filter: readonly string[], options: Options) => {
			const words = [from, to, ...filter].filter((word) => word !== undefined);
			const request = requestOf(words, options);
			// Before anything is touched: what is asked wrongly is told to everybody, root or not.
			askQuestion(request);
			if (options.anonymize === true && request.write === null) {
				throw new UsageError("--anonymize is for what -w writes", "name a FILE");
			}
			const agents = request.agents.length > 0 ? request.agents : await localAgentFor(request, options);
			if (agents.length > 0) {
				const { remoteTrace } = await import("../rpc/client/start.js");
				await runTrace({ ...request, agents }, options, remoteTrace(protectionOf(options)));
				return;
			}
			const local = request.read === null;
			if (local) requireTracingRights("tracing on this machine");
			const nodes = local ? await nodesOf(request) : null;
			// A replay runs anywhere: what needs the addon is not even imported.
			const start =
				request.read === null
					? (await import("../collector/trace.js")).startTrace
					: (await import("../collector/replay.js")).startReplay;
			await runTrace({ ...request, nodes }, options, start);
		});
	addShared(command, ["namespace", "count", "duration", "all", "time", "output", "agent", "lab", "netns", "hostRoot"]);
	addShared(command, ["attach", "sample", "write", "anonymize", "read"]);
	addProtection(command);
}

/** The agent of this machine, if one answers and nothing was asked for that only this process can do. */
async function localAgentFor(
	{ lab, netns, hostRoot, read, write }: TraceRequest,
	{ attach }: Options,
): Promise<readonly string[]> {
	if ([lab, netns, hostRoot, read, write].some((asked) => asked !== null) || attach !== undefined) return [];
	const { localAgent } = await import("../rpc/client/local-agent.js");
	const local = await localAgent();
	return local === null ? [] : [local];
}

/** A lab's nodes know each other's names; null: the one node that this machine, or the namespace, is. */
async function nodesOf({ lab, netns }: TraceRequest): Promise<readonly NodeSpec[] | null> {
	if (lab === null && netns === null) return null;
	const { labNodes, labNodesAround } = await import("../lab/nodes.js");
	return lab !== null ? labNodes(lab) : labNodesAround(netns ?? "");
}

/** Runs a trace until it ends or the user ends it. Exported for tests, which bring a trace of their own. */
export async function runTrace(
	request: TraceRequest,
	{ output: form, time }: Pick<Options, "output" | "time">,
	startTrace: StartTrace,
): Promise<void> {
	const output = new LineOutput(process.stdout);
	const stop = stopOnSignals();
	try {
		const listener = form === "json" ? jsonListener(output) : textListener(output, time, stop.signal);
		await startTrace(request, listener, stop.signal);
	} finally {
		stop.dispose();
	}
}

/** Exported for tests: what a command line asks for. */
export function requestOf(words: readonly string[], options: Options): TraceRequest {
	const begin = words.findIndex((word, at) => at >= 2 || beginsFilter(word));
	const ends = begin === -1 ? words : words.slice(0, begin);
	const [from = "any", to = "any"] = ends;
	return {
		from,
		to,
		filter: begin === -1 ? "" : words.slice(begin).join(" "),
		namespace: options.namespace,
		count: options.count ?? null,
		durationMs: options.duration ?? null,
		netns: options.netns ?? null,
		lab: options.lab ?? null,
		hostRoot: options.hostRoot ?? null,
		attach: options.attach ?? "auto",
		sample: options.sample,
		agents: options.agent,
		write: options.write ?? null,
		read: options.read ?? null,
		anonymize: options.anonymize ?? false,
		version: version(),
		everyPath: options.all || options.output === "json" || !process.stdout.isTTY,
	};
}

/**
 * A pod may be called "tcp", but then default/tcp says so; nobody types a filter as one END. A word with blanks or
 * operators is a quoted filter.
 */
function beginsFilter(word: string): boolean {
	return /^!|[\s()&|=<>]/.test(word) || keywords.has(word);
}

const keywords = new Set(
	"tcp udp icmp icmp6 sctp arp ip ip6 vlan ether proto port portrange src dst host net not less greater pod svc node".split(
		" ",
	),
);
