import assert from "node:assert/strict";
import { type spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { end, serving } from "./agents.js";
import { cluster } from "./cluster.js";

/** `weft agent --metrics ADDR --always latency,drops`, as Prometheus meets it. */
describe("an agent's metrics", () => {
	const lab = cluster();
	let agent: ReturnType<typeof spawn> | null = null;
	let url = "";
	const folder = mkdtempSync(join(tmpdir(), "weft-metrics-"));

	before(async () => {
		const port = await freePort();
		url = `http://127.0.0.1:${port}/metrics`;
		const { node, netns } = { node: lab().node("node-a").node, netns: lab().node("node-a").netns };
		agent = await serving(
			...["agent", "--netns", netns, "--host-root", node.root, "--listen", `unix:${folder}/metrics.sock`],
			...["--metrics", `127.0.0.1:${port}`, "--always", "latency,drops"],
		);
		const address = (pod: string) => lab().pod(pod).pod.address.ipv4;
		await lab().ping("default/client", address("default/neighbor"), { count: 20 });
		await lab().ping("default/client", address("default/server"), { count: 20 });
		await lab().send("default/client", {
			...{ protocol: "udp", address: address("default/neighbor"), port: 5999, size: 20, count: 3, timeoutMs: 50 },
		});
		// Drops are told when they have been gathered.
		for (const until = Date.now() + 5000; Date.now() < until; await sleep(100)) {
			if (/^weft_dropped_packets_total\{/m.test(await scrape())) break;
		}
	});
	after(async () => {
		if (agent !== null) await end(agent, "SIGTERM");
		rmSync(folder, { recursive: true, force: true });
	});

	async function scrape(): Promise<string> {
		const response = await fetch(url);
		assert.equal(response.status, 200);
		assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
		return await response.text();
	}

	test("promtool check metrics finds nothing to say against them", async () => {
		const text = await scrape();
		const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
		assert.deepEqual({ status, said: `${stdout}${stderr}` }, { status: 0, said: "" });
	});

	test("and it would, if there were something: a counter without _total, a histogram without its end", async () => {
		const check = (input: string) => spawnSync("promtool", ["check", "metrics"], { input, encoding: "utf8" }).status;
		const text = await scrape();
		assert.notEqual(check(text.replaceAll("weft_dropped_packets_total", "weft_dropped_packets")), 0);
		assert.notEqual(check(text.replaceAll(/^# HELP .*\n/gm, "")), 0);
		assert.notEqual(check(text.replace("weft_segment_duration_seconds_sum{", "weft_segment_duration_seconds_sum")), 0);
	});

	test("they are histograms in seconds, drops by diagnosis and pod, the ledger, and what is running", async () => {
		const text = await scrape();
		const forward = /^weft_segment_duration_seconds_count\{node="node-a",kind="bridge-forward",device="cni0"\} (\d+)$/m;
		assert.ok(Number(forward.exec(text)?.[1]) >= 40, "the pings to the neighbour, there and back");
		const buckets = [
			...text.matchAll(/^weft_segment_duration_seconds_bucket\{[^}]*kind="encapsulate"[^}]*\} (\d+)$/gm),
		];
		const counts = buckets.map(([, count]) => Number(count));
		assert.ok((counts.at(-1) ?? 0) >= 20);
		assert.deepEqual(
			counts,
			[...counts].sort((a, b) => a - b),
			"buckets add up",
		);
		const sum = /^weft_segment_duration_seconds_sum\{[^}]*kind="encapsulate"[^}]*\} (\S+)$/m.exec(text)?.[1];
		assert.ok(Number(sum) > 0 && Number(sum) < 20, `${sum}: seconds`);
		assert.match(text, /^weft_dropped_packets_total\{[^}]*diagnosis="closed port",pod="default\/neighbor"\} 3$/m);
		assert.match(text, /^weft_build_info\{version="[^"]+",kernel="[^"]+"\} 1$/m);
		for (const stage of ["filter", "kernel", "rings", "decode"]) {
			assert.match(text, new RegExp(`^weft_stage_sightings_total\\{stage="${stage}",way="in"\\} \\d+$`, "m"));
		}
	});

	test("counters only ever grow, and a scrape takes nothing away", async () => {
		const values = (text: string) =>
			new Map(
				[...text.matchAll(/^(\S+_(?:total|count|bucket)\{.*\}) (\S+)$/gm)].map(([, name, value]) => [name, value]),
			);
		const first = values(await scrape());
		await lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4, { count: 5 });
		const second = values(await scrape());
		assert.ok(first.size > 50);
		for (const [name, value] of first) assert.ok(Number(second.get(name)) >= Number(value), name);
	});

	test("whatever is asked for besides is not there", async () => {
		assert.equal((await fetch(url.replace("/metrics", "/"))).status, 404);
	});
});

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	assert.ok(address !== null && typeof address === "object");
	return address.port;
}
