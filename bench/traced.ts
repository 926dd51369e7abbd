/**
 * A trace as `weft trace` on a terminal runs it (thinned, nothing printed), in a process of its own, so that its CPU
 * time and memory can be told from the flood's. Prints a line when the hooks are on, one for each hook that comes later,
 * and one when it has ended. SIGUSR2: from here on CPU time counts, and not from `ready`.
 * Argument: a TraceRequest's `from`, `to`, `filter`, `netns`, `hostRoot` and `agents` as JSON. SIGINT ends it.
 */
import type { TraceListener, TraceRequest } from "../src/collector/request.js";
import { labNodes, labNodesAround } from "../src/lab/nodes.js";

const begun = performance.now();
const asked = JSON.parse(process.argv[2] ?? "{}") as Partial<TraceRequest>;
const nodes = asked.lab ? await labNodes(asked.lab) : asked.netns ? await labNodesAround(asked.netns) : null;
const request: TraceRequest = {
	from: "any",
	to: "any",
	filter: "",
	namespace: "default",
	count: null,
	durationMs: null,
	netns: null,
	lab: null,
	hostRoot: null,
	attach: "auto",
	sample: 1,
	agents: [],
	write: null,
	read: null,
	everyPath: false,
	nodes,
	...asked,
};
let rows = 0;
let cpuAtReady = process.cpuUsage();
/** Between ready, or SIGUSR2, and Ctrl-C, which comes when the flood has been drained: starting and stopping are no event's cost. */
let cpuAtStop: NodeJS.CpuUsage | null = null;
let interruptedAt = 0;
const stop = new AbortController();
process.on("SIGUSR2", () => {
	cpuAtReady = process.cpuUsage();
	cpuToWarmMs = (cpuAtReady.user + cpuAtReady.system) / 1000;
	say({ warm: true });
});
process.once("SIGINT", () => {
	interruptedAt = performance.now();
	cpuAtStop = process.cpuUsage(cpuAtReady);
	stop.abort();
});
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
let cpuToReadyMs = 0;
let cpuToWarmMs = 0;
const listener: TraceListener = {
	ready: () => {
		cpuAtReady = process.cpuUsage();
		cpuToReadyMs = (cpuAtReady.user + cpuAtReady.system) / 1000;
		say({ readyMs: performance.now() - begun });
	},
	path: () => {
		rows++;
	},
	status: () => {},
	hook: ({ change, device }) => {
		if (change === "added") say({ hooked: device });
	},
	warning: (line) => say({ warning: line }),
	summary: () => {},
};
// As the command does: what the other way needs is not imported.
const start =
	request.agents.length > 0
		? (await import("../src/rpc/client/start.js")).remoteTrace({ tls: null, insecure: false })
		: (await import("../src/collector/trace.js")).startTrace;
const summary = await start(request, listener, stop.signal);
const cpu = cpuAtStop ?? process.cpuUsage(cpuAtReady);
say({
	summary,
	rows,
	stopMs: performance.now() - interruptedAt,
	cpuToReadyMs,
	cpuToWarmMs,
	cpuSeconds: (cpu.user + cpu.system) / 1e6,
	residentBytes: process.resourceUsage().maxRSS * 1024,
});
