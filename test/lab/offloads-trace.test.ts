import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { OffloadSetting } from "../../src/lab/offloads.js";
import type { Path } from "../../src/path/path.js";
import { cluster } from "./cluster.js";
import { shortName } from "./hop-table.js";
import { type placeOf, readSightings, type Sighting } from "./sightings.js";
import { assertBalanced, startWeft } from "./weft.js";

const BYTES = 8_000_000;
const PORT = 9000;
const FLOOD = "build/bench/flood";
/** Payload of a full segment: 1450 less IPv4 and TCP headers with timestamps. */
const SEGMENTS = Math.ceil(BYTES / 1398);
const HOOKS = [
	...["cA→i", "cni0→i", "flannel→e", "eth0→e"].map((hook) => `${hook} a`),
	...["eth0→i", "flannel→i", "cni0→e", "sB→e"].map((hook) => `${hook} b`),
];

/** Where 8 MB go as some 6000 packets of 1.5 KB; elsewhere it is some hundreds, up to 64 KB each. */
const CUT: Readonly<Record<OffloadSetting, readonly string[]>> = {
	default: [],
	"no-tunnel-segmentation": ["eth0→i b"],
	nic: [],
	"no-tunnel-checksum": ["eth0→e a", "eth0→i b"],
};

/**
 * What the Joiner made of bulk traffic, against what the recording of the same trace says that the hooks saw: the oracle
 * goes through all sightings of a hook for each path and knows nothing of pointers, order or time.
 */
describe("segmentation offloads, traced", () => {
	const lab = cluster();
	const folder = mkdtempSync(join(tmpdir(), "weft-offloads-"));

	before(async () => {
		await sendNothingTwice();
		await lab().serve("default/server", { protocol: "tcp", port: PORT, as: "sink" });
	});
	after(() => rmSync(folder, { recursive: true }));

	/**
	 * On a machine that stands still now and then: never more under way than any queue holds, and no timer that takes what
	 * comes late for lost.
	 */
	async function sendNothingTwice(): Promise<void> {
		await lab().pod("default/server").sysctl({ "net.ipv4.tcp_rmem": "4096 131072 262144" });
		const client = lab().pod("default/client");
		await client.sysctl({ "net.ipv4.tcp_early_retrans": 0 });
		const routes = await client.run("ip", "-4", "route", "show", "default");
		await client.run("ip", "route", "change", ...routes.trim().split(/\s+/), "rto_min", "5s");
	}

	/** Traces what `send` sends, on both nodes. */
	async function traced(filter: readonly string[], send: () => Promise<void>) {
		const file = join(folder, "trace.weft");
		const weft = await startWeft("trace", "any", "any", ...filter, `--lab=${lab().name}`, "-w", file);
		await send();
		await sleep(2600);
		const summary = await weft.stop();
		assertBalanced(summary);
		assert.deepEqual(summary.events.lost, {}, "precondition: no event was lost");
		const kept = summary.ledger.every(({ in: entered, out }) => entered === out);
		assert.ok(kept, `precondition: nor a path: ${JSON.stringify(summary.ledger)}`);
		return { paths: weft.paths, sightings: await readSightings(file) };
	}

	/** What is sent again all the same belongs to retransmission.test.ts. */
	async function unrepeated(address: string) {
		for (let attempt = 1; ; attempt++) {
			const { paths, sightings } = await traced(["tcp", "port", String(PORT)], async () => {
				const sent = await lab().send("default/client", { protocol: "tcp", address, port: PORT, bytes: BYTES });
				assert.equal(sent.error, null);
			});
			const seen = byHook(sightings.filter(({ tuple, payload }) => tuple.destinationPort === PORT && payload > 0));
			const sent = (seen.get("cA→i a") ?? []).reduce((sum, { payload }) => sum + payload, 0);
			if (sent === BYTES) return { paths, seen };
			assert.ok(attempt < 8, `${sent - BYTES} bytes were sent twice`);
		}
	}

	function byHook(sightings: readonly Sighting[]): Map<string, Sighting[]> {
		const hooks = new Map<string, Sighting[]>(HOOKS.map((hook) => [hook, []]));
		for (const sighting of sightings) hooks.get(nameOf(sighting.hook))?.push(sighting);
		return hooks;
	}

	function nameOf({ node, device, direction }: Parameters<typeof placeOf>[0]): string {
		return `${shortName(lab(), node, device)}→${direction === "ingress" ? "i" : "e"} ${node.at(-1)}`;
	}

	for (const [setting, cut] of Object.entries(CUT)) {
		test(`8 MB over TCP: ${setting}`, async () => {
			await lab().setOffloads(setting as OffloadSetting);
			const address = lab().pod("default/server").pod.address.ipv4;
			const { paths, seen } = await unrepeated(address);
			const counts = Object.fromEntries([...seen].map(([hook, { length }]) => [hook, length]));
			const many = HOOKS.filter((hook) => (counts[hook] ?? 0) > SEGMENTS * 0.9);
			assert.deepEqual(many, cut, `precondition: ${JSON.stringify(counts)}`);
			for (const [hook, packets] of seen) {
				assert.equal(covered(packets), BYTES, `precondition: every byte went through ${hook}`);
				const longest = Math.max(...packets.map(({ length }) => length));
				assert.ok(many.includes(hook) ? longest <= 1514 : longest > 20_000, `${hook}: up to ${longest} bytes`);
			}

			const data = paths.filter(({ flow, packet }) => flow.destination.port === PORT && packet.payload > 0);
			const originals = seen.get("cA→i a") ?? [];
			assert.deepEqual(
				data.map(rangeOf).sort(numerically),
				originals.map(rangeOf).sort(numerically),
				"one path per original skb, with its range",
			);
			for (const path of data) {
				assert.deepEqual(path.hops.map(nameOf), HOOKS, "all eight hooks");
				assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
				for (const hop of path.hops) assertHop(path, hop, seen.get(nameOf(hop)) ?? []);
			}
		});
	}

	test("UDP GSO: five datagrams in one skb, cut on the way", async () => {
		await lab().setOffloads("no-tunnel-segmentation");
		const address = lab().pod("default/server").pod.address.ipv4;
		const count = 300;
		const { paths, sightings } = await traced(["udp", "port", String(PORT)], async () => {
			const options = ["--gso", "1028", "--size", "5140", "--packets", String(count), "--rate", "2000"];
			await lab()
				.pod("default/client")
				.run(FLOOD, "send", address, String(PORT), ...options);
		});
		const seen = byHook(sightings.filter(({ tuple }) => tuple.destinationPort === PORT));
		const counts = Object.fromEntries([...seen].map(([hook, { length }]) => [hook, length]));
		const few = HOOKS.slice(0, 4);
		const expected = Object.fromEntries(HOOKS.map((hook) => [hook, few.includes(hook) ? count : count * 5]));
		assert.deepEqual(counts, expected, "precondition: five in one until the wire, single ones behind it");
		const data = paths.filter(({ flow }) => flow.destination.port === PORT);
		assert.equal(data.length, count, "one path per original skb");
		for (const path of data) {
			assert.equal(path.packet.payload, 5140);
			assert.deepEqual(path.hops.map(nameOf), HOOKS);
			assert.deepEqual(
				path.hops.map(({ packets }) => packets),
				[1, 1, 1, 1, 5, 5, 5, 5],
			);
			assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
		}
		// One flow, one queue: the k-th five behind the wire are the k-th skb, and begin with the same bytes.
		const originals = seen.get("cA→i a") ?? [];
		const inOrder = [...data].sort((a, b) => between(b.hops[0]?.first ?? "", a.hops[0]?.first ?? ""));
		for (const [k, path] of inOrder.entries()) {
			const original = originals[k] as Sighting;
			for (const [n, hop] of path.hops.slice(4).entries()) {
				const parts = (seen.get(HOOKS[n + 4] as string) ?? []).slice(k * 5, k * 5 + 5);
				assert.equal(parts[0]?.hash, original.hash, "precondition: they are the same bytes");
				assert.equal(
					hop.bytes,
					parts.reduce((sum, { length }) => sum + length, 0),
				);
				const since = (time: number | undefined) => (time ?? 0) - original.time;
				assert.equal(between(path.hops[0]?.first ?? "", hop.first), since(parts[0]?.time), "no other skb's first");
				assert.equal(between(path.hops[0]?.first ?? "", hop.last), since(parts[4]?.time), "no other skb's last");
			}
		}
	});
});

/** The hop is made of the packets there that overlap the path's range, and of no other. */
function assertHop(path: Path, hop: Path["hops"][number], packets: readonly Sighting[]): void {
	const start = path.packet.seq ?? 0;
	const parts = packets.filter((part) => {
		const ahead = (part.sequence - start) | 0;
		return ahead < path.packet.payload && ahead + part.payload > 0;
	});
	const where = `${hop.device} ${hop.direction} of ${rangeOf(path)}`;
	assert.equal(hop.packets, parts.length, where);
	assert.equal(
		hop.bytes,
		parts.reduce((sum, { length }) => sum + length, 0),
		where,
	);
	assert.equal(covered(parts, start, path.packet.payload), path.packet.payload, `${where}: every byte`);
	const first = parts.find((part) => ((part.sequence - start) | 0) <= 0);
	const last = parts.at(-1);
	assert.equal(
		between(hop.first, hop.last),
		(last?.time ?? 0) - (first?.time ?? 0),
		`${where}: from its first byte on`,
	);
}

/** Bytes that a set of packets covers, of all or of [start, start + length): each counts once. */
function covered(packets: readonly Sighting[], start?: number, length = 2 ** 31 - 1): number {
	const from = start ?? packets[0]?.sequence ?? 0;
	const ranges = packets.map(({ sequence, payload }) => ({ at: (sequence - from) | 0, payload }));
	let sum = 0;
	let end = start === undefined ? Number.NEGATIVE_INFINITY : 0;
	for (const { at, payload } of ranges.sort((a, b) => a.at - b.at)) {
		const to = Math.min(at + payload, length);
		if (to > end) sum += to - Math.max(at, end);
		end = Math.max(end, to);
	}
	return sum;
}

function rangeOf(one: Path | Sighting): string {
	return "packet" in one ? `${one.packet.seq}+${one.packet.payload}` : `${one.sequence}+${one.payload}`;
}

function numerically(a: string, b: string): number {
	return a.localeCompare(b);
}

/** ns between two times of day of one trace. */
function between(first: string, last: string): number {
	const ns = (time: string) => BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1_000_000n + BigInt(time.slice(20, 29));
	return Number(ns(last) - ns(first));
}
