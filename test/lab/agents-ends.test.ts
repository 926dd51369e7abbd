import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Status } from "../../src/collector/report.js";
import { startRemoteTrace } from "../../src/rpc/client/remote-trace.js";
import { until } from "../until.js";
import { agentsOf } from "./agents.js";
import { cluster } from "./cluster.js";

const PINGS = 5;

describe("a trace by agents that sees nothing", () => {
	const lab = cluster();
	const agents = agentsOf(lab);

	/** What a pod's veth has sent and received, by its node's own count. */
	async function countOf(name: string): Promise<number> {
		const { pod } = lab().pod(name);
		const folder = `/sys/class/net/${pod.device}/statistics`;
		const told = await lab().node(pod.node).run("cat", `${folder}/rx_packets`, `${folder}/tx_packets`);
		return told
			.trim()
			.split("\n")
			.reduce((sum, count) => sum + Number(count), 0);
	}

	test("says how many packets went through both ends' veths all the same", async () => {
		const statuses: Status[] = [];
		const stop = new AbortController();
		const before = [await countOf("default/client"), await countOf("default/server")];
		const nothing = () => undefined;
		const tracing = startRemoteTrace(
			{
				...{ from: "default/client", to: "default/server", filter: "tcp port 1", namespace: "default" },
				...{ count: null, durationMs: null, sample: 1, everyPath: true },
				agents: [agents().address("node-a"), agents().address("node-b")],
				protection: { tls: null, insecure: false },
			},
			{
				...{ ready: nothing, path: nothing, hook: nothing, warning: nothing, summary: nothing },
				status: (status) => statuses.push(status),
			},
			stop.signal,
		);
		await until(() => statuses.length > 0);
		assert.equal(
			await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4, { count: PINGS }),
			PINGS,
		);
		// Each ping and its answer.
		const seen = ({ fromSeen, toSeen }: Status) => [fromSeen ?? -1, toSeen ?? -1];
		await until(() => statuses.some((status) => seen(status).every((count) => count >= 2 * PINGS)));
		const [latest] = statuses.slice(-1);
		stop.abort();
		await tracing;
		const after = [await countOf("default/client"), await countOf("default/server")];
		assert.ok(latest);
		for (const [end, count] of seen(latest).entries()) {
			const most = (after[end] ?? 0) - (before[end] ?? 0);
			assert.ok(count <= most, `${count} of ${most} at end ${end}`);
		}
	});
});
