import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../src/identity/explain/explain.js";
import { countersOf, type Explanation } from "../../src/identity/explain/explanation.js";
import { describeNode } from "../../src/identity/topology.js";
import { addon } from "../../src/kernel/addon.js";
import { readLinks } from "../../src/wiring/snapshot.js";
import { WiringView } from "../../src/wiring/view.js";
import { cluster } from "../lab/cluster.js";
import { followNode, until } from "./follow.js";

describe("docker0 beside cni0, the question's own situation", () => {
	const lab = cluster({ docker: true, servers: false });

	test("docker0 is told right before a container, with it, and after", async () => {
		const { path } = lab().node("node-a");
		const { wiring, identity, close } = followNode(lab(), "node-a");
		const ask = async (thing: string): Promise<Explanation> => {
			const counters = () => countersOf(readLinks(addon(), path));
			const before = counters();
			await sleep(200);
			return explain(
				{
					view: new WiringView(wiring.wiring),
					directory: identity.directory,
					window: { seconds: 0.2, before, after: counters() },
					hooked: null,
					pasted: false,
				},
				thing,
				"default",
			);
		};
		try {
			await identity.ready;
			const bridge = wiring.wiring.host.links.find((link) => link.name === "docker0");
			assert.equal(bridge?.ifindex, 3, "as in the question");
			const idle = await ask("docker0");
			assert.match(said(idle), /nothing plugged in: Docker's own, and idle here/);
			assert.match(said(idle), /counters did not move/);
			assert.match(said(idle), /The pods of this node are on cni0: 2 ports/);

			await lab().runContainer("node-a", "web");
			await until(() => identity.directory.pods("docker/web").length === 1);
			const used = await ask("docker0");
			assert.match(said(used), /with one port/);
			assert.match(said(used), /web is a container of a plain docker run, no pod/);
			const [web] = identity.directory.resolved().filter((pod) => pod.namespace === "docker");
			assert.deepEqual(web?.sources, ["docker"]);
			assert.deepEqual(web?.conflicts, []);
			assert.match(web?.addresses[0] ?? "", /^172\.17\.0\.\d+$/);
			const [pod] = identity.directory.pods("default/client");
			assert.match(said(await ask(pod?.device ?? "")), /default\/client's network cable/);
			const topology = describeNode(new WiringView(wiring.wiring), identity.directory);
			assert.equal(topology.devices.find((device) => device.name === web?.device)?.master, "docker0");

			await lab().removeContainer("node-a", "web");
			await until(() => identity.directory.pods("docker/*").length === 0);
			assert.match(said(await ask("docker0")), /nothing plugged in/);
		} finally {
			close();
		}
	});

	test("veths that say @if3 while docker0 is 3: no number is ever looked up on the wrong side", async () => {
		const { wiring, identity, close } = followNode(lab(), "node-a");
		try {
			await identity.ready;
			const [client] = identity.directory.pods("default/client");
			const veth = wiring.wiring.host.links.find((link) => link.ifindex === client?.ifindex);
			assert.ok(veth?.peer != null && veth.peerNsid !== null);
			const local = wiring.wiring.host.links.find((link) => link.ifindex === veth.peer);
			assert.ok(local !== undefined, "the number does name a device of the node");
			const explanation = explain(
				{
					view: new WiringView(wiring.wiring),
					directory: identity.directory,
					window: null,
					hooked: null,
					pasted: false,
				},
				veth.name,
				"default",
			);
			assert.match(
				said(explanation),
				new RegExp(`interface ${veth.peer} of this machine is ${local.name} is coincidence`),
			);
			assert.match(said(explanation), /The other end is eth0/);
		} finally {
			close();
		}
	});
});

function said({ headline, words, evidence, unknown }: Explanation): string {
	return [headline, ...words, ...evidence.map(({ fact }) => fact), ...unknown].join("\n");
}
