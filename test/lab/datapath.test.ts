import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Lab } from "../../src/lab/lab.js";
import { cluster } from "./cluster.js";
import { exchange, HOP_TABLE, type Protocol, serveTable, shortName, whole } from "./hop-table.js";
import { Witness } from "./witness.js";

/** Does the lab do what a flannel node does? tcpdump on every device is the witness. */
let lab: () => Lab;
let onA: Witness;
let onB: Witness;

describe("a flannel node", () => {
	lab = cluster();

	before(async () => {
		onA = await Witness.in(lab().node("node-a"));
		onB = await Witness.in(lab().node("node-b"));
		await serveTable(lab());
	});

	after(async () => {
		await Promise.all([onA.stop(), onB.stop()]);
	});

	for (const each of HOP_TABLE) {
		for (const family of each.families ?? (["ipv4", "ipv6"] as const)) {
			for (const protocol of each.protocols) {
				test(`${each.name}, ${protocol} over ${family}`, async () => {
					// Once to fill neighbours on the way, as in a cluster that is in use; the second time counts.
					await exchange(lab(), each, family, protocol);
					const seen = await observe(protocol, () => exchange(lab(), each, family, protocol));
					assert.equal(seen.request, whole(each.request), "request");
					assert.equal(seen.reply, whole(each.reply), "reply");
				});
			}
		}
	}

	/** Its answer does not count here: without netfilter on the bridge it comes from the wrong address. */
	const knock = async () => {
		const address = lab().service("default/near").clusterIp.ipv4;
		await lab().send("default/client", { protocol: "tcp", address, port: 80, bytes: 100, timeoutMs: 300 });
	};

	test("a stale neighbour leads a bridged and DNATed packet over cni0 as well", async () => {
		await knock();
		assert.ok((await lab().staleNeighbours("node-a")) > 0, "there are neighbours to make stale");
		assert.equal((await observe("tcp", knock)).request, "cA→i cni0→e nA→e ‖ ");
	});

	test("with bridge-nf-call-iptables off a service on the same node is routed", async () => {
		await lab().setBridgeNetfilter("node-a", false);
		try {
			assert.equal((await observe("tcp", knock)).request, "cA→i cni0→i cni0→e nA→e ‖ ");
		} finally {
			await lab().setBridgeNetfilter("node-a", true);
		}
	});
});

const REQUEST: Readonly<Record<Protocol, RegExp>> = {
	icmp: /echo request/,
	udp: /> [^ ]*[.](53|5353): (?!OTV)/,
	tcp: /Flags \[S\]/,
};

const REPLY: Readonly<Record<Protocol, RegExp>> = {
	icmp: /echo reply/,
	udp: /[.](53|5353) > [^ ]*: (?!OTV)/,
	tcp: /Flags \[S\.\]/,
};

/** The hops of the first request and its reply, while something happens. */
async function observe(
	protocol: Protocol,
	happen: () => Promise<void>,
): Promise<{ readonly request: string; readonly reply: string }> {
	await Promise.all([onA.take(), onB.take()]);
	await happen();
	const [a, b] = await Promise.all([onA.take(), onB.take()]);
	const path = (marks: RegExp) => `${hops("node-a", a, marks)} ‖ ${hops("node-b", b, marks)}`;
	return { request: path(REQUEST[protocol]), reply: path(REPLY[protocol]) };
}

function hops(
	node: "node-a" | "node-b",
	seen: readonly { device: string; way: string; text: string }[],
	marks: RegExp,
): string {
	return seen
		.filter((each) => marks.test(each.text) && each.device !== "lo")
		.map((each) => `${shortName(lab(), node, each.device)}${each.way}`)
		.join(" ");
}
