import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Path } from "../../src/path/path.js";
import { until } from "../until.js";
import { Agents, agentsOf } from "./agents.js";
import { cluster } from "./cluster.js";
import { hopsOf, replyTo, requestTo, settle } from "./found.js";
import { exchange, HOP_TABLE, serveTable, whole } from "./hop-table.js";
import { programsOn } from "./programs.js";
import { assertBalanced, type RunningWeft, runWeft, startWeft } from "./weft.js";

/** `weft trace --agent A --agent B`: whole paths across nodes that share neither clock nor salt. */
describe("a trace by agents with honest clocks", () => {
	const lab = cluster();
	let agents: Agents;
	let weft: RunningWeft;

	before(async () => {
		await serveTable(lab());
		agents = await Agents.start(lab());
		weft = await startWeft("trace", "any", "any", ...agents.options);
	});

	after(async () => {
		assertBalanced(await weft.stop());
		await agents.stop();
	});

	for (const each of HOP_TABLE) {
		for (const family of each.families ?? (["ipv4", "ipv6"] as const)) {
			for (const protocol of each.protocols) {
				test(`${each.name}, ${protocol} over ${family}`, async () => {
					await exchange(lab(), each, family, protocol);
					await settle(weft);
					const before = weft.paths.length;
					await exchange(lab(), each, family, protocol);
					const request = await requestTo(weft, before, protocol, each.to(lab(), family));
					const reply = await replyTo(weft, protocol, request);
					assert.equal(hopsOf(lab(), request), whole(each.request), "request");
					assert.equal(hopsOf(lab(), reply), whole(each.reply), "reply");
					assert.equal(request.verdict, "delivered", request.blame?.reason);
					assertOneWay(request);
				});
			}
		}
	}
});

describe("agents in the life of a cluster", () => {
	const lab = cluster();
	before(() => serveTable(lab()));
	const agents = agentsOf(lab);

	test("idle, they hook nothing; a client that goes away takes its hooks with it at once", async (t) => {
		assert.equal(await programsOn(lab()), 0);
		const weft = await startWeft("trace", "default/client", "default/server", ...agents().options);
		assert.deepEqual([...weft.ready.nodes].sort(), ["node-a", "node-b"]);
		assert.ok((await programsOn(lab())) >= 16);
		weft.process.kill("SIGKILL");
		const begun = performance.now();
		while ((await programsOn(lab())) > 0) {
			assert.ok(performance.now() - begun < 5000, "hooks stay");
			await sleep(10);
		}
		t.diagnostic(`no hook ${Math.round(performance.now() - begun)} ms after the client was killed`);
	});

	test("between two pods of one node only that node is asked", async () => {
		const weft = await startWeft("trace", "default/client", "default/neighbor", ...agents().options);
		assert.deepEqual(weft.ready.nodes, ["node-a"]);
		assert.equal(await lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4), 1);
		await until(() => weft.paths.length >= 2);
		assertBalanced(await weft.stop());
	});

	test("a missing FDB entry: lost after flannel.1, with the command that repairs it", async () => {
		const weft = await startWeft("trace", "default/client", "default/server", "icmp", ...agents().options);
		const server = lab().pod("default/server").pod.address.ipv4;
		assert.equal(await lab().ping("default/client", server), 1);
		await until(() => weft.paths.length >= 2);
		assert.ok(weft.paths.every(({ verdict }) => verdict === "delivered"));
		const { node } = lab().node("node-b");
		const entry = `${node.vtepMac.ipv4} dev flannel.1 dst ${node.address.ipv4} self permanent`;
		await lab()
			.node("node-a")
			.run("bridge", "fdb", "del", ...entry.split(" "));
		await sleep(200);
		const before = weft.paths.length;
		assert.equal(await lab().ping("default/client", server), 0);
		await until(() => weft.paths.length > before, 8000);
		const lost = weft.paths[before] as Path;
		// The kernel may say so itself, and then it is no guess.
		assert.ok(["lost", "dropped"].includes(lost.verdict), lost.verdict);
		assert.match(`${lost.blame?.device}→${lost.blame?.direction} @${lost.blame?.node}`, /flannel\.1→egress @node-a/);
		assert.match(lost.blame?.remedy ?? "", /^bridge fdb (replace|add|append) /);
		await lab()
			.node("node-a")
			.run(...(lost.blame?.remedy ?? "").split(" "));
		await sleep(200);
		const repaired = weft.paths.length;
		assert.equal(await lab().ping("default/client", server), 1);
		await until(() => weft.paths.slice(repaired).some(({ verdict }) => verdict === "delivered"));
		assertBalanced(await weft.stop());
	});

	test("an agent killed and started again: its time away is unknown, nothing is called lost, then rows are whole", async () => {
		const weft = await startWeft("trace", "default/client", "default/server", "icmp", ...agents().options);
		const server = lab().pod("default/server").pod.address.ipv4;
		assert.equal(await lab().ping("default/client", server), 1);
		await until(() => weft.paths.length >= 2);
		await agents().kill("node-b");
		await sleep(300);
		const before = weft.paths.length;
		assert.equal(await lab().ping("default/client", server), 1, "the packets do not care");
		await until(() => weft.paths.length >= before + 1, 8000);
		await agents().begin("node-b");
		await until(() => weft.warnings.some((line) => /node-b is watched again/.test(line)), 15_000);
		const again = weft.paths.length;
		assert.equal(await lab().ping("default/client", server), 1);
		await until(() =>
			weft.paths.slice(again).some(({ verdict, hops }) => verdict === "delivered" && hops.length === 8),
		);
		const summary = await weft.stop();
		assertBalanced(summary);
		assert.equal(summary.paths.lost, 0, "what nobody watched is not lost");
		assert.ok(weft.warnings.some((line) => /node-b is not watched since/.test(line)));
	});

	test("no agent: one line and the remedy", async () => {
		const result = await runWeft("trace", "any", "any", "--agent", `unix:${agents().folder}/nobody.sock`);
		assert.equal(result.code, 1);
		assert.match(result.stderr, /no agent to ask.*weft agent --listen/);
	});
});

/** Latencies may be wrong by the clocks' error, no more: the veths' own order says what is right. */
function assertOneWay(path: Path): void {
	const nodes = new Set(path.hops.map(({ node }) => node));
	if (nodes.size < 2) {
		assert.equal(path.clockErrorNs, 0);
		return;
	}
	assert.ok(path.clockErrorNs > 0, "a latency across nodes has an error");
	assert.ok(path.clockErrorNs < 20e6, `±${path.clockErrorNs} ns`);
	assert.ok(path.latencyNs > -path.clockErrorNs, `${path.latencyNs} ± ${path.clockErrorNs} ns is before it was sent`);
	assert.ok(
		path.latencyNs < 20e6 + path.clockErrorNs,
		`${path.latencyNs} ± ${path.clockErrorNs} ns is no lab's latency`,
	);
}
