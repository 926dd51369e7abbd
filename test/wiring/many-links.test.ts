import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describeNode } from "../../src/identity/topology.js";
import { IdentityWatch } from "../../src/identity/watch.js";
import { addon } from "../../src/kernel/addon.js";
import { topologyLines } from "../../src/render/text/topology.js";
import { encode } from "../../src/rpc/codec.js";
import { topologyMessage } from "../../src/rpc/topology-message.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { WiringView } from "../../src/wiring/view.js";
import { WiringWatch } from "../../src/wiring/watch.js";
import { until } from "../until.js";

const LINKS = 2000;
const NETNS = `wf-many-${process.pid}`;
const MIB = 2 ** 20;

describe(`${LINKS} links on one node`, () => {
	const path = `/run/netns/${NETNS}`;
	const options = { native: addon(), node: "many", netns: path, hostRoot: null };

	before(() => {
		execFileSync("ip", ["netns", "add", NETNS]);
		ip(["link add cni0 type bridge", ...pairs(0, LINKS / 2).map(([a, b]) => `link add ${a} type veth peer name ${b}`)]);
		// Every second one as a runtime plugs it in.
		ip(pairs(0, LINKS / 4).map(([a]) => `link set ${a} master cni0`));
	});
	after(() => {
		execFileSync("ip", ["netns", "del", NETNS]);
	});

	test("are read, resolved, told and drawn in bounded time and memory", () => {
		const heapBefore = heap();
		forgetPeak();
		const peakBefore = peak();
		const started = performance.now();
		const { wiring, warnings } = readWiring(options);
		const view = new WiringView(wiring);
		const identity = new IdentityWatch({ netns: path, hostRoot: null, runtimes: () => [] }, wiring, () => {});
		const topology = describeNode(view, identity.directory);
		const bytes = encode("WatchTopologyResponse", {
			snapshot: { nodes: [topologyMessage(topology, "i", new Uint8Array(0))] },
		});
		const lines = topologyLines(topology, { colour: false, width: Number.POSITIVE_INFINITY });
		const tookMs = performance.now() - started;
		identity.close();
		assert.equal(wiring.host.links.filter((link) => view.peer(link).kind === "paired").length, LINKS);
		assert.ok(topology.devices.length > LINKS && lines.length > LINKS / 2);
		assert.deepEqual(warnings, []);
		const figures = `${tookMs} ms, ${bytes.length} bytes, peak ${(peak() - peakBefore) / MIB} MiB, kept ${(heap() - heapBefore) / MIB} MiB`;
		assert.ok(tookMs < 10_000, figures);
		assert.ok(bytes.length < 4 * MIB, `more than a client takes by default: ${figures}`);
		assert.ok(peak() - peakBefore < 96 * MIB, figures);
		assert.ok(heap() - heapBefore < 24 * MIB, figures);
	});

	test("followed while a fifth of them goes and comes again and again: a burst is matched once, and nothing is kept", async () => {
		const wiring = new WiringWatch(options, () => identity.rewired(() => wiring.wiring));
		const identity = new IdentityWatch({ netns: path, hostRoot: null, runtimes: () => [] }, wiring.wiring, () => {});
		const links = () => wiring.wiring.host.links.filter(({ name }) => /^v[ab]\d/.test(name)).length;
		// A group goes all at once: one by one each would wait for an RCU grace period.
		const fifth = pairs(0, LINKS / 10);
		ip(fifth.map(([a]) => `link set ${a} group 7`));
		const round = async () => {
			ip(["link del group 7"]);
			await until(() => links() === LINKS - LINKS / 5);
			ip(fifth.map(([a, b]) => `link add ${a} group 7 type veth peer name ${b}`));
			await until(() => links() === LINKS);
		};
		try {
			await round();
			const before = heap();
			const cpu = process.cpuUsage();
			for (let i = 0; i < 3; i++) await round();
			const { user, system } = process.cpuUsage(cpu);
			assert.ok(user + system < 10e6, `${(user + system) / 1e6} s of CPU: each event is matched with all links`);
			const kept = heap() - before;
			assert.ok(kept < 8 * MIB, `${kept / MIB} MiB are kept of ${(3 * LINKS) / 5} links`);
		} finally {
			identity.close();
			wiring.close();
		}
	});
});

function pairs(from: number, until: number): readonly (readonly [string, string])[] {
	return Array.from({ length: until - from }, (_, i) => [`va${from + i}`, `vb${from + i}`]);
}

function ip(commands: readonly string[]): void {
	execFileSync("ip", ["-n", NETNS, "-batch", "-"], {
		input: `${commands.join("\n")}\n`,
		stdio: ["pipe", "ignore", "inherit"],
	});
}

/** Bytes in use after a collection. */
function heap(): number {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
	const { heapUsed, arrayBuffers } = process.memoryUsage();
	return heapUsed + arrayBuffers;
}

/** The most that was resident since `forgetPeak`, bytes (proc(5), VmHWM). */
function peak(): number {
	return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) * 1024;
}

function forgetPeak(): void {
	writeFileSync("/proc/self/clear_refs", "5");
}
