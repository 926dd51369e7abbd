import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import type { Hook, HookId } from "../../src/packet/hook.js";
import { Family } from "../../src/packet/sightings.js";
import { WiringExpectation } from "../../src/wiring/expectation.js";
import { hookPoints } from "../../src/wiring/hookpoints.js";
import { WiringWatch } from "../../src/wiring/watch.js";
import { cluster } from "../lab/cluster.js";
import { until } from "../until.js";

describe("the wiring of a lab's node", () => {
	const lab = cluster({ servers: false });

	test("a pair on two nodes has eight hooks on each; a fault that is made is the fault that is named", async () => {
		const node = lab().node("node-a").node;
		const client = lab().pod("default/client").pod;
		const server = lab().pod("default/server").pod;
		const far = lab().node("node-b").node;
		const watch = new WiringWatch(
			{ native: addon(), node: node.name, netns: `/run/netns/${node.netns}`, hostRoot: node.root },
			() => {},
		);
		try {
			for (const family of ["ipv4", "ipv6"] as const) {
				const [from, to] = [client.address[family], server.address[family]];
				const sites = hookPoints(watch.wiring, { from: { addresses: [from] }, to: { addresses: [to] } });
				const tunnel = family === "ipv4" ? "flannel.1" : "flannel-v6.1";
				assert.deepEqual(
					sites.filter((site) => site.direction === "ingress").map((site) => [site.device, site.role]),
					[
						[client.device, "pod"],
						["cni0", "bridge"],
						[tunnel, "tunnel"],
						["eth0", "nic"],
					],
				);
				const hooks = sites.map((site, id): Hook => ({ ...site, id: id as HookId, node: node.name, hookSet: 0 }));
				const at = (device: string) =>
					hooks.find((hook) => hook.device === device && hook.direction === "egress")?.id as HookId;
				const expectation = new WiringExpectation(watch.wiring, {
					hook: (id) => hooks[id] ?? null,
					at: (netns, ifindex, direction) =>
						hooks.find((h) => h.netns === netns && h.ifindex === ifindex && h.direction === direction)?.id ?? null,
					nodeName: (address) => (address === far.address[family] ? far.name : null),
				});
				const due = () => {
					expectation.update(watch.wiring);
					return expectation.due(at(tunnel), {
						family: family === "ipv4" ? Family.ipv4 : Family.ipv6,
						protocol: 6,
						source: from,
						destination: to,
						sourcePort: 40000,
						destinationPort: 8080,
					});
				};
				assert.equal(due().kind, "next");
				await lab().removeFdb(node.name, far.name);
				await until(() => due().kind === "nowhere", 2_000);
				assert.deepEqual(due(), {
					kind: "nowhere",
					reason: `no FDB entry for ${far.vtepMac[family]} on ${tunnel}`,
					remedy: `bridge fdb replace ${far.vtepMac[family]} dev ${tunnel} dst ${far.address[family]} self permanent`,
				});
				await lab().restoreFdb(node.name, far.name);
				await until(() => due().kind === "next", 2_000);
				assert.deepEqual(
					expectation.due(at("eth0"), {
						family: family === "ipv4" ? Family.ipv4 : Family.ipv6,
						protocol: 6,
						source: from,
						destination: to,
						sourcePort: 40000,
						destinationPort: 8080,
					}),
					{ kind: "leaves", node: far.name, address: far.address[family] },
				);
			}
		} finally {
			watch.close();
		}
	});
});
