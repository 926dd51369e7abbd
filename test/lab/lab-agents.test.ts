import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentStatus } from "../../src/collector/agent-status.js";
import { agentAddress, CLOCKS_APART } from "../../src/lab/agents.js";
import { Lab } from "../../src/lab/lab.js";
import { startTicks } from "../../src/lab/state.js";
import { processesIn } from "../../src/lab/teardown.js";
import { end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { runWeft, startWeft } from "./weft.js";

describe("the agents of a lab", () => {
	const lab = cluster();

	const agents = async (...words: string[]) => {
		const { code, stdout, stderr } = await runWeft("lab", "agents", ...words, "--name", lab().name);
		return { code, stdout, stderr };
	};
	/** Processes in the nodes; a fresh view of the lab each time, as another process changed it. */
	const inNodes = () => processesIn(lab().nodes.map(({ netns }) => netns));
	const status = async () => {
		const { code, stdout } = await agents("status", "-o", "json");
		return { code, told: stdout.split("\n").flatMap((line) => (line ? [JSON.parse(line) as AgentStatus] : [])) };
	};

	test("run in the nodes with clocks of their own, once each, and are found by a relay of the lab", async () => {
		assert.equal((await status()).code, 1, "none runs yet");
		assert.equal((await inNodes()).length, 0);
		const up = await agents("up", "--clocks", "apart");
		assert.equal(up.code, 0, up.stderr);
		assert.equal((await inNodes()).length, 2);
		const again = await agents("up");
		assert.equal(again.code, 0, again.stderr);
		assert.equal((await inNodes()).length, 2, "those that run are left alone");

		const { code, told } = await status();
		assert.equal(code, 0);
		assert.deepEqual(
			told.map(({ node, address }) => [node, address]),
			["node-a", "node-b"].map((node) => [node, agentAddress(lab().name, node)]),
		);
		told.forEach(({ node, clock }, at) => {
			const off = Number(CLOCKS_APART[at]?.offsetNs);
			assert.ok(clock !== null && Math.abs(clock.offsetNs - off) < 0.5e9, `${node}: ${clock?.offsetNs} for ${off}`);
		});

		const address = `unix:/run/weft/lab/${lab().name}/relay.sock`;
		const relay = await serving("relay", "--listen", address, `--lab=${lab().name}`);
		try {
			const weft = await startWeft("trace", "default/client", "default/server", "icmp", "--agent", address);
			assert.deepEqual([...weft.ready.nodes].sort(), ["node-a", "node-b"]);
			assert.equal(await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4), 1);
			const { paths } = await weft.stop();
			assert.equal(paths.delivered, 2);
			assert.ok(weft.paths.every(({ hops }) => hops.length === 8));
		} finally {
			await end(relay, "SIGTERM");
		}
	});

	test("hook by clsact when they are told to", async () => {
		assert.equal((await agents("down")).code, 0);
		const up = await agents("up", "--attach", "clsact");
		assert.equal(up.code, 0, up.stderr);
		const asked = lab().nodes.flatMap(({ node }) => ["--agent", agentAddress(lab().name, node.name)]);
		const weft = await startWeft("trace", "default/client", "default/server", "icmp", ...asked);
		const { told } = await status();
		await weft.stop();
		assert.deepEqual(
			told.map(({ attach }) => attach),
			["clsact", "clsact"],
		);
	});

	test("end when they are told to, and with the lab", async () => {
		const started = await agents("up");
		assert.equal(started.code, 0, started.stderr);
		assert.match((await agents("down")).stderr, /ended 2/);
		// What an agent had begun just then, like listing rules, comes to its end a moment later.
		for (const stop = Date.now() + 5000; (await inNodes()).length > 0; await sleep(20)) {
			assert.ok(Date.now() < stop, "something runs on in the nodes");
		}
		assert.match((await agents("down")).stderr, /none runs/);
		assert.equal((await agents("up")).code, 0);
		const pids = await inNodes();
		assert.equal(pids.length, 2);
		const removed = await Lab.down(lab().name);
		assert.ok(removed.processes >= 2);
		for (const pid of pids) assert.equal(await startTicks(pid), null, `${pid} runs on`);
	});

	test("of a lab that is not up, they are refused", async () => {
		const refused = await runWeft("lab", "agents", "up", "--name", "nosuchlab");
		assert.equal(refused.code, 1);
		assert.match(refused.stderr, /nosuchlab is not up/);
	});
});
