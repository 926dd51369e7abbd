import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import type { PathView } from "../../src/path/path-view.js";
import { type NodeClock, wallAt } from "../../src/rpc/node-clock.js";
import { agentsOf } from "./agents.js";
import { AgentsJoining } from "./agents-joining.js";
import { cluster } from "./cluster.js";
import { ask, foreign } from "./foreign.js";
import { DATAGRAM_BYTES, Numbers, Passages } from "./numbered.js";

const FLOOD = "build/bench/flood";
const PORT = 9000;
const SALT = 0x0fed_cba9_8765_4321n;
const COUNT = 1_001_000;
const RATE = 20_000;
const NODES = ["node-a", "node-b"];

/**
 * A million datagrams between two nodes whose agents share neither clock nor salt of pointers; each carries its own
 * number, and their IP IDs come again fifteen times. Not one path may mix two of them. And as the test knows how far off
 * each clock is, it knows what the latency of each path truly was.
 */
describe("a million datagrams by agents with honest clocks", () => {
	const lab = cluster();
	const agents = agentsOf(lab);

	test("no exact path mixes two; latencies and clocks are what they truly are, within their errors", async (t) => {
		const numbers = new Numbers(COUNT, SALT);
		const passages = new Passages(numbers, COUNT + 10_000);
		const clocks = new Map<string, NodeClock>();
		for (const node of NODES) clocks.set(node, await trueClock(node));
		const clockOf = (node: string) => clocks.get(node) as NodeClock;
		const tally = { paths: 0, exact: 0, whole: 0, mixed: 0, unknown: 0, tied: 0 };
		const [latencies, offsets] = [new Claims(), new Claims()];
		const seen = new Uint8Array(COUNT);

		const checkLatency = (view: PathView, joined: AgentsJoining) => {
			const at = (n: number) =>
				momentOf(clockOf(joined.nodeOf(view.hook(n))), joined.wallAt(view.hook(n), view.first(n)));
			const last = view.hopCount - 1;
			latencies.add(view.latencyNs, Number(at(last) - at(0)), view.clockErrorNs);
		};
		const joining = await AgentsJoining.begin({
			addresses: NODES.map((node) => agents().address(node)),
			filter: `udp dst port ${PORT} or icmp`,
			hashSalt: SALT,
			rows: (rows) => passages.add(rows),
			path(view, joined) {
				if (view.evidence === "exact" && view.hopCount === 8) checkLatency(view, joined);
				if (view.payload !== DATAGRAM_BYTES) return;
				tally.paths++;
				if (view.evidence !== "exact") return;
				tally.exact++;
				const number = passages.of(view);
				if (typeof number === "string") tally[number]++;
				if (number === "unknown" || number === "mixed" || view.hopCount !== 8) return;
				tally.whole++;
				if (number !== "tied") seen[number] = (seen[number] as number) + 1;
			},
			reading(node, { atNs, offsetNs, errorNs }, { wallNs, monotonicNs }) {
				const at = BigInt(Math.round(atNs));
				offsets.add(offsetNs, Number(wallAt(clockOf(node), monotonicNs + at) - (wallNs + at)), errorNs);
			},
		});

		const server = lab().pod("default/server").pod.address.ipv4;
		const client = lab().pod("default/client");
		const sink = lab()
			.pod("default/server")
			.spawn([FLOOD, "sink", server, String(PORT), "--seconds", "180"], { stdio: "ignore" });
		// Packets both ways: they tell more of the clocks than any RPC.
		const pings = client.spawn(["ping", "-q", "-i", "0.05", server], { stdio: "ignore" });
		const options = ["--size", String(DATAGRAM_BYTES), "--packets", String(COUNT), "--seconds", "120"];
		const told = await client
			.run(FLOOD, "send", server, String(PORT), ...options, "--rate", String(RATE))
			.finally(async () => {
				for (const each of [pings, sink]) each.kill("SIGINT");
				await sleep(300);
				await joining.end();
			});
		const sent = JSON.parse(told) as { sent: number; perSecond: number };
		assert.equal(sent.sent, COUNT, "precondition: all were sent");
		const report = JSON.stringify({ ...tally, lost: joining.lost, ...sent });
		t.diagnostic(report);
		t.diagnostic(`latencies: ${latencies}; offsets by RPC: ${offsets}`);

		assert.ok(joining.checked > 10, "precondition: the times that agents sent are known");
		assert.equal(tally.mixed, 0, report);
		assert.ok(tally.unknown < 1000, report);
		// Where rings were too small for a busy machine, the rest must still be most of it.
		const expected = joining.lost === 0 ? COUNT - 1000 : COUNT * 0.5;
		assert.ok(tally.exact >= expected && tally.whole >= expected * 0.999, report);
		const twice = seen.reduce((sum, times) => sum + (times > 1 ? 1 : 0), 0);
		assert.equal(twice, 0, "none has two paths");

		assert.ok(latencies.count >= expected * 0.999 && offsets.count > 50, "precondition: enough samples");
		assert.ok(latencies.share >= 0.999, `latencies: ${latencies}`);
		assert.ok(offsets.share >= 0.999, `offsets: ${offsets}`);
		assert.ok(latencies.meanErrorNs < 5e6, `a bound that says something: ${latencies}`);
	});

	/** The agent tells when it started by its own clock; how far off that was the test has said. */
	async function trueClock(node: string): Promise<NodeClock> {
		const client = foreign(agents().address(node));
		const { agents: statuses } = await ask(client, "GetStatus", {});
		client.close();
		const wallNs = BigInt(statuses[0].startedNs);
		const { offsetNs, driftPpm } = agents().clock(node);
		const { monotonicNs, realtimeNs } = addon().clocks();
		return { wallNs, monotonicNs: monotonicNs - (realtimeNs - (wallNs - offsetNs)), driftPpm };
	}
});

/** When a clock showed that, by CLOCK_MONOTONIC. */
function momentOf({ wallNs, monotonicNs, driftPpm }: NodeClock, atNs: bigint): bigint {
	return monotonicNs + BigInt(Math.round(Number(atNs - wallNs) / (1 + driftPpm * 1e-6)));
}

/** What was claimed with an error, against the truth. */
class Claims {
	count = 0;
	#inside = 0;
	#errors = 0;
	#worst = 0;

	add(claimed: number, truth: number, errorNs: number): void {
		this.count++;
		this.#errors += errorNs;
		const off = Math.abs(claimed - truth);
		// Times are told to the ns.
		if (off <= errorNs + 2) this.#inside++;
		else this.#worst = Math.max(this.#worst, off - errorNs);
	}

	get share(): number {
		return this.#inside / this.count;
	}

	get meanErrorNs(): number {
		return this.#errors / this.count;
	}

	toString(): string {
		const error = `±${(this.meanErrorNs / 1e3).toFixed(1)} µs in the mean`;
		return `${this.#inside} of ${this.count} inside ${error}, the worst ${(this.#worst / 1e3).toFixed(1)} µs outside`;
	}
}
