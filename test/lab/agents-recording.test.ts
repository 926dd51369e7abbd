import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Path } from "../../src/path/path.js";
import { Agents, end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { serveTable } from "./hop-table.js";
import { runWeft, startWeft } from "./weft.js";

/** What agents sent is recorded where it is joined: `weft trace --agent … -w FILE`, clocks apart. */
describe("a recording of a trace by agents", () => {
	const lab = cluster();
	const folder = mkdtempSync(join(tmpdir(), "weft-recording-"));
	let agents: Agents;

	before(async () => {
		await serveTable(lab());
		agents = await Agents.start(lab());
	});
	after(async () => {
		await agents.stop();
		rmSync(folder, { recursive: true });
	});

	/** A service, fragments, a pod that comes and goes, packets that a rule throws away. */
	async function recorded(file: string, ...options: readonly string[]): Promise<readonly Path[]> {
		const weft = await startWeft("trace", "any", "any", "not port 9", "-w", file, ...options);
		try {
			const server = lab().pod("default/server").pod.address;
			const web = lab().service("default/web").clusterIp.ipv4;
			await lab().send("default/client", { protocol: "tcp", address: web, port: 80, bytes: 100_000 });
			await lab().ping("default/client", server.ipv4, { size: 3000 });
			const late = await lab().addPod("node-a", { name: "late" });
			await sleep(500);
			assert.equal(await lab().ping("default/late", server.ipv4), 1);
			await lab().deletePod(`default/${late.pod.name}`);
			const rule = ["FORWARD", "-d", server.ipv4, "-p", "icmp", "-j", "DROP"];
			await lab()
				.node("node-a")
				.run("iptables", "-I", ...rule);
			await lab().ping("default/client", server.ipv4);
			await lab()
				.node("node-a")
				.run("iptables", "-D", ...rule);
			await sleep(3000);
			await weft.stop();
		} finally {
			await weft.end();
		}
		return weft.paths;
	}

	async function assertReplays(file: string, live: readonly Path[]): Promise<void> {
		const whole = live.filter(({ hops }) => new Set(hops.map(({ node }) => node)).size === 2);
		assert.ok(whole.length > 10, `precondition: ${whole.length} of ${live.length} paths cross both nodes`);
		const crossed = whole.filter(({ clockErrorNs }) => clockErrorNs > 0);
		assert.ok(crossed.length > 0, "precondition: the nodes have clocks of their own");
		const has = (test: (path: Path) => boolean, what: string) => assert.ok(live.some(test), `precondition: ${what}`);
		has(({ verdict }) => verdict === "dropped", "one was dropped");
		has(({ flow }) => flow.service?.name === "default/web", "a service was named");
		has(({ flow }) => flow.source.pod === "late", "a pod came");
		const replay = await runWeft("trace", "-r", file, "-o", "json");
		assert.equal(replay.code, 0, replay.stderr);
		assert.deepEqual(
			replay.stdout.split("\n").filter((line) => line.includes('"type":"path"')),
			live.map((path) => JSON.stringify(path)),
		);
	}

	test("replays to the same paths, byte for byte", async () => {
		const file = join(folder, "agents.weft");
		await assertReplays(file, await recorded(file, ...agents.options));
	});

	test("so does one through a relay", async () => {
		const address = `unix:${join(folder, "relay.sock")}`;
		const relay = await serving("relay", "--listen", address, ...agents.options);
		try {
			const file = join(folder, "relay.weft");
			await assertReplays(file, await recorded(file, "--agent", address));
		} finally {
			await end(relay, "SIGTERM");
		}
	});
});
