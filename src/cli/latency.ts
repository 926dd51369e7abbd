import { type Command, Option } from "commander";
import type { LatencyWatch } from "../collector/latency.js";
import type { GroupBy } from "../latency/group.js";
import { jsonLine } from "../render/json.js";
import { sanitize } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { LatencyTable } from "../render/text/latency.js";
import { specsOf, type WhichNodes } from "./local-nodes.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { stopOnSignals } from "./signals.js";

const help = `
Packets are timed inside the kernel, from hook to hook; none is copied. What a segment is:
  forward      port in → port out of one bridge; below it each pair of ports
  up, down     port in → the bridge device in; the bridge device out → port out
  route        from device to device by the routing table, as cni0 → flannel.1
  encapsulate  tunnel out → NIC out         decapsulate  NIC in → tunnel in
  into pod     port out → the pod's own device in (with --inside): qdisc and backlog sit there
  transit      the node's first hook → its last

Examples:
  sudo weft latency                                    every bridge, tunnel and NIC, again each second
  sudo weft latency --bridge cni0 -d 10s               one bridge, for ten seconds, printed once
  sudo weft latency --by pod -d 10s                    whose packets are slow
  sudo weft latency --inside                           also what the way into each pod costs
  sudo weft latency -d 10s -o json | jq '.segments[] | {kind, device, p99Ns}'
  sudo weft latency --lab --watch                      both nodes of the lab

Quantiles come from histograms of 32 buckets an octave, so each is within 1.6 %. Packets without a sample are counted by
reason: merged and segmented (GRO, GSO), cloned (flooding), evicted (the slot was taken), transition, unseen.`;

interface Options extends WhichNodes {
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
		.addOption(new Option("--by <what>", "tell apart").choices(["pod", "port", "flow", "protocol"]))
		.option("--inside", "also hook the pods' own devices")
		.option("--watch", "again each second; without -d that is what happens")
		.action(run);
	addShared(command, ["duration", "output", "lab", "netns", "hostRoot", "attach"]);
}

const INTERVAL_MS = 1000;

async function run(options: Options): Promise<void> {
	requireTracingRights("timing packets on this machine");
	const nodes = await specsOf(options);
	const { LatencyWatch } = await import("../collector/latency.js");
	const { bridge = null, by = null, inside = false, attach = "auto", duration = null } = options;
	const stop = stopOnSignals();
	try {
		const watch = await LatencyWatch.start({ nodes, bridge, by, inside, attach });
		try {
			const { hooks, nodes: names } = watch.ready;
			process.stderr.write(`weft: ${hooks} hooks on ${sanitize(names.join(", "))}\n`);
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
async function once(watch: LatencyWatch, options: Options, end: Promise<void>): Promise<void> {
	const print = printer(options, false);
	await end;
	await watch.stop();
	print(watch.total());
}

/** Each second what that second held; on a terminal in place. At the end, what there was in all. */
async function redraw(watch: LatencyWatch, options: Options, end: Promise<void>): Promise<void> {
	const print = printer(options, true);
	const timer = setInterval(() => print(watch.interval()), INTERVAL_MS);
	await end;
	clearInterval(timer);
	await watch.stop();
	if (options.output === "json") print(watch.interval());
	else printer(options, false)(watch.total());
}

type Print = (report: ReturnType<LatencyWatch["total"]>) => void;

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

function until(signal: AbortSignal, durationMs: number | null): Promise<void> {
	return new Promise((resolve) => {
		const timer = durationMs === null ? null : setTimeout(resolve, durationMs);
		const end = () => {
			if (timer !== null) clearTimeout(timer);
			resolve();
		};
		if (signal.aborted) end();
		else signal.addEventListener("abort", end, { once: true });
	});
}
