import { type Command, Option } from "commander";
import { GROUPS, type GroupBy } from "../latency/group.js";
import type { LatencyReport } from "../latency/report.js";
import { jsonLine } from "../render/json.js";
import { sanitize } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { LatencyTable } from "../render/text/latency.js";
import { specsOf, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { agentsToAsk } from "./remote-nodes.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { until } from "./until.js";

const help = `
Packets are timed inside the kernel, from hook to hook; none is copied. What a segment is:
  forward      port in → port out of one bridge; below it each pair of ports
  up, down     port in → the bridge device in; the bridge device out → port out
  route        from device to device by the routing table, as cni0 → flannel.1
  encapsulate  tunnel out → NIC out         decapsulate  NIC in → tunnel in
  into pod     port out → the pod's own device in (with --inside): qdisc and backlog sit there
  transit      the node's first hook → its last
  wire         one node's NIC out → the other's NIC in (with an --agent on both, or a relay's), ± the error of their clocks

Examples:
  sudo weft latency                                    every bridge, tunnel and NIC, again each second
  sudo weft latency --bridge cni0 -d 10s               one bridge, for ten seconds, printed once
  sudo weft latency --by pod -d 10s                    whose packets are slow
  sudo weft latency --inside                           also what the way into each pod costs
  sudo weft latency -d 10s -o json | jq '.segments[] | {kind, device, p99Ns}'
  sudo weft latency --lab --watch                      both nodes of the lab
  weft latency --agent a:7443 --agent b:7443 --tls-…   both nodes, and the wire between them

Quantiles come from histograms of 32 buckets an octave, so each is within 1.6 %. Packets without a sample are counted by
reason: merged and segmented (GRO, GSO), cloned (flooding), evicted (the slot was taken), transition, unseen. A wire's packets
are joined from both nodes' sightings, a sample of them where there are many; one without a sample is lost, dropped, clock (not known well enough yet), or
order: packets that look alike, of which only the sequence would tell which one is which.

The kernel has room for 1,024 to 8,192 pairs of hooks and groups, by how many devices there are when it begins, in 4 KB on
each CPU for each, 64 MiB at most (fewer where there are many CPUs). Pairs and groups beyond that are timed together as "other",
and a note says so; a segment as a whole has every packet.`;

interface Options extends WhichNodes, ProtectionOptions {
	readonly agent: readonly string[];
	readonly bridge?: string;
	readonly by?: GroupBy;
	readonly inside?: boolean;
	readonly watch?: boolean;
	readonly duration?: number;
	readonly attach?: "tcx" | "clsact";
	readonly output: "text" | "json";
}

export function define(command: Command): void {
	command
		.addHelpText("after", help)
		.option("--bridge <name>", "only this bridge and what is plugged into it")
		.addOption(new Option("--by <what>", "tell apart").choices(GROUPS))
		.option("--inside", "also hook the pods' own devices")
		.option("--watch", "again each second; without -d that is what happens")
		.action(run);
	addShared(command, ["duration", "output", "agent", "lab", "netns", "hostRoot", "attach"]);
	addProtection(command);
}

const INTERVAL_MS = 1000;

async function startHere(options: Options): Promise<Measuring> {
	requireTracingRights("timing packets on this machine");
	const nodes = await specsOf(options);
	const { LatencyWatch } = await import("../collector/latency.js");
	const { bridge = null, by = null, inside = false, attach = "auto" } = options;
	return LatencyWatch.start({ nodes, bridge, by, inside, attach });
}

async function startRemote(agents: readonly string[], options: Options): Promise<Measuring> {
	const protection = protectionOf(options);
	const { RemoteLatency } = await import("../rpc/client/remote-latency.js");
	const { bridge = null, by = null, inside = false } = options;
	// One bridge is asked about, or this node alone: what is between nodes is not.
	const wire = bridge === null && options.agent.length > 0;
	return RemoteLatency.start({ agents, protection, bridge, by, inside, wire });
}

/** What measures: this process, or agents. */
interface Measuring {
	readonly ready: { readonly nodes: readonly string[]; readonly hooks?: number };
	interval(): LatencyReport;
	total(): LatencyReport;
	stop(): Promise<void>;
}

async function run(options: Options): Promise<void> {
	const { duration = null } = options;
	const stop = stopOnSignals();
	try {
		const agents = await agentsToAsk(options);
		const watch = await (agents.length > 0 ? startRemote(agents, options) : startHere(options));
		try {
			const { hooks, nodes: names } = watch.ready;
			const what = hooks === undefined ? "agents time packets" : `${hooks} hooks`;
			process.stderr.write(`weft: ${what} on ${sanitize(names.join(", "))}\n`);
			const repeated = options.watch ?? duration === null;
			await (repeated ? redraw : once)(watch, options, until(stop.signal, duration));
		} finally {
			// Hooks go with the process, all at once; taking them away one by one would keep the user waiting.
			await watch.stop();
		}
	} finally {
		stop.dispose();
	}
}

/** Waits for the end, then says what there was. */
async function once(watch: Measuring, options: Options, end: Promise<void>): Promise<void> {
	const print = printer(options, false);
	await end;
	await watch.stop();
	print(watch.total());
}

/** Each second what that second held; on a terminal in place. At the end, what there was in all. */
async function redraw(watch: Measuring, options: Options, end: Promise<void>): Promise<void> {
	const print = printer(options, true);
	const timer = setInterval(() => print(watch.interval()), INTERVAL_MS);
	await end;
	clearInterval(timer);
	await watch.stop();
	if (options.output === "json") print(watch.interval());
	else printer(options, false)(watch.total());
}

type Print = (report: LatencyReport) => void;

function printer({ output: form }: Options, watch: boolean): Print {
	const output = new LineOutput(process.stdout);
	if (form === "json") return (report) => output.always([jsonLine(report)]);
	const { stdout } = process;
	const table = new LatencyTable({
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: () => (stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY),
		watch,
	});
	return (report) => {
		if (stdout.isTTY) output.row([`${watch ? HOME : ""}${table.lines(report).join("\n")}`]);
		else output.always(table.lines(report));
	};
}

/** Cursor to the top left, and nothing below it. */
const HOME = "\x1b[H\x1b[J";
