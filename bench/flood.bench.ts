/**
 * 64-byte UDP between two pods of a node: which share of the untraced rate is left when every packet is traced at both
 * veths, when nothing matches, when packets are timed in the kernel, when drops are watched, and under tcpdump.
 *
 * Everything has run for a second before it is measured: V8 compiles the collector in the first of them, which says
 * nothing of an event. What that takes is a row of its own.
 *
 *   node dist/bench/flood.bench.js [--rounds N] [--seconds S]
 */
import type { SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type DropsRequest, DropsWatch } from "../src/collector/drops.js";
import { LatencyWatch } from "../src/collector/latency.js";
import { parseFilter } from "../src/filter/grammar.js";
import type { Lab } from "../src/lab/lab.js";
import { inLab, linesOf, startTraced, type Traced } from "./cluster.js";
import { alternate, spread } from "./rounds.js";
import { progress, row, title } from "./table.js";

const { values: options } = parseArgs({
	options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } },
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);
const MANY = 10_000;
const FLOOD = "build/bench/flood";
/** Before what is measured, s. */
const WARM_UP = 1;

await inLab(async (lab) => {
	const traced: Measured[] = [];
	const many: Measured[] = [];
	const rates = await alternate(
		ROUNDS,
		{
			untraced: async () => (await warmAndReceived(lab)).perSecond,
			traced: () => underTrace(lab, "", traced),
			noMatch: () => underTrace(lab, "tcp port 1", []),
			timed: () => underStopwatch(lab),
			drops: () => underDropWatch(lab),
			dropHooks: () => underDropWatch(lab, { hooks: "auto" }),
			tcpdump: () => underTcpdump(lab),
			untracedMany: async () => (await warmAndReceived(lab, MANY)).perSecond,
			tracedMany: () => underTrace(lab, "", many, MANY),
		},
		(name, round, value) => progress(`flood, round ${round + 1}/${ROUNDS}, ${name}: ${Math.round(value)} packets/s`),
	);

	const kept = (values: readonly number[], base: readonly number[] = rates.untraced) =>
		values.map((value, round) => value / (base[round] as number));
	const above = kept(rates.traced).map((value, round) => value - (kept(rates.tcpdump)[round] as number));
	title(`64-byte UDP flood between two pods of a node, ${SECONDS} s, ${ROUNDS} rounds, median (min–max)`);
	row("untraced", spread(rates.untraced), "packets/s");
	row("every packet traced at both veths", spread(kept(rates.traced), 2), "kept", "≥ 0.85");
	row("  above tcpdump -i any -w", spread(above, 2), "", "≥ 0.08");
	row("tcpdump -i any -w", spread(kept(rates.tcpdump), 2), "kept");
	row("hooks on, nothing matching", spread(kept(rates.noMatch), 2), "kept", "≥ 0.95");
	row("latency mode, every hop timed", spread(kept(rates.timed), 2), "kept", "≥ 0.90");
	row("drops mode, nothing dropped", spread(kept(rates.drops), 2), "kept", "≈ 1");
	row("drops mode with hooks", spread(kept(rates.dropHooks), 2), "kept");
	row("10,000 flows, every packet traced", spread(kept(rates.tracedMany, rates.untracedMany), 2), "kept");
	for (const [flows, runs] of [
		["1 flow", traced],
		["10,000 flows", many],
	] as const) {
		const of = (pick: (run: Measured) => number, digits = 0) => spread(runs.map(pick), digits);
		row(
			`${flows}: events`,
			of(({ summary }) => summary.events.seen),
			"a round",
		);
		row("  lost, all counted", of(lost), "events", "0");
		row("  collector CPU, all threads", of(cpuPerEvent), "ns an event", "≤ 300");
		row("  … of the first second, compiling included", of(cpuToWarmMs), "ms");
		row(
			"  resident",
			of(({ residentBytes }) => residentBytes / 2 ** 20),
			"MiB",
			"≤ 250",
		);
		row("  paths whole", of(whole, 4), "of all");
	}
});

function lost({ summary }: Traced): number {
	// What found a ring full is in the kernel's count and, as a loss of the Joiner's source, among the events'.
	const { ringFull = 0, ...others } = summary.events.lost as Readonly<Record<string, number>>;
	return Math.max(ringFull, summary.kernel.ringFull) + Object.values(others).reduce((a, b) => a + b, 0);
}

function cpuPerEvent({ cpuSeconds, packets }: Measured): number {
	return (cpuSeconds * 1e9) / Math.max(1, 2 * packets);
}

function cpuToWarmMs({ cpuToWarmMs: ms, cpuToReadyMs }: Measured): number {
	return ms - cpuToReadyMs;
}

function whole({ summary }: Traced): number {
	return summary.paths.delivered / Math.max(1, summary.events.seen / 2);
}

/** A traced run, and the packets of its measured part: each is an event at two hooks. */
type Measured = Traced & { readonly packets: number };

interface Received {
	readonly perSecond: number;
	readonly packets: number;
}

/** Sends a flood and returns what arrived of it. */
async function received(lab: Lab, flows: number, seconds: number): Promise<Received> {
	const client = lab.pod("default/client");
	const neighbor = lab.pod("default/neighbor");
	const address = neighbor.pod.address.ipv4;
	const stdio: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] };
	const sink = neighbor.spawn([FLOOD, "sink", address, "9000", "--seconds", String(seconds + 1)], stdio);
	const lines = linesOf(sink);
	await lines.next();
	const amount = ["--seconds", String(seconds), "--flows", String(flows)];
	const sender = client.spawn([FLOOD, "send", address, "9000", ...amount], stdio);
	await once(sender, "close");
	// What is still queued arrives within a moment; then the sink has nothing to wait for.
	await sleep(200);
	sink.kill("SIGINT");
	const told = JSON.parse((await lines.next()).value ?? "{}") as {
		readonly perSecond: number;
		readonly received: number;
	};
	return { perSecond: told.perSecond, packets: told.received };
}

async function warmAndReceived(lab: Lab, flows = 1, warm: () => Promise<void> = async () => {}): Promise<Received> {
	await received(lab, flows, WARM_UP);
	await warm();
	return await received(lab, flows, SECONDS);
}

async function underTrace(lab: Lab, filter: string, runs: Measured[], flows = 1): Promise<number> {
	const { netns, root: hostRoot } = lab.node("node-a").node;
	const trace = await startTraced({ from: "default/client", to: "default/neighbor", filter, netns, hostRoot });
	let measured: Received = { perSecond: 0, packets: 0 };
	try {
		measured = await warmAndReceived(lab, flows, () => trace.warm());
		return measured.perSecond;
	} finally {
		runs.push({ ...(await trace.stop()), packets: measured.packets });
	}
}

async function underStopwatch(lab: Lab): Promise<number> {
	const watch = await LatencyWatch.start({
		nodes: [nodeOf(lab)],
		bridge: "cni0",
		by: null,
		inside: false,
		attach: "auto",
	});
	try {
		return (await warmAndReceived(lab)).perSecond;
	} finally {
		await watch.close();
	}
}

async function underDropWatch(lab: Lab, hooks: Pick<DropsRequest, "hooks"> = {}): Promise<number> {
	const watch = await DropsWatch.start(
		{ nodes: [nodeOf(lab)], filter: parseFilter("", { namespace: "default" }), ...hooks },
		() => {},
	);
	try {
		return (await warmAndReceived(lab)).perSecond;
	} finally {
		await watch.stop();
		await watch.close();
	}
}

function nodeOf(lab: Lab) {
	const { node, path } = lab.node("node-a");
	return { name: node.name, netns: path, hostRoot: node.root, watch: true };
}

async function underTcpdump(lab: Lab): Promise<number> {
	const file = `/run/weft/lab/${lab.name}/bench.pcap`;
	const stdio: SpawnOptions = { stdio: ["ignore", "ignore", "pipe"] };
	const child = lab.node("node-a").spawn(["tcpdump", "-i", "any", "-w", file, "udp"], stdio);
	// It says "listening on any" when it does.
	await once(child.stderr as NodeJS.ReadableStream, "data");
	try {
		return (await warmAndReceived(lab)).perSecond;
	} finally {
		child.kill("SIGINT");
		await once(child, "close");
		rmSync(file, { force: true });
	}
}
