import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cluster } from "../lab/cluster.js";
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

	test("200 real pods come and go, none is ever called by another's name, and nothing of them is kept", async (t) => {
		const made = await churn(lab(), { pods: 200, least: 20, forMs: 45_000 });
		t.diagnostic(`${made} pods`);
	});
});
