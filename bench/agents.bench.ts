/**
 * What serving costs, end to end: an agent that nobody asks; how long hooks outlive a client that was killed; a flood as
 * StreamSightings to a client on this machine; and the packets of a flood between two nodes as whole paths, joined by a
 * client of both agents, and by a relay's Trace.
 *
 *   node dist/bench/agents.bench.js [--rounds N] [--seconds S] [--idle S] [--rate PPS] [--path-rate PPS] [PART …]
 *
 *   PART: idle, gone, stream, trace; all by default
 */
import type { SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { addon } from "../src/kernel/addon.js";
import type { Lab } from "../src/lab/lab.js";
import { readLinks } from "../src/wiring/snapshot.js";
import { sendLive } from "../test/lab/live.js";
import { inLab, linesOf, startTraced } from "./cluster.js";
import { spread } from "./rounds.js";
import { PathsClient, type Received, SightingsClient } from "./rpc-client.js";
import { Served } from "./served.js";
import { progress, row, title } from "./table.js";

const { values: options, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		rounds: { type: "string", default: "3" },
		seconds: { type: "string", default: "4" },
		idle: { type: "string", default: "60" },
		/** Packets a second; 0: as many as go. A fifth more than the budget asks for, and no more: it shares the cores. */
		rate: { type: "string", default: "300000" },
		"path-rate": { type: "string", default: "60000" },
	},
});
const ROUNDS = Number(options.rounds);
const SECONDS = Number(options.seconds);
const WARM_SECONDS = 2;
const KILLS = 9;
const FLOOD = "build/bench/flood";
const LIVE_PACKETS = 1_500_000;
const LIVE_BURST = 20_000;
const LIVE_PAUSE_MS = 20;
/** Garbage of its start is collected by then. */
const SETTLED_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const parts: Readonly<Record<string, (lab: Lab) => Promise<void>>> = { idle, gone, stream, trace };
const chosen = positionals.length > 0 ? positionals : Object.keys(parts);
await inLab(async (lab) => {
	for (const name of chosen) await parts[name]?.(lab);
});

async function idle(lab: Lab): Promise<void> {
	const agent = await agentOf(lab, "node-a");
	const seconds = Number(options.idle);
	progress(`agents: one that nobody asks, for ${SETTLED_MS / 1000 + seconds} s`);
	await sleep(SETTLED_MS);
	const before = agent.cpuNs();
	await sleep(seconds * 1000);
	const share = ((agent.cpuNs() - before) / (seconds * 1e9)) * 100;
	title(`An agent that nobody asks, from its second minute on, over ${seconds} s`);
	row("CPU, its children's too", share.toFixed(3), "% of a core", "≤ 0.1");
	row("resident", (agent.residentBytes() / 2 ** 20).toFixed(0), "MiB", "≤ 120");
	await agent.stop();
}

/** SIGKILL to a client of a pair on one node, which needs six hooks. */
async function gone(lab: Lab): Promise<void> {
	const agent = await agentOf(lab, "node-a");
	const count = programCounter(lab, "node-a");
	const times: number[] = [];
	let hooks = 0;
	for (let round = 0; round < KILLS; round++) {
		const agents = [addressOf("node-a")];
		const client = await startTraced({ from: "default/client", to: "default/neighbor", agents });
		// What follows the hooks has been loaded by then, as it has when a user ends a trace.
		await sleep(500);
		hooks = count();
		const begun = performance.now();
		client.kill();
		while (count() > 0) await sleep(1);
		times.push(performance.now() - begun);
	}
	await agent.stop();
	title(`A client of an agent is killed, ${KILLS} times`);
	row(`  until its ${hooks} hooks are gone`, spread(times), "ms", "≤ 200");
}

/** Counts the TCX programs on a node's devices, in microseconds. */
function programCounter(lab: Lab, name: string): () => number {
	const { path } = lab.node(name);
	const links = readLinks(addon(), path);
	const netns = addon().openNetns(path);
	return () =>
		links
			.flatMap(({ ifindex }) => [false, true].map((egress) => addon().queryTcx(ifindex, egress, netns).length))
			.reduce((sum, programs) => sum + programs, 0);
}

async function stream(lab: Lab): Promise<void> {
	const agent = await agentOf(lab, "node-a");
	const rounds: Round[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const client = await SightingsClient.start(addressOf("node-a"), "default/client", "default/neighbor");
		rounds.push(await underFlood(flooding(lab, "default/neighbor", Number(options.rate)), [agent], client));
		progress(`agents, stream, round ${round + 1}/${ROUNDS}: ${said(rounds)} events/s`);
	}
	const live: Round[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const client = await SightingsClient.start(addressOf("node-a"), "default/client", "default/neighbor");
		live.push(await underFlood(sendingLive(lab), [agent], client));
		progress(`agents, stream of live frames, round ${round + 1}/${ROUNDS}: ${said(live)} events/s`);
	}
	await agent.stop();
	title(`StreamSightings to a client on this machine, ${ROUNDS} floods of ${SECONDS} s, each packet seen twice`);
	sayRounds(rounds, "events");
	process.stdout.write(`  ${LIVE_PACKETS} packets without sockets: more than a core can send by them\n`);
	sayRounds(live, "events", "≥ 500000");
}

/** Packets that cost their sender a fifth of what they cost by sockets, so that the stream gets more than they can send. */
function sendingLive(lab: Lab): Sending {
	const send = async (count: number) => {
		const begun = performance.now();
		const told = await sendLive(lab, "default/neighbor", {
			port: 9000,
			count,
			burst: LIVE_BURST,
			pauseMs: LIVE_PAUSE_MS,
		});
		const { sent } = JSON.parse(told) as { readonly sent: number };
		return { packets: sent, seconds: (performance.now() - begun) / 1000 };
	};
	return { warmUp: () => send(LIVE_PACKETS / 5), send: () => send(LIVE_PACKETS) };
}

async function trace(lab: Lab): Promise<void> {
	const agents = await Promise.all(["node-a", "node-b"].map((node) => agentOf(lab, node)));
	const names = ["node-a", "node-b"].map(addressOf);
	const relay = await Served.start(
		...["relay", "--listen", addressOf("relay")],
		...names.flatMap((name) => ["--agent", name]),
	);
	const flooded = flooding(lab, "default/server", Number(options["path-rate"]));
	const relayed: Round[] = [];
	const joined: Round[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const client = await PathsClient.start(addressOf("relay"), "default/client", "default/server");
		relayed.push(await underFlood(flooded, [...agents, relay], client));
		progress(`agents, Trace of a relay, round ${round + 1}/${ROUNDS}: ${said(relayed)} paths/s`);
		const traced = await startTraced({ from: "default/client", to: "default/server", agents: names });
		joined.push(
			await underFlood(flooded, agents, {
				stop: async () => {
					const { summary, cpuSeconds } = await traced.stop();
					const { delivered, lost, dropped, incomplete } = summary.paths;
					const losses = Object.values(summary.events.lost).reduce((sum: number, count) => sum + (count ?? 0), 0);
					return { whole: delivered, torn: lost + dropped + incomplete, lost: losses, cpuNs: cpuSeconds * 1e9 };
				},
			}),
		);
		progress(`agents, weft trace, round ${round + 1}/${ROUNDS}: ${said(joined)} paths/s`);
	}
	await Promise.all([relay, ...agents].map((each) => each.stop()));
	title(`Packets between pods of two nodes as whole paths of 8 hops, ${ROUNDS} floods of ${SECONDS} s`);
	process.stdout.write("  Trace of a relay over two agents\n");
	sayRounds(relayed, "paths", "≥ 50000");
	process.stdout.write("  weft trace --agent A --agent B\n");
	sayRounds(joined, "paths", "≥ 50000");
}

interface Round extends Received, Sent {
	/** Of those who serve. */
	readonly servedNs: number;
}

function said(rounds: readonly Round[]): string {
	return spread(rounds.map(perSecond));
}

function perSecond({ whole, seconds }: Round): number {
	return whole / seconds;
}

function sayRounds(rounds: readonly Round[], what: string, budget = ""): void {
	const of = (pick: (round: Round) => number, digits = 0) => spread(rounds.map(pick), digits);
	row(`    ${what} received`, of(perSecond), "a second", budget);
	row(
		"    flood",
		of(({ packets, seconds }) => packets / seconds),
		"packets/s",
	);
	row(
		"    lost, all counted",
		of(({ lost }) => lost),
		"events",
	);
	if (what === "paths") {
		row(
			"    not whole",
			of(({ torn }) => torn),
			"paths",
		);
	}
	row(
		"    CPU of who serves, and of the client",
		`${of(({ servedNs, whole }) => servedNs / whole)}, ${of(({ cpuNs, whole }) => cpuNs / whole)}`,
		"ns each",
	);
	row(
		"    so two cores have room for",
		of(({ servedNs, cpuNs, whole }) => (2e9 * whole) / (servedNs + cpuNs)),
		`${what}/s`,
	);
}

interface Sent {
	/** That arrived. */
	readonly packets: number;
	readonly seconds: number;
}

interface Sending {
	warmUp(): Promise<Sent>;
	send(): Promise<Sent>;
}

async function underFlood(
	{ warmUp, send }: Sending,
	served: readonly Served[],
	client: { mark?(): void; stop(): Promise<Received> },
): Promise<Round> {
	if (client.mark !== undefined) {
		// What is compiled on the way is no event's cost.
		await warmUp();
		await sleep(500);
		client.mark();
	}
	const before = served.reduce((sum, each) => sum + each.cpuNs(), 0);
	const sent = await send();
	// What is under way arrives.
	await sleep(500);
	const received = await client.stop();
	const servedNs = served.reduce((sum, each) => sum + each.cpuNs(), 0) - before;
	return { ...received, ...sent, servedNs };
}

function flooding(lab: Lab, to: string, rate: number): Sending {
	return { warmUp: () => flood(lab, to, rate, WARM_SECONDS), send: () => flood(lab, to, rate, SECONDS) };
}

/** 64-byte UDP of 100 flows; its receiver naps between looks, so that nobody is woken for a packet. */
async function flood(lab: Lab, to: string, rate: number, lasting: number): Promise<Sent> {
	const receiver = lab.pod(to);
	const address = receiver.pod.address.ipv4;
	const stdio: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] };
	const sink = receiver.spawn([FLOOD, "sink", address, "9000", "--seconds", String(lasting + 1)], stdio);
	const lines = linesOf(sink);
	await lines.next();
	const amount = ["--seconds", String(lasting), "--flows", "100", ...(rate > 0 ? ["--rate", String(rate)] : [])];
	const sender = lab.pod("default/client").spawn([FLOOD, "send", address, "9000", ...amount], stdio);
	await once(sender, "close");
	await sleep(200);
	sink.kill("SIGINT");
	const { received, seconds } = JSON.parse((await lines.next()).value ?? "{}") as {
		readonly received: number;
		readonly seconds: number;
	};
	return { packets: received, seconds };
}

function agentOf(lab: Lab, name: string): Promise<Served> {
	const { node, path } = lab.node(name);
	return Served.start("agent", "--netns", path, "--host-root", node.root, "--listen", addressOf(name));
}

function addressOf(name: string): string {
	return `unix:${join(folder, `${name}.sock`)}`;
}
