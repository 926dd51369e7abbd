import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { OffloadSetting } from "../../src/lab/offloads.js";
import type { Path } from "../../src/path/path.js";
import { Agents } from "./agents.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { dropSome } from "./victims.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

const PORT = 9000;
const BYTES = 4_000_000;
const SETTINGS: readonly OffloadSetting[] = ["default", "no-tunnel-segmentation", "nic", "no-tunnel-checksum"];

/** Bulk traffic across nodes that share neither clock nor salt. */
describe("bulk traffic, by agents with honest clocks", () => {
	const lab = cluster();
	let agents: Agents;
	let weft: RunningWeft | null = null;

	before(async () => {
		await lab().serve("default/server", { protocol: "tcp", port: PORT, as: "sink" });
		agents = await Agents.start(lab());
	});

	afterEach(async () => {
		await weft?.end();
	});

	after(async () => {
		await agents.stop();
	});

	const send = (family: "ipv4" | "ipv6", bytes: number) => {
		const address = lab().pod("default/server").pod.address[family];
		return lab().send("default/client", { protocol: "tcp", address, port: PORT, bytes, timeoutMs: 20_000 });
	};

	for (const setting of SETTINGS) {
		for (const family of ["ipv4", "ipv6"] as const) {
			test(`TCP over ${family}, ${setting}: whole paths, every byte that the socket sent`, async () => {
				await lab().setOffloads(setting);
				weft = await startWeft("trace", "default/client", "default/server", ...agents.options);
				const sent = await send(family, BYTES);
				assert.equal(sent.error, null);
				await sleep(2600);
				const summary = await weft.stop();
				assertBalanced(summary);
				assert.deepEqual(summary.events.lost, {}, "precondition: no event was lost");
				const paths = weft.paths.filter(({ flow }) => flow.protocol === "tcp");
				// A last word to a socket that is closed already is dropped there, behind all hops.
				const whole = paths.filter(
					({ hops, verdict }) => hops.length === 8 && (verdict === "delivered" || verdict === "dropped"),
				);
				const sightings = (some: readonly Path[]) =>
					some.reduce((sum, { hops }) => sum + hops.reduce((n, hop) => n + hop.packets, 0), 0);
				const share = sightings(whole) / sightings(paths);
				const broken = paths.find((path) => !whole.includes(path));
				const told = JSON.stringify(broken, [
					"verdict",
					"evidence",
					"blame",
					"reason",
					"hops",
					"device",
					"node",
					"first",
				]);
				assert.ok(share >= 0.999, `${(share * 100).toFixed(2)} % of the sightings are in whole paths; ${told}`);
				const data = whole.filter(({ flow, packet }) => flow.destination.port === PORT && packet.payload > 0);
				assert.ok(data.every(({ evidence }) => evidence !== "ambiguous"));
				assert.equal(covered(data), BYTES, "byte for byte what the socket sent");
				for (const { latencyNs, clockErrorNs } of data) {
					assert.ok(latencyNs > -clockErrorNs, `${latencyNs} ± ${clockErrorNs} ns`);
				}
			});
		}
	}

	test("packets dropped on the far node: each victim is found where it died, and nothing else is called lost", async () => {
		// In large skbs and few: a busy machine drops packets of its own accord when they come by the thousand.
		await lab().setOffloads("default");
		// Behind weft's hook on the tunnel: filters of clsact come after TCX, so there it is before the next one.
		const filtered = attach() === "clsact";
		const where = { port: PORT, every: 4, most: 5, egress: filtered };
		const dropping = await dropSome(lab().node("node-b"), filtered ? "cni0" : "flannel.1", where);
		try {
			weft = await startWeft("trace", "default/client", "default/server", ...agents.options);
			const sent = await send("ipv4", 400_000);
			assert.equal(sent.error, null);
			await sleep(2600);
		} finally {
			dropping.stop();
		}
		const victims = dropping.stop();
		assert.ok(victims.length >= 2, `precondition: ${victims.length} were dropped`);
		assertBalanced(await weft.stop());
		const last = new Map(weft.paths.map((path) => [path.id, path]));
		const dead = [...last.values()].filter(({ verdict }) => verdict === "lost" || verdict === "dropped");
		for (const { blame } of dead) {
			// Of a large skb a part may arrive: where the rest died is what counts.
			assert.equal(`${blame?.device}→${blame?.direction} @${blame?.node}`, "flannel.1→ingress @node-b", blame?.reason);
		}
		const starts = dead.map(({ packet }) => ({ seq: packet.seq ?? 0, payload: packet.payload }));
		for (const { sequence } of victims) {
			const found = starts.some(({ seq, payload }) => (sequence - seq) >>> 0 < payload);
			assert.ok(found, `the victim ${sequence} is among ${JSON.stringify(starts)}`);
		}
		for (const { seq, payload } of starts) {
			const killed = victims.some(({ sequence }) => (sequence - seq) >>> 0 < payload);
			assert.ok(killed, `${seq}+${payload} was not dropped`);
		}
	});

	test("an underlay that is down: lost or dropped at its device, no path delivered", async () => {
		weft = await startWeft("trace", "default/client", "default/server", "icmp", ...agents.options);
		const server = lab().pod("default/server").pod.address.ipv4;
		assert.equal(await lab().ping("default/client", server), 1);
		const node = lab().node("node-b");
		await node.run("ip", "link", "set", "eth0", "down");
		try {
			await sleep(1500);
			const before = weft.paths.length;
			assert.equal(await lab().ping("default/client", server), 0);
			await sleep(4000);
			// An error that the node sends back does arrive.
			const after = weft.paths.slice(before).filter(({ packet }) => packet.icmp?.type === 8);
			assert.ok(after.length > 0, "something is said");
			assert.ok(after.every(({ verdict }) => verdict !== "delivered"));
			const said = after.map(({ blame, verdict }) => `${verdict} ${blame?.device}→${blame?.direction} @${blame?.node}`);
			assert.ok(
				said.some((line) => /(lost|dropped) (eth0|flannel\.1)→egress @node-a/.test(line)),
				said.join("; "),
			);
		} finally {
			await node.run("ip", "link", "set", "eth0", "up");
		}
		assertBalanced(await weft.stop());
	});
});

/** Payload bytes that a connection's paths cover; what was sent twice counts once. */
function covered(data: readonly Path[]): number {
	const origin = data[0]?.packet.seq ?? 0;
	const ranges = data.map(({ packet }) => ({ at: ((packet.seq ?? 0) - origin) | 0, payload: packet.payload }));
	let sum = 0;
	let end = Number.NEGATIVE_INFINITY;
	for (const { at, payload } of ranges.sort((a, b) => a.at - b.at)) {
		if (at + payload <= end) continue;
		sum += at + payload - Math.max(at, end);
		end = at + payload;
	}
	return sum;
}
