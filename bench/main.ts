/**
 * What weft costs, beside tcpdump, in one run: DESIGN's budgets. Rounds alternate and ratios are taken within a
 * round, for a shared machine's speed drifts. Prints figures and never fails for one: reading them is the reader's.
 *
 *   node dist/bench/main.js [--rounds N] [--seconds S] [flood|start|bpf|joiner …]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import type { Summary } from "../src/collector/report.js";
import { Lab } from "../src/lab/lab.js";
import { alternate, spread } from "./rounds.js";

const { values: options, positionals } = parseArgs({
	options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } },
	allowPositionals: true,
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);
const FLOOD = "build/bench/flood";

interface Traced {
	readonly readyMs: number;
	readonly stopMs: number;
	readonly cpuSeconds: number;
	readonly residentBytes: number;
	readonly summary: Summary;
}

const parts: Readonly<Record<string, (lab: Lab) => Promise<void>>> = { flood, start };
const chosen = positionals.length > 0 ? positionals : Object.keys(parts);
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());

const lab = await Lab.up({ name: `bench${process.pid}`, signal: interrupted.signal });
try {
	for (const name of chosen) {
		const part = parts[name];
		if (part === undefined) throw new Error(`no part ${name}: there are ${Object.keys(parts).join(", ")}`);
		await part(lab);
	}
} finally {
	await lab.down();
}

/** 64-byte frames (22 bytes of payload) from default/client to default/neighbor: packets received a second. */
async function flood(cluster: Lab): Promise<void> {
	const traces: Traced[] = [];
	const idle: Traced[] = [];
	const many: Traced[] = [];
	const capture = `/run/weft/lab/${cluster.name}/bench.pcap`;
	const rates = await alternate(
		ROUNDS,
		{
			untraced: () => floodRate(cluster),
			traced: () => floodUnder(cluster, "default/neighbor", "", traces),
			noMatch: () => floodUnder(cluster, "default/neighbor", "tcp port 1", idle),
			tcpdump: () => underTcpdump(cluster, capture),
			untracedMany: () => floodRate(cluster, 10_000),
			tracedMany: () => floodUnder(cluster, "default/neighbor", "", many, 10_000),
		},
		(name, round, value) => progress(`flood round ${round + 1}/${ROUNDS} ${name}: ${Math.round(value)} packets/s`),
	);
	rmSync(capture, { force: true });
	const kept = (values: readonly number[], base: readonly number[] = rates.untraced) =>
		values.map((value, round) => value / (base[round] as number));
	const beside = kept(rates.traced).map((value, round) => value - (kept(rates.tcpdump)[round] as number));

	title(`64-byte UDP flood between two pods of a node, ${SECONDS} s a round, ${ROUNDS} rounds, median (min–max)`);
	row("untraced", spread(rates.untraced, 0), "packets/s");
	row("every packet traced, kept", spread(kept(rates.traced)), "budget ≥ 0.85");
	row("hooks on, nothing matching, kept", spread(kept(rates.noMatch)), "budget ≥ 0.95");
	row("tcpdump -i any -w, kept", spread(kept(rates.tcpdump)), "");
	row("traced above tcpdump", spread(beside), "budget ≥ 0.08");
	row("10,000 flows traced, kept", spread(kept(rates.tracedMany, rates.untracedMany)), "");
	const lost = (runs: readonly Traced[]) => runs.map((run) => run.summary.kernel.ringFull + lostOf(run.summary));
	row("events lost", spread(lost(traces), 0), "budget 0");
	row("events lost, 10,000 flows", spread(lost(many), 0), "counted");
	const perEvent = (runs: readonly Traced[]) =>
		runs.map((run) => (run.cpuSeconds * 1e9) / Math.max(1, run.summary.events.seen));
	row("collector CPU an event, ns", spread(perEvent(traces), 0), "budget ≤ 300");
	row("collector CPU an event, 10,000 flows, ns", spread(perEvent(many), 0), "budget ≤ 300");
	const resident = many.map((run) => run.residentBytes / 2 ** 20);
	row("resident, 10,000 flows, MB", spread(resident, 0), "budget ≤ 250");
	const whole = traces.map((run) => run.summary.paths.delivered / (run.summary.events.seen / 2));
	row("paths whole", spread(whole, 4), "of those begun");
}

/** `weft trace` of a pair on both nodes (12 hooks): start to ready, Ctrl-C to silent. */
async function start(cluster: Lab): Promise<void> {
	const runs: Traced[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const run = await traced({ from: "default/client", to: "default/server", lab: cluster.name });
		runs.push(await run.stop());
	}
	title("weft trace of a pair, over both nodes of the lab");
	row(
		"hooks",
		spread(
			runs.map((run) => run.summary.hooks),
			0,
		),
		"",
	);
	row(
		"start to ready, ms",
		spread(
			runs.map((run) => run.readyMs),
			0,
		),
		"budget ≤ 500",
	);
	row(
		"Ctrl-C to silent, ms",
		spread(
			runs.map((run) => run.stopMs),
			0,
		),
		"budget ≤ 200",
	);
}

async function floodRate(cluster: Lab, flows = 1): Promise<number> {
	const client = cluster.pod("default/client");
	const neighbor = cluster.pod("default/neighbor");
	const address = neighbor.pod.address.ipv4;
	const sink = neighbor.spawn([FLOOD, "sink", address, "9000", "--seconds", String(SECONDS + 1)], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const lines = linesOf(sink);
	await lines.next();
	const sender = client.spawn(
		[FLOOD, "send", address, "9000", "--seconds", String(SECONDS), "--flows", String(flows)],
		{
			stdio: ["ignore", "pipe", "inherit"],
		},
	);
	await once(sender, "close");
	// What is still queued arrives within a moment; then the sink has nothing to wait for.
	await new Promise((resolve) => setTimeout(resolve, 200));
	sink.kill("SIGINT");
	const counted = JSON.parse((await lines.next()).value ?? "{}") as { received: number; perSecond: number };
	return counted.perSecond;
}

async function floodUnder(cluster: Lab, to: string, filter: string, runs: Traced[], flows = 1): Promise<number> {
	const node = cluster.node("node-a").node;
	const run = await traced({ from: "default/client", to, filter, netns: node.netns, hostRoot: node.root });
	try {
		return await floodRate(cluster, flows);
	} finally {
		runs.push(await run.stop());
	}
}

async function underTcpdump(cluster: Lab, file: string): Promise<number> {
	const child = cluster
		.node("node-a")
		.spawn(["tcpdump", "-i", "any", "-w", file, "udp"], { stdio: ["ignore", "ignore", "pipe"] });
	await once(child.stderr as NodeJS.ReadableStream, "data");
	try {
		return await floodRate(cluster);
	} finally {
		child.kill("SIGINT");
		await once(child, "close");
		rmSync(file, { force: true });
	}
}

async function traced(request: object): Promise<{ stop(): Promise<Traced> }> {
	const child = spawn(process.execPath, [new URL("./traced.js", import.meta.url).pathname, JSON.stringify(request)], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const lines = linesOf(child);
	let readyMs = Number.NaN;
	for (;;) {
		const { value, done } = await lines.next();
		if (done) throw new Error("the trace ended before it was ready");
		const line = JSON.parse(value) as { readyMs?: number; warning?: string };
		if (line.warning !== undefined) progress(line.warning);
		if (line.readyMs !== undefined) {
			readyMs = line.readyMs;
			break;
		}
	}
	return {
		stop: async () => {
			child.kill("SIGINT");
			for (;;) {
				const { value, done } = await lines.next();
				if (done) throw new Error("the trace ended without a summary");
				const line = JSON.parse(value) as Partial<Traced>;
				if (line.summary !== undefined) return { ...(line as Traced), readyMs };
			}
		},
	};
}

function linesOf(child: ChildProcess): AsyncIterator<string> {
	if (child.stdout === null) throw new Error("no standard output");
	return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

function lostOf(summary: Summary): number {
	return Object.values(summary.events.lost).reduce((a, b) => a + b, 0);
}

function title(text: string): void {
	process.stdout.write(`\n${text}\n`);
}

function row(name: string, value: string, note: string): void {
	process.stdout.write(`  ${name.padEnd(44)}${value.padStart(30)}  ${note}\n`);
}

function progress(line: string): void {
	process.stderr.write(`  … ${line}\n`);
}
