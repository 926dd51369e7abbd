import assert from "node:assert/strict";
import { test } from "node:test";
import type { Segment } from "../../src/latency/report.js";
import { type Metrics, metricsText } from "../../src/render/metrics.js";

const SEGMENT: Segment = {
	...{
		kind: "bridge-forward",
		from: null,
		to: null,
		node: "node-a",
		device: "cni0",
		group: null,
		count: 3,
		sumNs: 2500,
	},
	...{ minNs: 250, p50Ns: 300, p90Ns: 1900, p99Ns: 1900, p999Ns: 1900, maxNs: 1950, clockErrorNs: 0 },
	buckets: [
		{ fromNs: 248, toNs: 256, count: 1 },
		{ fromNs: 296, toNs: 304, count: 1 },
		{ fromNs: 1920, toNs: 1984, count: 1 },
	],
	unmatched: { cloned: 2 },
};

const NOTHING: Metrics = {
	...{ build: { version: "0.1.0", kernel: "6.18" }, latency: null, drops: null, dropAccount: null, ledger: [] },
};

test("histograms are cumulative, in seconds, and end with everything", () => {
	const text = metricsText({
		...NOTHING,
		latency: { type: "latency", time: "", seconds: 1, quantileError: 0.016, segments: [SEGMENT], warnings: [] },
	});
	const labels = 'node="node-a",kind="bridge-forward",device="cni0"';
	for (const line of [
		"# TYPE weft_segment_duration_seconds histogram",
		`weft_segment_duration_seconds_bucket{${labels},le="2.56e-7"} 1`,
		`weft_segment_duration_seconds_bucket{${labels},le="5.12e-7"} 2`,
		`weft_segment_duration_seconds_bucket{${labels},le="0.000001024"} 2`,
		`weft_segment_duration_seconds_bucket{${labels},le="0.000002048"} 3`,
		`weft_segment_duration_seconds_bucket{${labels},le="+Inf"} 3`,
		`weft_segment_duration_seconds_sum{${labels}} 0.0000025`,
		`weft_segment_duration_seconds_count{${labels}} 3`,
		`weft_segment_unmatched_packets_total{${labels},reason="cloned"} 2`,
	]) {
		assert.ok(text.split("\n").includes(line), `${line}\nis not in\n${text}`);
	}
});

test("every family has its help and type once, before its samples; labels are escaped", () => {
	const text = metricsText({
		...NOTHING,
		drops: [{ node: 'a"b\\', diagnosis: "closed port", pod: "default/x", count: 4 }],
		dropAccount: { consumed: 1, unknown: 2, ringFull: 3, missed: 4 },
		ledger: [{ stage: "kernel", in: 3, out: 2, lost: { ringFull: 1 } }],
	});
	assert.ok(text.includes('weft_dropped_packets_total{node="a\\"b\\\\",diagnosis="closed port",pod="default/x"} 4\n'));
	let family = "";
	for (const line of text.trimEnd().split("\n")) {
		const [, name] = /^# HELP (\w+) \S/.exec(line) ?? [];
		if (name !== undefined) family = name;
		else if (line.startsWith("#")) assert.match(line, new RegExp(`^# TYPE ${family} (counter|gauge|histogram)$`));
		else assert.match(line, new RegExp(`^${family}(\\{(\\w+="([^"\\\\]|\\\\.)*",?)*\\})? [0-9.e+-]+$`));
	}
});

test("what is not measured is not told", () => {
	assert.equal(
		metricsText(NOTHING)
			.split("\n")
			.filter((line) => line.startsWith("weft_")).length,
		1,
	);
});
