import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cluster } from "../lab/cluster.js";
import { startDrops } from "../lab/drops.js";
import { latencyOf } from "../lab/latency.js";
import { startWeft } from "../lab/weft.js";
import { churn } from "./churn.js";
import { followNode, until } from "./follow.js";

describe("pods that a real runtime runs", () => {
	const lab = cluster({ runtime: "containerd", servers: false });

	test("CRI, the CNI cache, host-local and the cgroup agree on each pod, and its containers are known", async () => {
		for (const { node } of lab().nodes) {
			const { identity, close } = followNode(lab(), node.name);
			try {
				await identity.ready;
				const pods = lab().state.pods.filter((pod) => pod.node === node.name);
				const resolved = identity.directory.resolved();
				assert.deepEqual(
					resolved.map((pod) => `${pod.namespace}/${pod.name}`).sort(),
					pods.map((pod) => `${pod.namespace}/${pod.name}`).sort(),
				);
				for (const pod of resolved) {
					const made = pods.find((one) => one.name === pod.name);
					assert.deepEqual(pod.sources, ["cri", "cni-cache", "host-local", "cgroup"], pod.name);
					assert.deepEqual(pod.conflicts, []);
					assert.deepEqual([pod.uid, pod.sandbox, pod.device], [made?.uid, made?.sandbox, made?.device]);
					assert.deepEqual(
						pod.containers.map(({ name, running }) => [name, running]),
						[["main", true]],
					);
				}
				assert.deepEqual(identity.directory.warnings, []);
			} finally {
				close();
			}
		}
	});

	test("a pod is named within 100 ms of its runtime knowing it", async () => {
		const { identity, close } = followNode(lab(), "node-a");
		try {
			await identity.ready;
			await lab().addPod("node-a", { name: "quick" });
			const known = performance.now();
			await until(() => identity.directory.pods("default/quick").some((pod) => pod.sources.includes("cni-cache")));
			assert.ok(performance.now() - known < 100);
			await lab().deletePod("default/quick");
		} finally {
			close();
		}
	});

	test("trace, latency and drops call real pods by their names", async () => {
		const here = `--lab=${lab().name}`;
		const { ipv4 } = lab().pod("default/server").pod.address;
		const ping = (count = 3) => lab().ping("default/client", ipv4, { count });

		const trace = await startWeft("trace", "default/client", "default/server", here);
		await ping();
		await trace.stop();
		const [path] = trace.paths;
		assert.equal(`${path?.flow.source.namespace}/${path?.flow.source.pod}`, "default/client");
		assert.equal(`${path?.flow.destination.namespace}/${path?.flow.destination.pod}`, "default/server");

		const report = await latencyOf(["--by", "pod", here], () => ping(10));
		assert.ok(report.segments.some(({ kind, group }) => kind === "bridge-up" && group === "default/client"));

		const drops = await startDrops(here);
		try {
			await lab().removeFdb("node-a", "node-b");
			const told = drops.next(({ source }) => source?.pod === "client");
			told.catch(() => undefined);
			await ping(1);
			const drop = (await told).find(({ source }) => source?.pod === "client");
			assert.equal(drop?.destination?.pod, "server");
		} finally {
			await lab().restoreFdb("node-a", "node-b");
			await drops.stop();
		}
	});

	test("200 real pods come and go, none is ever called by another's name, and nothing of them is kept", async (t) => {
		const made = await churn(lab(), { pods: 200, least: 20, forMs: 45_000 });
		t.diagnostic(`${made} pods`);
	});
});
