import assert from "node:assert/strict";
import { test } from "node:test";
import type { LatencyReport, Segment, SegmentEnd } from "../../src/latency/report.js";
import { LatencyTable } from "../../src/render/text/latency.js";
import { sparkline } from "../../src/render/text/sparkline.js";
import { textWidth } from "../../src/render/text/width.js";

function end(device: string, pod: string | null = null): SegmentEnd {
	return { node: "node-a", device, direction: "ingress", role: "pod", pod };
}

function segment(kind: Segment["kind"], fields: Partial<Segment> = {}): Segment {
	return {
		...{ kind, from: null, to: null, node: "node-a", device: "cni0", group: null, count: 1204, sumNs: 2_889_600 },
		...{ minNs: 1900, p50Ns: 2400, p90Ns: 3100, p99Ns: 8800, p999Ns: 21_000, maxNs: 310_000, clockErrorNs: 0 },
		...{ buckets: [], unmatched: {} },
		...fields,
	};
}

function report(segments: readonly Segment[], fields: Partial<LatencyReport> = {}): LatencyReport {
	return {
		...{ type: "latency", time: "2026-11-22T12:00:10Z", seconds: 10, quantileError: 0.03, segments, warnings: [] },
		...fields,
	};
}

test("segments stand under the bridge or tunnel that holds the packets, the whole before its parts", () => {
	const table = new LatencyTable({ colour: false, width: () => 100, watch: false });
	const pair = { from: end("veth1", "default/client"), to: end("veth2", "default/neighbor"), count: 1000 };
	const lines = table.lines(
		report([
			segment("encapsulate", { device: "flannel.1", count: 30, unmatched: { segmented: 12, evicted: 0 } }),
			segment("transit", { device: null, count: 1300 }),
			segment("bridge-forward", pair),
			segment("bridge-forward"),
			segment("bridge-up", { count: 0, minNs: null, p50Ns: null, p90Ns: null, p99Ns: null, p999Ns: null, maxNs: null }),
		]),
	);
	assert.equal(
		`\n${lines.join("\n")}\n`,
		`
µs                                           count   /s  min  p50  p90  p99  p99.9  max
node-a  bridge cni0
  forward                                    1,204  120  1.9  2.4  3.1  8.8     21  310
  forward default/client → default/neighbor  1,000  100  1.9  2.4  3.1  8.8     21  310
  up                                             0    0    ·    ·    ·    ·      ·    ·
node-a  tunnel flannel.1
  encapsulate                                   30  3.0  1.9  2.4  3.1  8.8     21  310
node-a
  transit                                    1,300  130  1.9  2.4  3.1  8.8     21  310
µs over 10.0 s; quantiles within 3 %; without a sample: 12 segmented
`,
	);
});

test("a wire carries the error of the clocks", () => {
	const table = new LatencyTable({ colour: false, width: () => 100, watch: false });
	const wire = segment("wire", {
		device: null,
		from: end("eth0"),
		to: { ...end("eth0"), node: "node-b" },
		clockErrorNs: 2000,
	});
	assert.match(table.lines(report([wire]))[2] ?? "", /wire to node-b .* 310±2$/);
});

test("watching draws the p99 of the last intervals, gaps and all", () => {
	const table = new LatencyTable({ colour: false, width: () => 120, watch: true });
	for (const p99Ns of [1000, 8000, null, 4500]) {
		table.lines(report(p99Ns === null ? [] : [segment("bridge-forward", { p99Ns })], { seconds: 1 }));
	}
	const last = table.lines(report([segment("bridge-forward", { p99Ns: 8000 })], { seconds: 1 }))[2];
	assert.match(last ?? "", / 310 {2}▁█ ▅█$/);
});

test("a segment that is long gone is forgotten", () => {
	const table = new LatencyTable({ colour: false, width: () => 120, watch: true });
	table.lines(report([segment("bridge-forward")]));
	for (let interval = 0; interval < 20; interval++) table.lines(report([]));
	assert.match(table.lines(report([segment("bridge-forward")]))[2] ?? "", / 310 {2}▁$/);
});

test("narrow terminals shorten names, not numbers; escape sequences stay out", () => {
	const evil = "default/\x1b[31mred";
	for (const width of [64, 80]) {
		const table = new LatencyTable({ colour: false, width: () => width, watch: false });
		const pair = { from: end("veth1", evil), to: end("veth2", "default/neighbor-with-a-long-name"), device: evil };
		for (const line of table.lines(report([segment("bridge-forward", pair)], { warnings: [evil] })).slice(0, -1)) {
			assert.ok(textWidth(line) <= width, line);
			assert.ok(!line.includes("\x1b"), line);
		}
		assert.match(table.lines(report([segment("bridge-forward", pair)]))[2] ?? "", /… +1,204 .* 310$/);
	}
});

test("nothing at all says what to check", () => {
	const table = new LatencyTable({ colour: false, width: () => 100, watch: false });
	assert.match(table.lines(report([]))[0] ?? "", /^no packets yet/);
});

test("sparklines", () => {
	assert.equal(sparkline([]), "");
	assert.equal(sparkline([5, 5, null]), "▁▁ ");
	assert.equal(sparkline([0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
});
