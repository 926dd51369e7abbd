import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DropSummary } from "../../src/latency/drop-report.js";
import { agentsOf, end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { type RunningDrops, startDrops } from "./drops.js";

/** `weft drops --agent`: what each node's kernel drops, from anywhere, by the names that all nodes know. */
describe("weft drops by agents", () => {
	const lab = cluster({ servers: true });
	const agents = agentsOf(lab);

	const knock = (from: string, to: string, port = 5999) =>
		lab().send(from, {
			...{ protocol: "udp", address: lab().pod(to).pod.address.ipv4, port, size: 20, count: 2, timeoutMs: 50 },
		});
	const told = (weft: RunningDrops) => weft.drops.reduce((sum, { count }) => sum + count, 0);
	const assertBalanced = ({ seen, ringFull: _, sampled: __, missed: ___, ...rest }: DropSummary) => {
		const { dropped, consumed, filtered, foreign, unknown, unrelated } = rest;
		const found = dropped + consumed + filtered + foreign + unknown + unrelated;
		// Of those of the last moment it is not known yet what they were.
		assert.ok(seen >= found && seen - found <= 200, `${seen} seen, ${found} accounted for`);
	};

	/** Two drops, of which each is another node's, by names of which each agent knows one. */
	async function assertBothTold(weft: RunningDrops): Promise<void> {
		const drops = weft.next(({ node }) => node === "node-b");
		drops.catch(() => undefined);
		await lab().removeFdb("node-a", "node-b");
		try {
			await knock("default/client", "default/server");
			await sleep(300);
		} finally {
			await lab().restoreFdb("node-a", "node-b");
		}
		await knock("default/client", "default/server");
		const seen = (await drops).map(({ node, diagnosis, source, destination }) =>
			[node, diagnosis, source?.pod, destination?.pod].join(" "),
		);
		assert.deepEqual([...new Set(seen)].sort(), [
			"node-a no FDB entry client server",
			"node-b closed port client server",
		]);
	}

	test("of all nodes, with names and a filter that no node knows alone", async () => {
		const weft = await startDrops("udp", "and", "pod", "default/client", ...agents().options);
		await assertBothTold(weft);
		await knock("default/other", "default/server");
		await sleep(500);
		const summary = await weft.stop();
		assert.ok(weft.drops.every(({ source }) => source?.pod === "client"));
		assert.equal(summary.dropped, told(weft));
		assert.ok(summary.filtered > 0, "precondition: other's was not wanted");
		assertBalanced(summary);
	});

	test("with hooks: where each was seen last", async () => {
		const weft = await startDrops("udp", "and", "pod", "default/client", "--hooks", ...agents().options);
		await assertBothTold(weft);
		await weft.stop();
		const places = weft.drops.map(({ node, hop }) => [node, hop?.device, hop?.direction, hop?.evidence].join(" "));
		assert.deepEqual([...new Set(places)].sort(), ["node-a flannel.1 egress seen", "node-b eth0 ingress seen"]);
	});

	test("through a relay; an agent that dies is said, and told of again when it is back", async () => {
		const address = `unix:${agents().folder}/relay.sock`;
		const relay = await serving("relay", "--listen", address, ...agents().options);
		try {
			const weft = await startDrops("udp", "and", "pod", "default/client", "--agent", address);
			await assertBothTold(weft);
			await agents().kill("node-b");
			await agents().begin("node-b");
			await untilTold(weft, () => knock("default/client", "default/server"));
			const summary = await weft.stop();
			assert.ok(told(weft) >= summary.dropped, "what was told by an agent without a last word is in no account");
		} finally {
			await end(relay, "SIGTERM");
		}
	});

	test("an agent that dies is asked again when it is back", async () => {
		const weft = await startDrops("udp", "and", "pod", "default/client", ...agents().options);
		await assertBothTold(weft);
		await agents().kill("node-b");
		await agents().begin("node-b");
		await untilTold(weft, () => knock("default/client", "default/server"));
		await weft.stop();
	});

	test("a bad filter is refused before anybody is asked", async () => {
		await assert.rejects(startDrops("tcp", "prot", "80", ...agents().options), /prot/);
	});

	/** Tries until node-b tells of it. */
	async function untilTold(weft: RunningDrops, act: () => Promise<unknown>): Promise<void> {
		const before = weft.drops.length;
		for (const patience = Date.now() + 20_000; Date.now() < patience; await sleep(200)) {
			await act();
			if (weft.drops.slice(before).some(({ node }) => node === "node-b")) return;
		}
		assert.fail("node-b's drops are not told any more");
	}
});
