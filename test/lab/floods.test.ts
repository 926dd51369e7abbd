import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DropsWatch } from "../../src/collector/drops.js";
import { LatencyWatch } from "../../src/collector/latency.js";
import { labNodes } from "../../src/lab/nodes.js";
import type { DropReport, DropSummary } from "../../src/latency/drop-report.js";
import type { LatencyReport, Segment } from "../../src/latency/report.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { startDrops } from "./drops.js";
import { isWhole } from "./latency.js";

const FLOOD = "build/bench/flood";
const SECONDS = 4;
/** The whole process, Node.js and all: DESIGN.md's budget for a flood of 10,000 flows. */
const MOST_RESIDENT = 250 << 20;

describe("a flood of drops", () => {
	const lab = cluster();
	const senders = ["default/client", "default/neighbor"] as const;

	// The cheapest death there is: a shaper in each pod that lets almost nothing out, and whose queue is full.
	before(async () => {
		for (const pod of senders) {
			await lab()
				.pod(pod)
				.run(..."tc qdisc add dev eth0 root tbf rate 8kbit burst 1600 limit 1600".split(" "));
		}
	});

	/** What the shapers themselves have counted. */
	async function dropped(): Promise<number> {
		const shown = await Promise.all(
			senders.map((pod) =>
				lab()
					.pod(pod)
					.run(..."tc -s -j qdisc show dev eth0".split(" ")),
			),
		);
		return shown.reduce((sum, text) => sum + ((JSON.parse(text) as [{ drops: number }])[0].drops ?? 0), 0);
	}

	/** Both pods to each other at once, 5,000 flows each. */
	async function flood(): Promise<void> {
		const words = ["9000", "--seconds", String(SECONDS), "--size", "22", "--flows", "5000"];
		const [a, b] = senders.map((pod) => lab().pod(pod));
		assert.ok(a && b);
		await Promise.all([
			a.run(FLOOD, "send", b.pod.address.ipv4, ...words),
			b.run(FLOOD, "send", a.pod.address.ipv4, ...words),
		]);
	}

	test("as many drops a second as this machine can make: exact counts, details of a sample, bounded memory", async (t) => {
		const before = await dropped();
		const weft = await startDrops(`--lab=${lab().name}`);
		const already = await dropped();
		let resident = 0;
		const looking = setInterval(() => {
			resident = Math.max(resident, residentOf(weft.pid));
		}, 50);
		await flood();
		await sleep(500);
		clearInterval(looking);
		const count = (await dropped()) - already;
		const summary = await weft.stop();
		const most = (await dropped()) - before;
		t.diagnostic(`${Math.round(count / SECONDS)} drops a second, at most ${resident >> 20} MB resident`);
		assert.ok(count > 50_000, `precondition: a flood, ${count} dropped`);
		const ours = weft.drops.filter(isShapers);
		assertAllTold(weft.drops, { count, most }, summary);
		assert.ok(summary.sampled > count / 2, `${summary.sampled} are told by kind alone`);
		assert.ok(ours.length < count / 20, `${ours.length} reports`);
		assert.ok(resident > 0 && resident < MOST_RESIDENT, `${resident} bytes`);
	});

	test("whoever reads meanwhile reads what is so: accounts only grow, reports add up", async () => {
		const reports: DropReport[] = [];
		const nodes = await labNodes(lab().name);
		const before = await dropped();
		const watch = await DropsWatch.start({ nodes, filter: { kind: "true" } }, (more) => reports.push(...more));
		const already = await dropped();
		let isOver = false;
		const flooding = flood().finally(() => {
			isOver = true;
		});
		let reads = 0;
		let last = watch.account();
		while (!isOver) {
			await sleep(1);
			const account = watch.account();
			for (const key of ["consumed", "unknown", "ringFull", "missed"] as const) {
				assert.ok(account[key] >= last[key], `${key} went from ${last[key]} to ${account[key]}`);
			}
			last = account;
			reads++;
		}
		await flooding;
		await sleep(300);
		const count = (await dropped()) - already;
		const summary = await watch.stop();
		await watch.close();
		const most = (await dropped()) - before;
		assert.ok(reads > 20 && count > 50_000, `precondition: ${reads} reads, ${count} drops`);
		assertAllTold(reports, { count, most }, summary);
		assert.ok(summary.seen >= count);
	});
});

describe("a flood of packets that are timed", () => {
	const lab = cluster();

	test("whoever reads meanwhile reads whole histograms, and the intervals add up to the whole", async () => {
		const nodes = await labNodes(lab().name);
		const watch = await LatencyWatch.start({ nodes, bridge: "cni0", by: "flow", inside: false, attach: attach() });
		const address = lab().pod("default/neighbor").pod.address.ipv4;
		const words = ["send", address, "9000", "--seconds", String(SECONDS), "--size", "22", "--flows", "10000"];
		let isOver = false;
		const flooding = lab()
			.pod("default/client")
			.run(FLOOD, ...words)
			.finally(() => {
				isOver = true;
			});
		const intervals: LatencyReport[] = [];
		while (!isOver) {
			await sleep(5);
			intervals.push(watch.interval());
		}
		const { sent } = JSON.parse(await flooding) as { sent: number };
		await watch.stop();
		intervals.push(watch.interval());
		const total = watch.total();
		await watch.close();
		assert.ok(intervals.length > 5 && sent > 10_000, `precondition: ${intervals.length} reads of ${sent} packets`);
		for (const { segments } of intervals) for (const segment of segments) assertWhole(segment);
		const sum = (reports: readonly LatencyReport[]) =>
			reports.flatMap(forwards).reduce((all, { count }) => all + count, 0);
		assert.equal(sum(intervals), sum([total]));
		const unmatched = forwards(total).flatMap((segment) => Object.values(segment.unmatched));
		const arrived = sum([total]) + unmatched.reduce((a, b) => a + b, 0);
		const { packets } = total;
		assert.ok(packets);
		const without = Object.values(packets.unmatched).reduce((a, b) => a + b, 0);
		assert.equal(packets.seen, packets.timed + packets.begun + without + packets.untracked);
		assert.ok(arrived >= sent * 0.9, `${arrived} of ${sent} went through the bridge`);
	});
});

function forwards({ segments }: LatencyReport): readonly Segment[] {
	return segments.filter((each) => isWhole(each) && each.kind === "bridge-forward" && each.node === "node-a");
}

/** Counters are read one by one while others write them: they may be a few packets apart, never torn. */
function assertWhole({ count, buckets, minNs, p50Ns, p99Ns, maxNs }: Segment): void {
	const inside = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
	assert.equal(inside, count, "a histogram's count is what its buckets hold");
	assert.ok(buckets.every((bucket) => bucket.count > 0 && bucket.count < 1e8));
	if (count === 0 || minNs === null || p50Ns === null || p99Ns === null || maxNs === null) return;
	assert.ok(minNs <= p50Ns && p50Ns <= p99Ns && p99Ns <= maxNs, `${minNs} ${p50Ns} ${p99Ns} ${maxNs}`);
}

function residentOf(pid: number): number {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Where the kernel frees what a qdisc refuses, whatever reason it finds on the packet. */
function isShapers({ kernelReason, kernelFunction }: DropReport): boolean {
	return kernelReason === "QDISC_DROP" || kernelFunction === "__dev_queue_xmit";
}

function kindsOf(reports: readonly DropReport[]): string {
	const kinds = new Map<string, number>();
	for (const { kernelReason, kernelFunction, protocol, count } of reports) {
		const kind = `${kernelReason} in ${kernelFunction}, ${protocol}`;
		kinds.set(kind, (kinds.get(kind) ?? 0) + count);
	}
	return [...kinds].map(([kind, count]) => `${count} ${kind}`).join("; ");
}

interface Shaped {
	/** What the shapers dropped while weft watched for certain. */
	readonly count: number;
	/** And while it began or ended as well: they throw away what the pods ask for by ARP at any time. */
	readonly most: number;
}

/**
 * What weft gives adds up exactly. The shapers are another witness, and nearly as good: they throw ARP away, too, which weft
 * counts as what nobody misses, and of some ten million packets this kernel's tracepoint kfree_skb passes one over. A second
 * program on it was short of the shapers by that very one.
 */
function assertAllTold(reports: readonly DropReport[], { count, most }: Shaped, summary: DropSummary): void {
	const told = reports.filter(isShapers).reduce((sum, drop) => sum + drop.count, 0);
	const { seen, dropped, consumed, filtered, foreign, unknown, unrelated, ringFull, missed } = summary;
	const account = `${told} told of ${count} to ${most}: ${JSON.stringify(summary)}; ${kindsOf(reports)}`;
	assert.equal(dropped + consumed + filtered + foreign + unknown + unrelated, seen, account);
	assert.equal(
		reports.reduce((sum, drop) => sum + drop.count, 0),
		dropped,
		account,
	);
	const passedOver = Math.ceil(count / 1e6);
	assert.ok(told <= most && told + consumed + unknown + ringFull + missed + passedOver >= count, account);
	assert.ok(consumed + unknown + ringFull + missed < 1000, account);
}
