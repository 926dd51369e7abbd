import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Lab } from "../../src/lab/lab.js";
import type { Path } from "../../src/path/path.js";
import { cluster } from "./cluster.js";
import { hopsOf, replyTo, requestTo, settle } from "./found.js";
import { type Case, exchange, type Family, HOP_TABLE, serveTable, whole } from "./hop-table.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

/** `weft trace` on both nodes of a lab, against the table that tcpdump has confirmed (datapath.test.ts). */
export function describeTable(
	name: string,
	{ families, options = [] }: { readonly families: readonly Family[]; readonly options?: readonly string[] },
): void {
	describe(name, () => {
		const lab = cluster();
		let weft: RunningWeft;

		before(async () => {
			await serveTable(lab());
			weft = await startWeft("trace", "any", "any", `--lab=${lab().name}`, ...options);
		});

		after(async () => {
			assertBalanced(await weft.stop());
		});

		for (const each of HOP_TABLE) {
			for (const family of families.filter((one) => each.families?.includes(one) ?? true)) {
				for (const protocol of each.protocols) {
					test(`${each.name}, ${protocol} over ${family}`, async () => {
						await exchange(lab(), each, family, protocol);
						await settle(weft);
						const before = weft.paths.length;
						await exchange(lab(), each, family, protocol);
						const request = await requestTo(weft, before, protocol, each.to(lab(), family));
						const reply = await replyTo(weft, protocol, request);
						assert.equal(hopsOf(lab(), request), whole(each.request), "request");
						assert.equal(hopsOf(lab(), reply), whole(each.reply), "reply");
						assertFaces(lab(), each, family, request, reply);
						const answered = each.from === "outside" ? "forwarded" : "delivered";
						assert.deepEqual([request.verdict, reply.verdict], ["delivered", answered], reply.blame?.reason);
						for (const { evidence } of [request, reply]) assert.notEqual(evidence, "ambiguous");
					});
				}
			}
		}

		test("a stale neighbour's detour over cni0 is part of the path", async () => {
			await knock(lab());
			await settle(weft);
			assert.ok((await lab().staleNeighbours("node-a")) > 0, "there are neighbours to make stale");
			const before = weft.paths.length;
			await knock(lab());
			assert.equal(hopsOf(lab(), await requestTo(weft, before, "tcp")), "cA→i cni0→e nA→e ‖ ");
		});

		test("with bridge-nf-call-iptables off a service on the same node is routed", async () => {
			await lab().setBridgeNetfilter("node-a", false);
			try {
				const before = weft.paths.length;
				await knock(lab());
				assert.equal(hopsOf(lab(), await requestTo(weft, before, "tcp")), "cA→i cni0→i cni0→e nA→e ‖ ");
			} finally {
				await lab().setBridgeNetfilter("node-a", true);
			}
		});
	});
}

/** Its answer does not count: without netfilter on the bridge it comes from the wrong address. */
async function knock(lab: Lab): Promise<void> {
	const address = lab.service("default/near").clusterIp.ipv4;
	await lab.send("default/client", { protocol: "tcp", address, port: 80, bytes: 100, timeoutMs: 300 });
}

/** A service shows its own address where the client sees it, and the backend's behind the DNAT. */
function assertFaces(lab: Lab, each: Case, family: Family, request: Path, reply: Path): void {
	const asked = each.to(lab, family);
	const first = request.hops[0]?.destination ?? "";
	const last = request.hops[request.hops.length - 1]?.destination ?? "";
	const translated = first !== last;
	assert.equal(translated, /service|outside to/.test(each.name), `DNAT between ${first} and ${last}`);
	if (!translated) return;
	assert.ok(first.includes(asked), `the first hop is for ${asked}: ${first}`);
	if (each.name.includes("service")) assert.equal(request.flow.service?.ip, asked);
	assert.ok(!last.includes(asked), `the last hop is for the backend: ${last}`);
	assert.equal(reply.hops[reply.hops.length - 1]?.source, first, "the reply comes from the service again");
}
