import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { agentsOf } from "./agents.js";
import { cluster } from "./cluster.js";
import { FAULTS } from "./faults.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

/** Where nobody listens. */
const PROBE = 5998;

/** What an agent's kernel drops, on paths that are joined elsewhere: with the rule that is to blame, as on the node itself. */
describe("drops on the paths of a trace by agents", () => {
	const lab = cluster({ servers: true });
	const agents = agentsOf(lab);

	/** The program that tells of drops is on a little later than the hooks. */
	async function dropsAreTold(weft: RunningWeft): Promise<void> {
		for (const until = Date.now() + 15_000; Date.now() < until; await sleep(200)) {
			for (const pod of ["default/neighbor", "default/server"]) {
				const { ipv4 } = lab().pod(pod).pod.address;
				await lab().send("default/client", {
					...{ protocol: "udp", address: ipv4, port: PROBE, size: 20, count: 1, timeoutMs: 50 },
				});
			}
			const told = weft.paths.filter(({ verdict, flow }) => verdict === "dropped" && flow.destination.port === PROBE);
			if (new Set(told.map(({ blame }) => blame?.node)).size === 2) return;
		}
		assert.fail("precondition: both agents tell of drops");
	}

	for (const name of [
		"an iptables rule in FORWARD, between pods of one node: inside the bridge",
		"an iptables rule in FORWARD of the node where it arrives",
		"an nftables rule in forward",
		"no route to the other node's pods",
		"a TTL that runs out",
		"a UDP port where nobody listens",
	]) {
		test(name, async () => {
			const fault = FAULTS.find((each) => each.name === name);
			assert.ok(fault);
			const weft = await startWeft("trace", "default/client", "any", ...agents().options);
			await dropsAreTold(weft);
			const undo = await fault.make(lab());
			try {
				await fault.send(lab());
				await sleep(4000);
			} finally {
				await undo();
			}
			assertBalanced(await weft.stop());
			const last = new Map(weft.paths.map((path) => [path.id, path]));
			const ours = [...last.values()].filter(
				({ flow }) => flow.source.pod === "client" && flow.destination.port !== PROBE,
			);
			const dropped = ours.filter(({ verdict }) => verdict === "dropped");
			assert.ok(dropped.length > 0, ours.map(({ verdict, blame }) => `${verdict} ${blame?.reason}`).join("; "));
			for (const { blame } of dropped) {
				assert.ok(blame);
				assert.ok(blame.reason.startsWith(fault.diagnosis), blame.reason);
				assert.match(`${blame.reason} ${blame.remedy}`, fault.words);
				assert.equal(blame.node, fault.node ?? "node-a");
				assert.ok(blame.kernelReason !== null && blame.kernelFunction !== null);
			}
		});
	}
});
