import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Lab } from "../../src/lab/lab.js";
import type { OffloadSetting } from "../../src/lab/offloads.js";
import { cluster } from "./cluster.js";
import { type Seen, Witness } from "./witness.js";

/**
 * How many packets carry 2 MB of TCP between nodes at each device. `few`: segments stay together (up to 64 KB each);
 * `many`: each is as long as the wire allows. On the way out tcpdump sees what the device's own segmentation made
 * (dev_hard_start_xmit comes after validate_xmit_skb in net/core/dev.c), tc egress what came before: the device that cuts
 * is the first one with `many` here.
 */
type Amount = "few" | "many";

const expected: Readonly<Record<OffloadSetting, Readonly<Record<string, Amount>>>> = {
	default: { "a flannel.1→e": "few", "a eth0→e": "few", "b eth0→i": "few", "b flannel.1→i": "few" },
	"no-tunnel-segmentation": { "a flannel.1→e": "few", "a eth0→e": "many", "b eth0→i": "many", "b flannel.1→i": "few" },
	nic: { "a flannel.1→e": "few", "a eth0→e": "many", "b eth0→i": "few", "b flannel.1→i": "few" },
	"no-tunnel-checksum": { "a flannel.1→e": "many", "a eth0→e": "many", "b eth0→i": "many", "b flannel.1→i": "few" },
};

const BYTES = 2_000_000;
/** Payload of a full segment: 1450 less IPv4 and TCP headers with timestamps. */
const SEGMENTS = Math.ceil(BYTES / 1398);

describe("segmentation offloads", () => {
	const lab: () => Lab = cluster();
	let onA: Witness;
	let onB: Witness;

	before(async () => {
		onA = await Witness.in(lab().node("node-a"));
		onB = await Witness.in(lab().node("node-b"));
		await lab().serve("default/server", { protocol: "tcp", port: 9000, as: "sink" });
	});
	after(async () => {
		await Promise.all([onA.stop(), onB.stop()]);
	});

	for (const [setting, amounts] of Object.entries(expected)) {
		test(setting, async () => {
			await lab().setOffloads(setting as OffloadSetting);
			await Promise.all([onA.take(), onB.take()]);
			const address = lab().pod("default/server").pod.address.ipv4;
			const sent = await lab().send("default/client", { protocol: "tcp", address, port: 9000, bytes: BYTES });
			assert.equal(sent.error, null);
			const [a, b] = await Promise.all([onA.take(), onB.take()]);
			const counts = { ...count("a", a), ...count("b", b) };
			const told = Object.fromEntries(
				Object.keys(amounts).map((hook) => [hook, (counts[hook] ?? 0) > SEGMENTS * 0.9 ? "many" : "few"]),
			);
			assert.deepEqual(told, amounts, JSON.stringify(counts));
		});
	}
});

/** Packets towards the server that carry payload, by hook. */
function count(node: string, seen: readonly Seen[]): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const { device, way, text } of seen) {
		if (!/\.9000: Flags .* length [1-9]/.test(text)) continue;
		const hook = `${node} ${device}${way}`;
		counts[hook] = (counts[hook] ?? 0) + 1;
	}
	return counts;
}
