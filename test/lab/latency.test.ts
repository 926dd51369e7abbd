import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, describe, test } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import type { Link } from "../../src/kernel/native.js";
import { attempt, run } from "../../src/lab/command.js";
import type { Lab } from "../../src/lab/lab.js";
import { Space } from "../../src/lab/space.js";
import type { LatencyReport, SegmentKind } from "../../src/latency/report.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { latencyOf, segmentOf } from "./latency.js";
import { runWeft, startWeft } from "./weft.js";

const FLOOD = "build/bench/flood";
/** Of test/native/spin.bpf.c. */
const SPIN_US = 20;
/** Datagrams that flood sends with one system call. */
const BATCH = 64;

describe("weft latency finds a delay where it is, and nowhere else", () => {
	const lab = cluster();
	const ROUNDS = 3;

	/** client → neighbor over cni0, and neighbor → server through the tunnel. */
	async function traffic(): Promise<void> {
		const near = flood(lab(), "default/client", "default/neighbor", { packets: 40 * BATCH, rate: 5000, size: 200 });
		const far = flood(lab(), "default/neighbor", "default/server", { packets: 8 * BATCH, rate: 1500, size: 200 });
		assert.deepEqual(await Promise.all([near, far]), [40 * BATCH, 8 * BATCH]);
	}

	/** By how much the median of a kind moved on node-a, µs: the median over the rounds. */
	async function moved(disturb: () => Promise<() => Promise<void>>): Promise<(kind: SegmentKind) => number> {
		const rounds: [LatencyReport, LatencyReport][] = [];
		for (let round = 0; round < ROUNDS; round++) {
			const calm = await latencyOf([`--lab=${lab().name}`], traffic);
			const restore = await disturb();
			try {
				rounds.push([calm, await latencyOf([`--lab=${lab().name}`], traffic)]);
			} finally {
				await restore();
			}
		}
		const p50 = (report: LatencyReport, kind: SegmentKind) =>
			(segmentOf(report, "node-a", kind).p50Ns ?? Number.NaN) / 1000;
		return (kind) => median(rounds.map(([calm, disturbed]) => p50(disturbed, kind) - p50(calm, kind)));
	}

	test("a program that spins behind weft's, inside the bridge", async () => {
		const shift = await moved(async () => {
			// Between weft's two hooks: behind a TCX program of weft's, or before a filter of clsact, which comes after TCX.
			const filtered = attach() === "clsact";
			const link = await spinAt(lab(), filtered ? "default/neighbor" : "default/client", filtered);
			return async () => link.close();
		});
		const forward = shift("bridge-forward");
		assert.ok(forward > SPIN_US - 2 && forward < SPIN_US + 15, `the bridge holds packets ${forward} µs longer`);
		for (const kind of ["bridge-up", "route", "encapsulate"] as const) {
			assert.ok(Math.abs(shift(kind)) < SPIN_US / 2, `${kind} moved by ${shift(kind)} µs`);
		}
	});

	test("a token bucket on flannel.1", async () => {
		const [rate, burst] = [1, 1600]; // bytes a µs, bytes
		const frame = 14 + 20 + 8 + 200;
		const node = lab().node("node-a");
		const shift = await moved(async () => {
			await node.run(..."tc qdisc add dev flannel.1 root tbf rate 8mbit burst 1600 limit 200000".split(" "));
			return async () => {
				await node.run("tc", "qdisc", "del", "dev", "flannel.1", "root");
			};
		});
		// The bucket is full when a batch begins; its middle waits for all before it.
		const expected = ((BATCH / 2) * frame - burst) / rate;
		const encapsulate = shift("encapsulate");
		assert.ok(Math.abs(encapsulate - expected) < expected * 0.15, `${encapsulate} µs, not ${expected}`);
		for (const kind of ["bridge-forward", "bridge-up", "route"] as const) {
			assert.ok(Math.abs(shift(kind)) < expected / 50, `${kind} moved by ${shift(kind)} µs`);
		}
	});

	test("and its figures are those of the packets' own paths in the same run", async () => {
		const node = lab().node("node-a");
		await node.run(..."tc qdisc add dev flannel.1 root tbf rate 8mbit burst 1600 limit 200000".split(" "));
		const link = await spinAt(lab(), "default/client", false);
		try {
			const weft = await startWeft("trace", "any", "any", "udp", "port", "9000", `--lab=${lab().name}`);
			const report = await latencyOf([`--lab=${lab().name}`], traffic);
			await weft.stop();
			const own = (from: string, to: string) =>
				weft.paths
					.flatMap(({ hops }) => hops.filter((hop, at) => hop.device === to && hops[at - 1]?.device === from))
					.filter((hop) => hop.node === "node-a" && hop.direction === "egress")
					.map(({ sincePreviousNs }) => sincePreviousNs)
					.sort((a, b) => a - b);
			const [client, neighbor] = ["default/client", "default/neighbor"].map((pod) => lab().pod(pod).pod.device);
			for (const [kind, durations] of [
				["bridge-forward", own(client ?? "", neighbor ?? "")],
				["encapsulate", own("flannel.1", "eth0")],
			] as const) {
				const segment = segmentOf(report, "node-a", kind);
				assert.ok(durations.length >= BATCH * 8 * 0.99, `precondition: ${durations.length} paths`);
				assert.ok(Math.abs(segment.count - durations.length) <= durations.length / 100);
				for (const [share, told] of [
					[0.5, segment.p50Ns],
					[0.9, segment.p90Ns],
				] as const) {
					// The bucket lets packets go one by one, so that quantiles rise in steps of a packet's time; and as
					// either may have seen a hundredth more, the other's quantile may be the step beside it.
					const [least, most] = [share - 0.01, share + 0.01].map(
						(rank) => durations[Math.ceil(rank * durations.length) - 1] ?? 0,
					);
					// Its own error, and what one program adds to what the other measures.
					const low = (least ?? 0) * (1 - report.quantileError) - 2000;
					const high = (most ?? 0) * (1 + report.quantileError) + 2000;
					const figures = `${kind} p${share * 100}: ${told}, paths say ${least} to ${most}`;
					assert.ok(told !== null && told >= low && told <= high, figures);
				}
			}
		} finally {
			link.close();
			await node.run("tc", "qdisc", "del", "dev", "flannel.1", "root");
		}
	});

	test("of a million packets across cni0 each is in a histogram or has a reason", async () => {
		const million = 1_000_000;
		const report = await latencyOf(["--bridge", "cni0", `--lab=${lab().name}`], async () => {
			const sent = await flood(lab(), "default/client", "default/neighbor", { packets: million, size: 22 });
			assert.equal(sent, million);
		});
		const forward = segmentOf(report, "node-a", "bridge-forward");
		const reasons = Object.values(forward.unmatched).reduce((a, b) => a + b, 0);
		const arrived = forward.count + reasons;
		assert.ok(arrived >= million && arrived < million * 1.001, `${arrived} packets left by a port`);
		assert.ok(forward.count > million * 0.99, JSON.stringify(forward.unmatched));
		assert.ok((report.packets?.begun ?? 0) >= million);
		assert.equal(report.packets?.untracked, 0);
	});

	test("10,000 flows are told apart as far as there is room, the rest is counted as other", async () => {
		const packets = 10_000 * BATCH;
		const report = await latencyOf(["--by", "flow", "--bridge", "cni0", `--lab=${lab().name}`], async () => {
			const sent = await flood(lab(), "default/client", "default/neighbor", { packets, size: 22, flows: 10_000 });
			assert.equal(sent, packets);
		});
		const parts = report.segments.filter(({ kind, group }) => kind === "bridge-forward" && group !== null);
		const flows = parts.filter(({ group }) => group !== "other");
		assert.ok(flows.length === 100, `${flows.length} flows are shown`);
		assert.match(flows[0]?.group ?? "", /^udp default\/client:\d+ ↔ default\/neighbor:9000$/);
		const other = parts.find(({ group }) => group === "other");
		assert.ok((other?.count ?? 0) > packets * 0.8, `${other?.count} are other`);
		const forward = segmentOf(report, "node-a", "bridge-forward");
		assert.equal(
			parts.reduce((sum, { count }) => sum + count, 0),
			forward.count,
		);
		assert.ok(forward.count >= packets * 0.99);
	});

	test("it says whose packets they are, and how long the way into a pod is", async () => {
		const address = lab().pod("default/server").pod.address.ipv4;
		const ping = () => lab().ping("default/client", address, { count: 20 });
		const byPod = await latencyOf(["--by", "pod", "--inside", `--lab=${lab().name}`], ping);
		const groups = (kind: SegmentKind, node: string) =>
			byPod.segments.filter((each) => each.kind === kind && each.node === node).flatMap(({ group }) => group ?? []);
		assert.ok(groups("bridge-up", "node-a").includes("default/client"));
		assert.ok(groups("into-pod", "node-b").includes("default/server"));
		assert.ok(segmentOf(byPod, "node-b", "into-pod").count >= 20);
		assert.ok(segmentOf(byPod, "node-b", "out-of-pod").count >= 20);
		for (const node of ["node-a", "node-b"]) {
			for (const kind of ["bridge-up", "bridge-down", "encapsulate", "decapsulate"] as const) {
				assert.ok(segmentOf(byPod, node, kind).count >= 20, `${kind} on ${node}`);
			}
			assert.ok(segmentOf(byPod, node, "transit").count >= 40);
		}
		const byProtocol = await latencyOf(["--by", "protocol", `--lab=${lab().name}`], ping);
		assert.ok(
			byProtocol.segments.some(({ kind, group, count }) => kind === "route" && group === "icmp" && count >= 40),
		);
	});

	test("a packet for the node itself ends at the bridge", async () => {
		const report = await latencyOf(["--bridge", "cni0", `--lab=${lab().name}`], () =>
			lab().ping("default/client", lab().node("node-a").node.vtep.ipv4.replace(/0$/, "1"), { count: 20 }),
		);
		assert.ok(segmentOf(report, "node-a", "bridge-up").count >= 20);
		assert.ok(segmentOf(report, "node-a", "bridge-down").count >= 20);
	});

	test("a bridge that is not there is refused, and those that are there are named", async () => {
		const { code, stderr } = await runWeft("latency", "--bridge", "br9", `--lab=${lab().name}`);
		assert.equal(code, 1);
		assert.match(stderr, /no bridge br9 .*cni0/);
	});

	test("the table says how exact it is", async () => {
		const { code, stdout } = await runWeft("latency", "-d", "300ms", `--lab=${lab().name}`);
		assert.equal(code, 0);
		assert.match(stdout, /no packets yet|quantiles within 1.6 %/);
	});
});

describe("other bridges beside cni0", () => {
	const lab = cluster();
	const containers: Space[] = [];

	after(async () => {
		for (const { netns } of containers) await run(["ip", "netns", "delete", netns]);
	});

	/** A plain container: a namespace and a veth, as `docker run` makes it. */
	async function container(bridge: string, address: string): Promise<Space> {
		const space = new Space(`container ${address}`, `wf-lat-${process.pid}-${containers.length}`);
		await run(["ip", "netns", "add", space.netns]);
		containers.push(space);
		const device = `veth${containers.length}`;
		const node = lab().node("node-a");
		await node.ip([
			`link add ${device} type veth peer name eth0 netns ${space.netns}`,
			`link set ${device} master ${bridge} up`,
		]);
		await space.ip(["link set lo up", `addr add ${address}/24 dev eth0`, "link set eth0 up"]);
		return space;
	}

	test("docker0 with two plain containers, another bridge, and cni0, all at once", async () => {
		const node = lab().node("node-a");
		// The lab's nodes have a docker0 without containers.
		await node.ip(["link add br0 type bridge", "link set br0 up"]);
		await container("docker0", "172.17.0.2");
		const client = await container("docker0", "172.17.0.3");
		const left = await container("br0", "172.18.0.2");
		await container("br0", "172.18.0.3");
		const pings = async (from: Space, to: string) => {
			const { status } = await attempt(["ip", "netns", "exec", from.netns, "ping", "-qc", "20", "-i", "0.01", to]);
			assert.equal(status, 0, `precondition: ${from.name} reaches ${to}`);
		};
		const report = await latencyOf([`--lab=${lab().name}`], async () => {
			await Promise.all([
				pings(client, "172.17.0.2"),
				pings(left, "172.18.0.3"),
				lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4, { count: 20 }),
			]);
		});
		for (const device of ["docker0", "br0", "cni0"]) {
			assert.ok(segmentOf(report, "node-a", "bridge-forward", device).count >= 40, `${device} forwards both ways`);
		}
		const alone = await latencyOf(["--bridge", "docker0", "--netns", node.netns], () => pings(client, "172.17.0.2"));
		assert.deepEqual([...new Set(alone.segments.map(({ device }) => device))], ["docker0"]);
	});
});

/** The program of test/native/spin.bpf.c behind whatever comes later on the ingress of a pod's veth. */
async function spinAt(lab: Lab, pod: string, egress: boolean): Promise<Link> {
	const { netns, device } = { netns: lab.node(lab.pod(pod).pod.node).path, device: lab.pod(pod).pod.device };
	const object = addon().openObject(readFileSync(new URL("../native/spin.bpf.o", import.meta.url)));
	object.load();
	const program = object.program("spin");
	const space = addon().openNetns(netns);
	try {
		const [link] = JSON.parse(await lab.node(lab.pod(pod).pod.node).run("ip", "-j", "link", "show", device)) as [
			{ ifindex: number },
		];
		return await addon().attachTcx({ program, ifindex: link.ifindex, egress, netns: space });
	} finally {
		space.close();
		program.close();
		object.close();
	}
}

/** UDP to port 9000, where somebody takes it in; how many were sent. */
async function flood(
	lab: Lab,
	from: string,
	to: string,
	options: { readonly packets: number; readonly size: number; readonly rate?: number; readonly flows?: number },
): Promise<number> {
	const address = lab.pod(to).pod.address.ipv4;
	const sink = lab.pod(to).spawn([FLOOD, "sink", address, "9000", "--seconds", "60"], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const closed = once(sink, "close");
	assert.ok(sink.stdout);
	await once(createInterface({ input: sink.stdout }), "line");
	const words = Object.entries({ seconds: 60, ...options }).flatMap(([name, value]) => [`--${name}`, String(value)]);
	const output = await lab.pod(from).run(FLOOD, "send", address, "9000", ...words);
	sink.kill("SIGINT");
	await closed;
	return (JSON.parse(output) as { sent: number }).sent;
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
