import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cluster } from "../lab/cluster.js";
import { until } from "../until.js";
import { churn } from "./churn.js";
import { followNode } from "./follow.js";

describe("names in a lab", () => {
	const lab = cluster({ servers: false, pods: 1 });

	test("every pod of each node has its own name, by veth, address and namespace, and services have theirs", async () => {
		for (const node of lab().state.nodes) {
			const { wiring, identity, close } = followNode(lab(), node.name);
			try {
				await identity.ready;
				const { directory } = identity;
				const pods = lab().state.pods.filter((pod) => pod.node === node.name);
				assert.ok(pods.length >= 3);
				const inside = wiring.wiring.host.links.flatMap(({ peer, peerNsid }) => (peerNsid === null ? [] : [peer]));
				assert.ok(new Set(inside).size < inside.length, "precondition: one index in several namespaces");
				for (const pod of pods) {
					const full = `${pod.namespace}/${pod.name}`;
					const found = directory.podByDevice(node.name, pod.ifindex, Date.now());
					assert.equal(`${found?.namespace}/${found?.name}`, full);
					assert.deepEqual(found?.sources, ["cni-cache", "host-local", "flannel"]);
					assert.deepEqual([found?.uid, found?.sandbox, found?.device], [pod.uid, pod.sandbox, pod.device]);
					for (const address of [pod.address.ipv4, pod.address.ipv6]) {
						assert.equal(directory.podByAddress(address, Date.now())?.name, pod.name, address);
					}
					assert.ok(found?.netns != null);
					assert.equal(directory.podByNetns(found.netns, Date.now())?.name, pod.name);
				}
				assert.equal(directory.pods("*/*").length, pods.length, "and nobody else");
				assert.deepEqual(directory.warnings, []);
				for (const service of lab().state.services) {
					for (const ip of [service.clusterIp.ipv4, service.clusterIp.ipv6]) {
						assert.equal(directory.service(ip, service.port, service.protocol)?.name, service.name);
					}
				}
				const others = directory.nodes().filter(({ name }) => name !== node.name);
				assert.ok(others.some(({ address }) => lab().state.nodes.some((each) => each.address.ipv4 === address)));
				assert.ok(wiring.wiring.others.length >= pods.length);
			} finally {
				close();
			}
		}
	});

	test("200 pods come and go, none is ever called by another's name, and nothing of them is kept", async (t) => {
		const made = await churn(lab(), { pods: 200, least: 100, forMs: 45_000 });
		t.diagnostic(`${made.length} pods`);
	});

	test("a pod that comes is named within a second, one that goes keeps its name for late packets", async () => {
		const { identity, close } = followNode(lab(), "node-a");
		try {
			const { pod } = await lab().addPod("node-a", { name: "late" });
			const named = () => identity.directory.podByAddress(pod.address.ipv4, Date.now())?.name;
			await until(() => named() === "late");
			await lab().deletePod("default/late");
			await until(() => identity.directory.pods("default/late").length === 0);
			assert.equal(named(), "late");
		} finally {
			close();
		}
	});
});
