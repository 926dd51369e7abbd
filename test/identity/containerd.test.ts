import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { Space } from "../../src/lab/space.js";
import { ping } from "../../src/lab/traffic.js";
import type { LatencyReport } from "../../src/latency/report.js";
import { weft } from "../cli/run.js";
import { cluster } from "../lab/cluster.js";
import { startDrops } from "../lab/drops.js";
import { latencyOf } from "../lab/latency.js";
import { startWeft } from "../lab/weft.js";
import { until } from "../until.js";
import { churn, type Lived } from "./churn.js";
import { followNode } from "./follow.js";

describe("pods that a real runtime runs", () => {
	const lab = cluster({ runtime: "containerd", servers: false });

	test("CRI, the CNI cache, host-local and the cgroup agree on each pod, and its containers are known", async () => {
		for (const { node } of lab().nodes) {
			const { identity, close } = followNode(lab(), node.name);
			try {
				await identity.ready;
				const pods = lab().state.pods.filter((pod) => pod.node === node.name);
				const resolved = identity.directory.resolved();
				assert.deepEqual(
					resolved.map((pod) => `${pod.namespace}/${pod.name}`).sort(),
					pods.map((pod) => `${pod.namespace}/${pod.name}`).sort(),
				);
				for (const pod of resolved) {
					const made = pods.find((one) => one.name === pod.name);
					assert.deepEqual(pod.sources, ["cri", "cni-cache", "host-local", "cgroup"], pod.name);
					assert.deepEqual(pod.conflicts, []);
					assert.deepEqual([pod.uid, pod.sandbox, pod.device], [made?.uid, made?.sandbox, made?.device]);
					assert.deepEqual(
						pod.containers.map(({ name, running }) => [name, running]),
						[["main", true]],
					);
				}
				assert.deepEqual(identity.directory.warnings, []);
			} finally {
				close();
			}
		}
	});

	test("a pod is named within 100 ms of its runtime knowing it", async () => {
		const named = new Map<string, number>();
		const { node } = lab().node("node-a");
		const { identity, close } = followNode(lab(), "node-a", () => {
			for (const { name } of identity.directory.pods("default/quick-*")) {
				if (!named.has(name)) named.set(name, Date.now());
			}
		});
		try {
			await identity.ready;
			// On a machine that others use too a process may wait for its turn: the best of three counts.
			const took: number[] = [];
			for (const name of ["quick-1", "quick-2", "quick-3"]) {
				const { pod } = await lab().addPod("node-a", { name });
				await until(() => named.has(name));
				// containerd writes what the plugins answered before it tells anybody.
				const known = statSync(`${node.root}/var/lib/cni/results/cbr0-${pod.sandbox}-eth0`).mtimeMs;
				took.push((named.get(name) ?? Number.POSITIVE_INFINITY) - known);
				// This containerd has no events: it is asked until its word and a container that runs are there.
				await until(() =>
					identity.directory
						.resolved()
						.some((one) => one.name === name && one.sources[0] === "cri" && one.containers[0]?.running === true),
				);
				await lab().deletePod(`default/${name}`);
			}
			assert.ok(Math.min(...took) < 100, `named after ${took.map(Math.round).join(", ")} ms`);
		} finally {
			close();
		}
	});

	test("trace, latency and drops call real pods by their names", async () => {
		const here = `--lab=${lab().name}`;
		const { ipv4 } = lab().pod("default/server").pod.address;
		const ping = (count = 3) => lab().ping("default/client", ipv4, { count });

		const trace = await startWeft("trace", "default/client", "default/server", here);
		await ping();
		await trace.stop();
		const [path] = trace.paths;
		assert.equal(`${path?.flow.source.namespace}/${path?.flow.source.pod}`, "default/client");
		assert.equal(`${path?.flow.destination.namespace}/${path?.flow.destination.pod}`, "default/server");

		const report = await latencyOf(["--by", "pod", here], () => ping(10));
		assert.ok(report.segments.some(({ kind, group }) => kind === "bridge-up" && group === "default/client"));

		const drops = await startDrops(here);
		try {
			await lab().removeFdb("node-a", "node-b");
			const told = drops.next(({ source }) => source?.pod === "client");
			told.catch(() => undefined);
			await ping(1);
			const drop = (await told).find(({ source }) => source?.pod === "client");
			assert.equal(drop?.destination?.pod, "server");
		} finally {
			await lab().restoreFdb("node-a", "node-b");
			await drops.stop();
		}
	});

	test("200 real pods come and go: trace, latency and drops call each by its own name, and nothing is kept", async (t) => {
		const here = `--lab=${lab().name}`;
		const neighbor = lab().pod("default/neighbor").pod.address.ipv4;
		const trace = await startWeft("trace", "any", "default/neighbor", "icmp", here);
		const latency = await Timing.start(here);
		const drops = await startDrops(here);
		const before = descriptorsOf(trace.process.pid);
		const began = performance.now();
		let lived: readonly Lived[] = [];
		let seconds: readonly TimedSecond[] = [];
		try {
			lived = await churn(lab(), {
				...{ pods: PODS, least: PODS, forMs: 0 },
				live: async (pod, at) => {
					// Each says which it is: by the length of its pings, and by whom it asks for in vain.
					const space = new Space(pod.name, pod.netns);
					const isNamed = {
						trace: () => trace.paths.some(({ flow }) => nameOf(flow.source) === `default/${pod.name}`),
						drops: () => drops.drops.some(({ source }) => nameOf(source) === `default/${pod.name}`),
						latency: () => latency.seconds.some(({ pods }) => pods.includes(`default/${pod.name}`)),
					};
					const deadline = performance.now() + 60_000;
					for (;;) {
						await Promise.all([
							ping(space, neighbor, { count: 3, size: SIZE + at, intervalS: 0.2 }),
							space.attempt("ping", "-n", "-t", "1", "-c", "3", "-i", "0.2", "-W", "0.2", nowhere(at)),
						]);
						const unnamed = Object.entries(isNamed).filter(([, is]) => !is());
						if (unnamed.length === 0) break;
						assert.ok(performance.now() < deadline, `${pod.name} is not named by ${unnamed.map(([who]) => who)}`);
					}
				},
			});
			t.diagnostic(`${lived.length} pods in ${Math.round((performance.now() - began) / 1000)} s`);
			await until(() => descriptorsOf(trace.process.pid) <= before + 2);
		} finally {
			await Promise.all([trace.stop(), drops.stop(), latency.stop().then((all) => (seconds = all))]);
		}
		const all = Array.from({ length: PODS }, (_, at) => `default/churn-${at}`);
		assert.deepEqual(named(lived.map(({ pod }) => pod)), new Set(all), "precondition");

		const requests = trace.paths.filter(({ packet }) => packet.icmp?.type === 8);
		for (const { packet, flow, hops } of requests) {
			const name = nameOf(flow.source);
			const own = `default/churn-${packet.length - HEADERS - SIZE}`;
			if (name !== null) assert.equal(name, own, `by trace: ${name}, not ${own}: ${JSON.stringify(hops)}`);
		}
		assert.deepEqual(named(requests.map(({ flow }) => flow.source)), new Set(all), "trace has named all");

		const expired = drops.drops.filter(({ destination }) => destination?.ip?.startsWith(NOWHERE));
		for (const { source, destination } of expired) {
			if (nameOf(source) !== null)
				assert.equal(nowhere(Number(/\d+$/.exec(source?.pod ?? ""))), destination?.ip, "by drops");
		}
		assert.deepEqual(named(expired.map(({ source }) => source)), new Set(all), "drops has named all");

		for (const { fromMs, untilMs, pods } of seconds) {
			for (const name of pods) {
				const one = lived.find(({ pod }) => `default/${pod.name}` === name);
				assert.ok(one !== undefined && one.fromMs < untilMs, `${name} was not there yet`);
				assert.ok(one.untilMs > fromMs - 1000, `${name} was gone`);
			}
		}
		assert.deepEqual(new Set(seconds.flatMap(({ pods }) => pods)), new Set(all), "latency has named all");
		const untracked = seconds.reduce((sum, second) => sum + second.untracked, 0);
		assert.equal(untracked, 0, "the last pods have found room for their segments");
	});
});

const PODS = 200;
/** Of a ping's payload, for the first pod. */
const SIZE = 100;
/** Ethernet, IPv4, ICMP. */
const HEADERS = 14 + 20 + 8;
/** Where nobody answers: on the other node, which a packet with one hop to go does not reach. */
const NOWHERE = "10.244.2.";

/** What a report of `--by pod` says, without its histograms. */
interface TimedSecond {
	readonly fromMs: number;
	readonly untilMs: number;
	/** Pods of the churn. */
	readonly pods: readonly string[];
	/** Packets that there was no room to count. */
	readonly untracked: number;
}

function timedSecond({ time, seconds, segments, packets }: LatencyReport): TimedSecond {
	const groups = segments.flatMap(({ kind, group }) => (kind === "bridge-up" && group !== null ? [group] : []));
	const untilMs = Date.parse(time);
	return {
		...{ fromMs: untilMs - seconds * 1000, untilMs },
		pods: groups.filter((group) => group.startsWith("default/churn-")),
		untracked: packets?.untracked ?? 0,
	};
}

/** A `weft latency --by pod --watch`, a report each second. */
class Timing {
	readonly seconds: TimedSecond[] = [];
	readonly #process: ChildProcess;
	readonly #closed: Promise<unknown>;

	private constructor(process: ChildProcess) {
		this.#process = process;
		this.#closed = once(process, "close");
		createInterface({ input: process.stdout as NodeJS.ReadableStream }).on("line", (line) => {
			this.seconds.push(timedSecond(JSON.parse(line) as LatencyReport));
		});
	}

	/** Resolves when its hooks are on. */
	static async start(here: string): Promise<Timing> {
		const argv = [weft, "latency", "--by", "pod", "--watch", here, "-o", "json"];
		const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
		const timing = new Timing(child);
		await new Promise<void>((resolve, reject) => {
			child.stderr.setEncoding("utf8").on("data", (text: string) => {
				if (/\d+ hooks on /.test(text)) resolve();
			});
			timing.#closed.then(() => reject(new Error("weft latency ended")), reject);
		});
		return timing;
	}

	async stop(): Promise<readonly TimedSecond[]> {
		this.#process.kill("SIGINT");
		await this.#closed;
		return this.seconds;
	}
}

function nowhere(at: number): string {
	return `${NOWHERE}${at + 20}`;
}

function nameOf(end: { readonly namespace: string | null; readonly pod: string | null } | null): string | null {
	return end === null || end.pod === null ? null : `${end.namespace}/${end.pod}`;
}

function named(
	pods: readonly ({ namespace: string | null; pod?: string | null; name?: string } | null)[],
): Set<string> {
	return new Set(
		pods.flatMap((one) => ((one?.pod ?? one?.name) == null ? [] : [`${one?.namespace}/${one?.pod ?? one?.name}`])),
	);
}

function descriptorsOf(pid: number | undefined): number {
	return readdirSync(`/proc/${pid}/fd`).length;
}
