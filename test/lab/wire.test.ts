import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { LatencyReport, Segment } from "../../src/latency/report.js";
import { packet } from "../bpf/packet.js";
import { agentsOf, end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { inject, linkAddresses } from "./frames.js";
import { dropSome } from "./victims.js";
import { watchLatency } from "./watch-latency.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const FLOOD = "build/bench/flood";
const PORT = 9000;
/** Datagrams that flood sends with one system call. */
const BATCH = 64;

/**
 * `weft latency --agent A --agent B`: nodes that share neither clock nor salt, and the wire between them. Clocks are off
 * by half a minute and drift: without being brought onto one line every figure would be seconds off.
 */
describe("the wire between the nodes of two agents", () => {
	const lab = cluster();
	const agents = agentsOf(lab);

	/** Pings both ways tie the clocks; what `work` sends is measured. One report of all of it. */
	async function wireOf(work: () => Promise<unknown>, ...args: string[]): Promise<LatencyReport> {
		const words = [MAIN, "latency", ...agents().options, "-d", "10m", "-o", "json", ...args];
		const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
		const lines: string[] = [];
		createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
		const closed = once(child, "close");
		const errors = createInterface({ input: child.stderr });
		const [first] = (await Promise.race([once(errors, "line"), closed])) as [unknown];
		assert.match(String(first), /agents time packets on node-a, node-b/);
		try {
			await work();
			// The last ones are judged when nothing like them can come any more.
			await sleep(2500);
		} finally {
			child.kill("SIGINT");
			await closed;
		}
		assert.equal(lines.length, 1);
		return JSON.parse(lines[0] ?? "") as LatencyReport;
	}

	const address = (pod: string) => lab().pod(pod).pod.address.ipv4;
	const pings = (count: number) => lab().ping("default/client", address("default/server"), { count, intervalS: 0.02 });
	const flood = async (packets: number, rate: number) => {
		const output = await lab()
			.pod("default/client")
			.run(
				...[FLOOD, "send", address("default/server"), String(PORT), "--seconds", "60"],
				...["--packets", String(packets), "--rate", String(rate), "--size", "200"],
			);
		assert.equal((JSON.parse(output) as { sent: number }).sent, packets, "precondition: all were sent");
	};

	test("a token bucket on node-a's NIC makes its wire longer by what it holds, and nothing else", async () => {
		const [rate, burst] = [1, 1600]; // bytes a µs, bytes
		const frame = 14 + 20 + 8 + 8 + 14 + 20 + 8 + 200;
		const node = lab().node("node-a");
		const work = async () => {
			await pings(100);
			await Promise.all([flood(BATCH * 40, 1000), pings(100)]);
		};
		const calm = await wireOf(work);
		await node.run(..."tc qdisc add dev eth0 root tbf rate 8mbit burst 1600 limit 400000".split(" "));
		let shaped: LatencyReport;
		try {
			shaped = await wireOf(work);
		} finally {
			await node.run("tc", "qdisc", "del", "dev", "eth0", "root");
		}
		const before = wire(calm, "node-a", "node-b");
		const behind = wire(shaped, "node-a", "node-b");
		// The bucket is full when a batch begins; its middle waits for all before it.
		const expected = (((BATCH / 2) * frame - burst) / rate) * 1000;
		const error = expected * 0.2 + behind.clockErrorNs + before.clockErrorNs;
		const moved = (behind.p50Ns ?? Number.NaN) - (before.p50Ns ?? Number.NaN);
		assert.ok(Math.abs(moved - expected) < error, `${moved} ns, not ${expected} ± ${error}`);
		assert.ok(behind.clockErrorNs > 0 && before.clockErrorNs > 0, "clocks of two nodes have an error");
		const [back, backBefore] = [wire(shaped, "node-b", "node-a"), wire(calm, "node-b", "node-a")];
		const other = (back.p50Ns ?? Number.NaN) - (backBefore.p50Ns ?? Number.NaN);
		const otherError = back.clockErrorNs + backBefore.clockErrorNs + expected / 20;
		assert.ok(Math.abs(other) < otherError, `the way back moved by ${other} ± ${otherError} ns`);
		const encapsulate = (report: LatencyReport) =>
			report.segments.find((each) => each.node === "node-a" && each.kind === "encapsulate")?.p50Ns ?? Number.NaN;
		const inside = encapsulate(shaped) - encapsulate(calm);
		assert.ok(Math.abs(inside) < expected / 20, `encapsulation moved by ${inside} ns`);
	});

	test("every packet that was sent across has a sample or a reason; those that were lost are told", async () => {
		const dropping = await dropSome(lab().outside, "sw2", {
			...{ port: PORT, every: 20, most: 40, egress: true, tunnelled: true },
		});
		const packets = BATCH * 40;
		const report = await wireOf(
			async () => {
				await pings(50);
				await flood(packets, 2000);
			},
			"--by",
			"flow",
		);
		const dropped = dropping.stop().length;
		assert.equal(dropped, 40, "precondition: some were dropped between the NICs");
		assert.ok(!report.warnings.some((line) => /packets on the wire one/.test(line)), "precondition: none was left out");
		const there = wire(report, "node-a", "node-b");
		const { clock = 0, lost = 0, ...others } = there.unmatched;
		// 50 pings besides; ends of the measurement aside, where the pings are, nothing else is without a sample.
		assert.deepEqual(others, {}, JSON.stringify({ ...there, buckets: 0 }));
		assert.ok(lost >= dropped && lost <= dropped + 2, `${lost} lost, ${dropped} dropped`);
		assert.ok(Math.abs(there.count + clock + lost - packets - 50) <= 2, JSON.stringify({ ...there, buckets: 0 }));
		const flows = report.segments.filter(({ kind, group }) => kind === "wire" && group !== null);
		assert.ok(
			flows.some(({ group }) => /^udp default\/client:\d+ ↔ default\/server:9000$/.test(group ?? "")),
			flows.map(({ group }) => group).join(),
		);
	});

	test("packets that nothing tells apart make no sample: which is which, only their order would say", async () => {
		const client = lab().pod("default/client");
		const ends = { source: client.pod.address.ipv4, destination: address("default/server") };
		const link = packet().ethernet(await linkAddresses(client, ends.destination));
		const frame = link
			.ipv4({ ...ends, id: 0, dontFragment: true })
			.udp({ source: 4500, destination: PORT })
			.payload("again and again")
			.build();
		const report = await wireOf(async () => {
			await pings(50);
			await inject(client, "eth0", Array(20).fill(frame));
			await sleep(200);
			await pings(5);
		});
		const there = wire(report, "node-a", "node-b");
		const { clock = 0, departureUnseen: _, ...reasons } = there.unmatched;
		const without = Object.values(reasons).reduce((a, b) => a + b, 0);
		assert.ok((reasons["order"] ?? 0) >= 10 && without >= 20, JSON.stringify(there.unmatched));
		assert.ok(there.count > 0 && there.count + clock <= 55, `${there.count} samples: of the pings alone`);
	});

	test("a relay tells it to whoever asks for it, as deltas", async () => {
		const address = `unix:${agents().folder}/relay.sock`;
		const relay = await serving("relay", "--listen", address, ...agents().options);
		try {
			const watching = watchLatency(address, { wire: true, intervalMs: 500 });
			await watching.ready;
			for (let round = 0; round < 20 && !watching.deltas.some(({ kind }) => kind === "wire"); round++) await pings(25);
			const deltas = watching.deltas.filter(({ kind }) => kind === "wire");
			watching.stop();
			assert.ok(deltas.length > 0, "there are deltas of the wire");
			for (const { from, to, count, bucketCount, clockErrorNs } of deltas) {
				assert.notEqual(from?.node, to?.node);
				assert.ok(Number(clockErrorNs) > 0);
				assert.equal(
					bucketCount.reduce((sum, each) => sum + Number(each), 0),
					Number(count),
				);
			}
			assert.ok(watching.deltas.some(({ kind, node }) => kind === "encapsulate" && node === "node-b"));
		} finally {
			await end(relay, "SIGTERM");
		}
	});

	test("one agent alone has no wire, and an agent that is not there is named", async () => {
		const run = (...words: string[]) => {
			const child = spawn(process.execPath, [MAIN, "latency", ...words], { stdio: ["ignore", "pipe", "pipe"] });
			let text = "";
			for (const stream of [child.stdout, child.stderr]) {
				stream.setEncoding("utf8").on("data", (more: string) => {
					text += more;
				});
			}
			return once(child, "close").then(([code]) => ({ code: code as number, text }));
		};
		const alone = await run("--agent", agents().address("node-a"), "-d", "500ms", "-o", "json");
		assert.equal(alone.code, 0, alone.text);
		assert.doesNotMatch(alone.text, /"kind":"wire"/);
		const nobody = await run("--agent", `unix:${agents().folder}/nobody.sock`);
		assert.equal(nobody.code, 1);
		assert.match(nobody.text, /nobody\.sock/);
	});
});

function wire(report: LatencyReport, from: string, to: string): Segment {
	const found = report.segments.filter(
		(each) => each.kind === "wire" && each.from?.node === from && each.to?.node === to && each.group === null,
	);
	assert.equal(found.length, 1, `${found.length} wires from ${from} to ${to}`);
	return found[0] as Segment;
}
