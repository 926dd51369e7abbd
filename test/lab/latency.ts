import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LatencyReport, Segment, SegmentKind } from "../../src/latency/report.js";
import { assertAttached, attachOptions } from "./attach.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** A `weft latency … -o json` in a process of its own, until it is stopped. */
export interface RunningLatency {
	/** Ctrl-C; what it printed. */
	stop(): Promise<readonly LatencyReport[]>;
}

/** Starts it and waits until its hooks are on. */
export async function startLatency(...args: string[]): Promise<RunningLatency> {
	const words = ["latency", ...args, ...attachOptions(["latency", ...args]), "-o", "json"];
	const child: ChildProcess = spawn(process.execPath, [MAIN, ...words], { stdio: ["ignore", "pipe", "pipe"] });
	let output = "";
	let errors = "";
	const closed = once(child, "close");
	child.stdout?.setEncoding("utf8").on("data", (text: string) => {
		output += text;
	});
	await new Promise<void>((resolve, reject) => {
		child.stderr?.setEncoding("utf8").on("data", (text: string) => {
			errors += text;
			if (/\d+ hooks on /.test(errors)) resolve();
		});
		closed.then(
			() => reject(new Error(`weft ${words.join(" ")} ended before it was ready: ${errors}`)),
			(error: unknown) => reject(error),
		);
	});
	assertAttached(child.pid);
	return {
		async stop() {
			child.kill("SIGINT");
			const [code] = (await closed) as [number | null];
			assert.equal(code, 0, `weft ${words.join(" ")} failed: ${errors}`);
			return output
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line) as LatencyReport);
		},
	};
}

/** Measures what happens during `work`: one report of all of it. */
export async function latencyOf(args: readonly string[], work: () => Promise<unknown>): Promise<LatencyReport> {
	// Longer than any test: Ctrl-C ends it, and then it prints once.
	const running = await startLatency(...args, "-d", "10m");
	let reports: readonly LatencyReport[] = [];
	try {
		await work();
	} finally {
		reports = await running.stop();
	}
	const [report] = reports;
	assert.ok(report !== undefined && reports.length === 1);
	assertAccounted(report);
	return report;
}

/** Every packet at every hook is in a histogram, new, or has a reason. */
export function assertAccounted({ packets, segments }: LatencyReport): void {
	assert.ok(packets);
	const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
	const unmatched = sum(Object.values(packets.unmatched));
	assert.equal(packets.seen, packets.timed + packets.begun + unmatched + packets.untracked, JSON.stringify(packets));
	const wholes = segments.filter((segment) => isWhole(segment) && segment.kind !== "transit");
	assert.equal(sum(wholes.map(({ count }) => count)), packets.timed, "every sample is in a segment");
	for (const { buckets, count } of segments) assert.equal(sum(buckets.map((bucket) => bucket.count)), count);
}

export function isWhole({ from, group }: Segment): boolean {
	return from === null && group === null;
}

/** The segment of a kind on a node; `device`: where there are several bridges or tunnels. */
export function segmentOf(report: LatencyReport, node: string, kind: SegmentKind, device?: string): Segment {
	const found = report.segments.filter(
		(each) =>
			isWhole(each) && each.node === node && each.kind === kind && (device === undefined || each.device === device),
	);
	assert.equal(found.length, 1, `${found.length} segments ${kind} of ${device ?? "anything"} on ${node}`);
	return found[0] as Segment;
}
