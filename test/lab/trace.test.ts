import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { cluster } from "./cluster.js";
import { hopsOf, replyTo, requestTo } from "./found.js";
import { serveTable } from "./hop-table.js";
import { describeTable } from "./table.js";
import { assertBalanced, startWeft } from "./weft.js";

describeTable("a trace of both nodes", { families: ["ipv4", "ipv6"] });

/** One node alone sees its half, and says where the rest went or came from. */
describe("a trace of one node", () => {
	const lab = cluster();

	before(async () => {
		await serveTable(lab());
	});

	test("between two pods of the node", async () => {
		const { netns } = lab().node("node-a").node;
		const weft = await startWeft("trace", "default/client", "default/neighbor", "--netns", netns);
		assert.equal(await lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4), 1);
		const request = await requestTo(weft, 0, "icmp");
		assertBalanced(await weft.stop());
		assert.equal(hopsOf(lab(), request), "cA→i nA→e ‖ ");
		assert.equal(request.verdict, "delivered");
		assert.deepEqual(
			[request.flow.source.pod, request.flow.destination.pod, request.flow.destination.namespace],
			["client", "neighbor", "default"],
		);
	});

	for (const half of ["node-a", "node-b"] as const) {
		test(`${half}'s half of the way to a pod on the other node`, async () => {
			const { netns } = lab().node(half).node;
			const weft = await startWeft("trace", "default/client", "default/server", "--netns", netns);
			assert.equal(await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4), 1);
			const request = await requestTo(weft, 0, "icmp");
			const reply = await replyTo(weft, "icmp", request);
			assertBalanced(await weft.stop());
			const [onA, onB] = ["cA→i cni0→i flannel→e eth0→e ‖ ", " ‖ eth0→i flannel→i cni0→e sB→e"];
			assert.equal(hopsOf(lab(), request), half === "node-a" ? onA : onB);
			assert.equal(request.verdict, half === "node-a" ? "forwarded" : "delivered");
			assert.equal(reply.verdict, half === "node-a" ? "delivered" : "forwarded");
			const forwarded = half === "node-a" ? request : reply;
			assert.match(
				forwarded.blame?.reason ?? "",
				half === "node-a" ? /node-b|192\.168\.66\.12/ : /node-a|192\.168\.66\.11/,
			);
			const nic = request.hops.find((hop) => hop.role === "nic");
			assert.equal(nic?.outer?.vni, 1, "the outer header is shown at the NIC");
		});
	}
});
