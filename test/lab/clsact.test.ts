import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { NodeSpace } from "../../src/lab/lab.js";
import { watchdogsIn } from "../native/spawn.js";
import { until } from "../until.js";
import { end, serving } from "./agents.js";
import { CLSACT_SUITES, LEFT_OUT } from "./clsact-files.js";
import { cluster } from "./cluster.js";
import { assertBalanced, type RunningWeft, runWeft, startWeft } from "./weft.js";

const FOREIGN = fileURLToPath(new URL("../native/foreign.bpf.o", import.meta.url));

test("every end-to-end file runs by clsact as well, once, or says why not", () => {
	const files = readdirSync("test/lab")
		.filter((name) => name.endsWith(".test.ts") && !name.endsWith("-suite.test.ts"))
		.map((name) => name.slice(0, -".test.ts".length));
	const known = [...Object.values(CLSACT_SUITES).flat(), ...Object.keys(LEFT_OUT)];
	assert.deepEqual(known.sort(), files.sort());
});

describe("clsact filters of a trace", () => {
	const lab = cluster({ servers: true });

	const started: RunningWeft[] = [];

	async function start(): Promise<RunningWeft> {
		const weft = await startWeft("trace", "any", "any", `--lab=${lab().name}`, "--attach=clsact");
		started.push(weft);
		return weft;
	}
	after(() => {
		for (const { process } of started) process.kill("SIGKILL");
	});

	/** Filters and clsact qdiscs on the nodes' devices, as tc shows them. */
	async function filters(
		node: NodeSpace,
	): Promise<{ readonly weft: number; readonly qdiscs: number; readonly text: string }> {
		const links = JSON.parse(await node.run("ip", "-j", "link", "show")) as { ifname: string }[];
		const texts = await Promise.all(
			links.flatMap(({ ifname }) =>
				["ingress", "egress"].map((side) => node.attempt("tc", "filter", "show", "dev", ifname, side)),
			),
		);
		const text = texts.map(({ stdout }) => stdout).join("");
		const qdiscs = (await node.run("tc", "qdisc", "show")).split("\n").filter((line) => line.includes("clsact"));
		return { weft: text.match(/weft\//g)?.length ?? 0, qdiscs: qdiscs.length, text };
	}

	async function counts(): Promise<readonly number[]> {
		const found = await Promise.all(lab().nodes.map(filters));
		return found.flatMap(({ weft, qdiscs }) => [weft, qdiscs]);
	}

	async function ping(): Promise<number> {
		return await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4);
	}

	test("go with it", async () => {
		const weft = await start();
		assert.ok(
			(await counts()).every((count) => count >= 4),
			"precondition: they are there",
		);
		assert.equal(await ping(), 1);
		assertBalanced(await weft.stop());
		assert.deepEqual(await counts(), [0, 0, 0, 0]);
	});

	test("go when it is killed, by the watchdog, and the traffic never notices", async () => {
		const weft = await start();
		assert.ok(
			(await counts()).every((count) => count >= 4),
			"precondition: they are there",
		);
		const closed = once(weft.process, "close");
		weft.process.kill("SIGKILL");
		await closed;
		for (const end = Date.now() + 5000; (await counts()).some((count) => count > 0); await sleep(50)) {
			assert.ok(Date.now() < end, `left: ${await counts()}`);
		}
		assert.equal(await ping(), 1);
	});

	test("whose watchdog was killed as well go by weft cleanup, which leaves those of a weft that runs", async () => {
		const weft = await start();
		const running = await counts();
		const spared = await runWeft("cleanup");
		assert.equal(spared.code, 0, spared.stderr);
		assert.deepEqual(await counts(), running, "a weft that runs keeps its filters");
		const watchdogs = lab().nodes.flatMap(({ path }) => watchdogsIn(statSync(path).ino));
		assert.ok(watchdogs.length > 0, "precondition: it has a watchdog");
		const closed = once(weft.process, "close");
		for (const pid of watchdogs) process.kill(pid, "SIGKILL");
		weft.process.kill("SIGKILL");
		await closed;
		await sleep(300);
		assert.ok(
			(await counts()).every((count) => count >= 4),
			"precondition: nobody has cleaned up",
		);
		assert.equal(await ping(), 1, "they let everything pass");
		const cleaned = await runWeft("cleanup");
		assert.equal(cleaned.code, 0, cleaned.stderr);
		assert.deepEqual(await counts(), [0, 0, 0, 0]);
	});

	for (const who of ["by itself", "by an agent"]) {
		test(`are what weft explain watches a device with, ${who}, and no longer than it watches`, async () => {
			const space = lab().node("node-a");
			const { netns, root } = space.node;
			const place = [`--netns=${netns}`, "--attach=clsact"];
			const address = `unix:${root}/clsact.sock`;
			const agent =
				who === "by itself" ? null : await serving("agent", ...place, `--host-root=${root}`, "--listen", address);
			try {
				const asked = runWeft(
					...["explain", "cni0", "--watch", "2s", "-o", "json"],
					...(agent === null ? place : ["--agent", address]),
				);
				let isOver = false;
				const answered = asked.finally(() => {
					isOver = true;
				});
				let most = 0;
				while (!isOver) most = Math.max(most, (await filters(space)).weft);
				const { code, stdout, stderr } = await answered;
				assert.equal(code, 0, stderr);
				assert.match(stdout, /hooks on it saw \d+ packets? in /);
				assert.equal(most, 2, "both ways");
				// An agent hears of it that its client has gone.
				await until(async () => (await counts()).every((count) => count === 0));
			} finally {
				if (agent !== null) await end(agent, "SIGTERM");
			}
		});
	}

	test("leave foreign filters and their qdisc alone, before, beside and after", async () => {
		const node = lab().node("node-a");
		const { device } = lab().pod("default/neighbor").pod;
		await node.run("tc", "qdisc", "add", "dev", device, "clsact");
		// Behind everything else, and for a protocol that nobody sends: it is there, and does nothing.
		const foreign = [
			"protocol",
			"0x88b5",
			"pref",
			"40000",
			"bpf",
			"direct-action",
			"obj",
			FOREIGN,
			"sec",
			"classifier",
		];
		await node.run("tc", "filter", "add", "dev", device, "ingress", ...foreign);
		const before = await filters(node);
		assert.match(before.text, /foreign/);
		const weft = await start();
		assert.equal(await lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4), 1);
		await sleep(100);
		assertBalanced(await weft.stop());
		assert.ok(weft.paths.some(({ hops }) => hops.some((hop) => hop.device === device && hop.direction === "ingress")));
		assert.deepEqual(await filters(node), before);
		await node.run("tc", "qdisc", "del", "dev", device, "clsact");
	});

	test("say where somebody's filter runs before them, and what it lets through is traced", async () => {
		const node = lab().node("node-a");
		const { device } = lab().pod("default/neighbor").pod;
		await node.run("tc", "qdisc", "add", "dev", device, "clsact");
		// The first priority is taken; it matches nothing that is sent.
		const first = ["protocol", "0x88b5", "pref", "1", "u32", "match", "u32", "0", "0", "flowid", "1:1"];
		await node.run("tc", "filter", "add", "dev", device, "ingress", ...first);
		const weft = await start();
		try {
			const shadows = weft.warnings.filter((line) => line.includes("runs before weft's"));
			assert.equal(shadows.length, 1, shadows.join("\n"));
			assert.match(shadows[0] ?? "", new RegExp(`${device} ingress .*: tc filter show dev ${device} ingress`));
			assert.equal(await lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4), 1);
			await sleep(100);
			assertBalanced(await weft.stop());
		} finally {
			await weft.end();
			await node.run("tc", "qdisc", "del", "dev", device, "clsact");
		}
	});
});
