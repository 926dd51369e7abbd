import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LatencyWatch } from "../../src/collector/latency.js";
import { nodeOf } from "../../src/collector/node-observer.js";
import { attempt, run } from "../../src/lab/command.js";
import { Space } from "../../src/lab/space.js";
import type { LatencyReport, Segment } from "../../src/latency/report.js";
import { packet } from "../bpf/packet.js";
import { until } from "../until.js";
import { attach } from "./attach.js";
import { inject } from "./frames.js";
import { assertAccounted, isWhole } from "./latency.js";

/** As many as a kubelet has pods by default, and some. */
const PORTS = 120;
/** As in latency-room.ts: that many pairs of a node with this many ports are told apart. */
const ROOM = 2048;
const BRIDGE = "br0";

describe(`a bridge with ${PORTS} ports`, () => {
	const node = new Space("node", `wf-lpo-${process.pid}-n`);
	/** The other ends of all veths, for their frames go nowhere but through the bridge. */
	const far = new Space("far", `wf-lpo-${process.pid}-f`);

	before(async () => {
		for (const { netns } of [node, far]) await run(["ip", "netns", "add", netns]);
		for (const space of [node, far]) {
			await space.sysctl({ "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 });
		}
		const ports = Array.from({ length: PORTS }, (_, port) => port);
		await node.ip([
			`link add ${BRIDGE} type bridge mcast_snooping 0`,
			`link set ${BRIDGE} up`,
			...ports.flatMap((port) => [
				`link add v${port} type veth peer name p${port} address ${macOf(port)} netns ${far.netns}`,
				`link set v${port} master ${BRIDGE} up`,
			]),
		]);
		await far.ip(ports.map((port) => `link set p${port} up`));
		const known = ports.map((port) => `fdb replace ${macOf(port)} dev v${port} master static\n`);
		await run(["bridge", "-n", node.netns, "-batch", "-"], { input: known.join("") });
	});

	let watch: LatencyWatch;

	before(async () => {
		const spec = { ...nodeOf(node.netns, "/nonexistent"), name: "node" };
		watch = await LatencyWatch.start({
			...{ nodes: [spec], bridge: BRIDGE, by: "port", inside: false, attach: attach() },
		});
		// Both sides of each port, and of the bridge.
		await until(() => watch.ready.hooks === 2 * (PORTS + 1), 60_000);
	});

	after(async () => {
		await watch.close();
		for (const { netns } of [far, node]) await attempt(["ip", "netns", "delete", netns]);
	});

	/** Frames from every port to so many after it, by real hooks; the report of these. */
	async function speak(others: number): Promise<LatencyReport> {
		const already = watch.total().packets?.seen ?? 0;
		for (let from = 0; from < PORTS; from++) await inject(far, `p${from}`, framesOf(from, others));
		const all = already + 2 * PORTS * others;
		await until(() => (watch.total().packets?.seen ?? 0) >= all, 60_000);
		return watch.interval();
	}

	test("each of which speaks to four others: every pair has a histogram of its own", async () => {
		const report = await speak(4);
		assertTimed(report, PORTS * 4);
		assert.deepEqual(report.warnings, [], "there was room for all");
	});

	test("all of which speak to all: none is untracked, the rest is timed as other, and the bound is said", async () => {
		const pairs = PORTS * (PORTS - 1);
		assert.ok(pairs > 2 * ROOM, "precondition: more pairs than there is room for");
		const report = await speak(PORTS - 1);
		assertTimed(report, pairs);
		const other = report.segments.find(({ kind, group }) => kind === "bridge-forward" && group === "other");
		assert.ok((other?.count ?? 0) >= (pairs - ROOM) * 0.9, `${other?.count} are other`);
		assert.equal(report.warnings.length, 1);
		assert.match(report.warnings[0] ?? "", new RegExp(`room for ${ROOM} pairs of hooks`));
	});
});

/** Every frame has a sample or a reason, none was untracked, and the parts are the whole. */
function assertTimed(report: LatencyReport, frames: number): void {
	assertAccounted(report);
	assert.equal(report.packets?.untracked, 0);
	assert.equal(report.packets?.seen, 2 * frames);
	const forward = report.segments.filter(({ kind }) => kind === "bridge-forward");
	const [whole, ...again] = forward.filter(isWhole);
	assert.ok(whole !== undefined && again.length === 0, `${again.length + 1} wholes`);
	const reasons = sum(Object.values(whole.unmatched));
	assert.equal(whole.count + reasons, frames);
	assert.ok(whole.count >= frames * 0.95, JSON.stringify(whole.unmatched));
	assert.equal(sum(forward.filter((each) => !isWhole(each)).map(({ count }: Segment) => count)), whole.count);
}

function framesOf(from: number, others: number): readonly Uint8Array[] {
	return Array.from({ length: others }, (_, index) => {
		const to = (from + index + 1) % PORTS;
		return packet()
			.ethernet({ source: macOf(from), destination: macOf(to) })
			.ipv4({ source: `172.19.0.${from + 1}`, destination: `172.19.0.${to + 1}`, id: from * PORTS + to + 1 })
			.udp({ source: 4000, destination: 9000 })
			.payload(`from ${from} to ${to}`)
			.build();
	});
}

function macOf(port: number): string {
	return `02:00:00:00:78:${port.toString(16).padStart(2, "0")}`;
}

function sum(counts: readonly number[]): number {
	return counts.reduce((a, b) => a + b, 0);
}
