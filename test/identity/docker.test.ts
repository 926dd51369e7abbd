import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { explain } from "../../src/identity/explain/explain.js";
import type { Explanation } from "../../src/identity/explain/explanation.js";
import { describeNode } from "../../src/identity/topology.js";
import { WiringView } from "../../src/wiring/view.js";
import { cluster } from "../lab/cluster.js";
import { runWeft } from "../lab/weft.js";
import { until } from "../until.js";
import { followNode } from "./follow.js";

describe("docker0 beside cni0, the question's own situation", () => {
	const lab = cluster({ docker: true, servers: false });

	test("docker0 is told right before a container, with it, and after", async () => {
		const { netns } = lab().node("node-a").node;
		const { wiring, identity, close } = followNode(lab(), "node-a");
		/** `weft explain`, as a user runs it. */
		const ask = async (thing: string): Promise<Explanation> => {
			const { code, stdout, stderr } = await runWeft("explain", thing, "--netns", netns, "--watch", "1s", "-o", "json");
			assert.equal(code, 0, stderr);
			return JSON.parse(stdout) as Explanation;
		};
		try {
			await identity.ready;
			const bridge = wiring.wiring.host.links.find((link) => link.name === "docker0");
			assert.equal(bridge?.ifindex, 3, "as in the question");
			// A bridge that has just been made asks for routers and joins groups, which weft tells of, too.
			let idle = await ask("docker0");
			for (let tries = 0; tries < 30 && !/hooks on it saw 0 packets/.test(said(idle)); tries++) {
				assert.doesNotMatch(said(idle), /was idle/, "what has seen a packet was not idle");
				idle = await ask("docker0");
			}
			assert.match(said(idle), /nothing plugged in: Docker's own, and idle here/);
			assert.match(said(idle), /it was idle for the last \d(\.\d)? s/);
			assert.match(said(idle), /counters did not move/);
			assert.match(said(idle), /hooks on it saw 0 packets/);
			assert.match(said(idle), /no link has docker0 \(index 3\) as its master/);
			assert.match(said(idle), /its forwarding table has no learned addresses/);
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
			// For as long as weft looks, and however long it takes to begin.
			const pinging = lab()
				.node("node-a")
				.spawn(["ping", "-q", "-i", "0.1", "-w", "60", web?.addresses[0] ?? ""], { stdio: "ignore" });
			const pinged = once(pinging, "close");
			const busy = await ask("docker0").finally(async () => {
				pinging.kill("SIGINT");
				await pinged;
			});
			assert.match(said(busy), /[1-9]\d* packets came in and [1-9]\d* went out by it in/);
			assert.match(said(busy), /hooks on it saw [1-9]\d* packets/);
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
