/**
 * What it takes to know a node: node dist/bench/topology.bench.js. Cold starts are those of fresh processes, imports
 * aside. Builds namespaces of its own (some 5 s) and removes them. Needs root.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describeNode } from "../src/identity/topology.js";
import { IdentityWatch } from "../src/identity/watch.js";
import { addon } from "../src/kernel/addon.js";
import { readWiring } from "../src/wiring/snapshot.js";
import { WiringView } from "../src/wiring/view.js";
import { WiringWatch } from "../src/wiring/watch.js";
import { interruption, listen, unlessInterrupted } from "./interruption.js";
import { median } from "./rounds.js";
import { row, title } from "./table.js";

const PODS = 250;
const LINKS = 2000;
const COLD = 7;
/** With what comes every ten seconds in it three times, and V8's one collection some eight seconds after a thread fell idle. */
const IDLE_S = 30;
const NAME = `wf-bench-${process.pid}`;

const [mode, netns, root] = process.argv.slice(2);
if (mode === "topology" && netns !== undefined && root !== undefined) print(topology(netns, root));
else if (mode === "links" && netns !== undefined) print(links(netns));
else {
	const signal = interruption();
	await unlessInterrupted(signal, () => main(signal));
}

async function main(signal: AbortSignal): Promise<void> {
	const host = mkdtempSync(join(tmpdir(), `${NAME}-`));
	try {
		buildPods(host);
		await listen(signal);
		title(`Knowing a node, median of ${COLD} fresh processes, imports aside`);
		const path = `/run/netns/${NAME}`;
		sayTook(`topology of ${PODS} pods, cold`, cold("topology", path, host), 150);
		say(`kept current while nothing changes`, await idleShare(path, host, signal), "% of a core", 1);
		buildLinks();
		await listen(signal);
		sayTook(`${LINKS} links dumped and resolved, cold`, cold("links", `/run/netns/${NAME}-links`), 300);
	} finally {
		for (const name of [`${NAME}-links`, NAME, ...Array.from({ length: PODS }, (_, i) => `${NAME}-${i}`)]) {
			try {
				execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
			} catch {
				// It was not built.
			}
		}
		rmSync(host, { recursive: true, force: true });
	}
}

interface Took {
	readonly wallMs: number;
	/** On a machine that others use too, this is what does not depend on them. */
	readonly cpuMs: number;
	/** By how much the most that was resident has grown. */
	readonly residentMiB: number;
}

/** Medians over fresh processes. */
function cold(...args: readonly string[]): Took {
	const own = fileURLToPath(import.meta.url);
	const runs = Array.from(
		{ length: COLD },
		() => JSON.parse(execFileSync(process.execPath, [own, ...args], { encoding: "utf8" })) as Took,
	);
	const middle = (key: keyof Took) => median(runs.map((run) => run[key]));
	return { wallMs: middle("wallMs"), cpuMs: middle("cpuMs"), residentMiB: middle("residentMiB") };
}

function timed<T>(body: () => T): { readonly took: Took; readonly result: T } {
	const resident = peakKiB();
	const cpu = process.cpuUsage();
	const started = performance.now();
	const result = body();
	const wallMs = performance.now() - started;
	const { user, system } = process.cpuUsage(cpu);
	const residentMiB = (peakKiB() - resident) / 1024;
	return { took: { wallMs, cpuMs: (user + system) / 1000, residentMiB }, result };
}

/** proc(5), VmHWM: in a process that has done nothing yet, what it holds now. */
function peakKiB(): number {
	return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0);
}

/** From nothing to every device and pod with its evidence: services, which need other programs, come later. */
function topology(path: string, hostRoot: string): Took {
	const native = addon();
	const { took, result: described } = timed(() => {
		const { wiring } = readWiring({ native, node: "bench", netns: path, hostRoot });
		const identity = new IdentityWatch({ netns: path, hostRoot, runtimes: () => [] }, wiring, () => {});
		return describeNode(identity.directory.view ?? new WiringView(wiring), identity.directory);
	});
	const named = described.pods.filter((pod) => pod.sources.includes("cni-cache")).length;
	if (named !== PODS) throw new Error(`${named} of ${PODS} pods were named`);
	return took;
}

function links(path: string): Took {
	const native = addon();
	const { took, result: paired } = timed(() => {
		const { wiring } = readWiring({ native, node: "bench", netns: path, hostRoot: null });
		const view = new WiringView(wiring);
		return wiring.host.links.filter((link) => view.peer(link).kind === "paired").length;
	});
	if (paired !== LINKS) throw new Error(`${paired} of ${LINKS} links were resolved`);
	return took;
}

async function idleShare(path: string, hostRoot: string, signal: AbortSignal): Promise<number> {
	const options = { netns: path, hostRoot };
	const wiring = new WiringWatch({ ...options, native: addon(), node: "bench" }, () =>
		identity.rewired(() => wiring.wiring),
	);
	const identity = new IdentityWatch(options, wiring.wiring, () => {});
	try {
		await identity.ready;
		await sleep(1000, undefined, { signal });
		const before = process.cpuUsage();
		await sleep(IDLE_S * 1000, undefined, { signal });
		const { user, system } = process.cpuUsage(before);
		return ((user + system) / 1e6 / IDLE_S) * 100;
	} finally {
		identity.close();
		wiring.close();
	}
}

/** A node with pods as the bridge plugin leaves them, and the cache files of its runtime. */
function buildPods(host: string): void {
	const results = join(host, "var/lib/cni/results");
	mkdirSync(results, { recursive: true });
	execFileSync("ip", ["netns", "add", NAME]);
	const node: string[] = ["link add cni0 type bridge", "addr add 10.244.0.1/16 dev cni0", "link set cni0 up"];
	for (let i = 0; i < PODS; i++) {
		const address = `10.244.${1 + (i >> 8)}.${i & 255}`;
		execFileSync("ip", ["netns", "add", `${NAME}-${i}`]);
		node.push(`link add veth${i} type veth peer name eth0 netns ${NAME}-${i}`, `link set veth${i} master cni0 up`);
		writeFileSync(join(results, `cbr0-${sandbox(i)}-eth0`), JSON.stringify(cached(i, address)));
	}
	batch(NAME, node);
	for (let i = 0; i < PODS; i++) {
		const address = `10.244.${1 + (i >> 8)}.${i & 255}`;
		batch(`${NAME}-${i}`, [`addr add ${address}/16 dev eth0`, "link set eth0 up", "route add default via 10.244.0.1"]);
	}
}

function buildLinks(): void {
	execFileSync("ip", ["netns", "add", `${NAME}-links`]);
	const pairs = Array.from({ length: LINKS / 2 }, (_, i) => `link add va${i} type veth peer name vb${i}`);
	batch(`${NAME}-links`, pairs);
}

function sandbox(i: number): string {
	return i.toString(16).padStart(64, "0");
}

function cached(i: number, address: string): object {
	return {
		kind: "cniCacheV1",
		containerId: sandbox(i),
		ifName: "eth0",
		networkName: "cbr0",
		cniArgs: [
			["K8S_POD_NAMESPACE", "default"],
			["K8S_POD_NAME", `pod-${i}`],
		],
		result: {
			interfaces: [{ name: `veth${i}` }, { name: "eth0", sandbox: `/var/run/netns/${NAME}-${i}` }],
			ips: [{ address: `${address}/16` }],
		},
	};
}

function batch(netns: string, commands: readonly string[]): void {
	execFileSync("ip", ["-n", netns, "-batch", "-"], {
		input: `${commands.join("\n")}\n`,
		stdio: ["pipe", "ignore", "inherit"],
	});
}

function say(what: string, value: number, unit: string, budget: number): void {
	row(what, value.toFixed(1), unit, `≤ ${budget}`);
}

function sayTook(what: string, { wallMs, cpuMs, residentMiB }: Took, budget: number): void {
	say(what, wallMs, "ms", budget);
	row("  of which CPU time", cpuMs.toFixed(1), "ms");
	row("  resident memory, more by", residentMiB.toFixed(1), "MiB");
}

function print(took: Took): void {
	process.stdout.write(`${JSON.stringify(took)}\n`);
	process.exit();
}
