import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Histogram } from "../../src/latency/histogram.js";
import { BUCKETS, bucketOf, bucketStart, LONGEST_NS, QUANTILE_ERROR } from "../../src/latency/scale.js";

/** Durations of all sizes: a number of bits first, so that short ones are not rare. */
const duration = fc
	.tuple(fc.integer({ min: 0, max: 34 }), fc.double({ min: 0, max: 1, noNaN: true }))
	.map(([bits, share]) => Math.min(LONGEST_NS, Math.floor(2 ** bits * (1 + share))));

function histogramOf(durations: readonly number[]): Histogram {
	const histogram = new Histogram();
	for (const ns of durations) histogram.record(ns);
	return histogram;
}

/** By definition: the smallest duration that `share` of all do not exceed. */
function exactQuantile(durations: readonly number[], share: number): number {
	const sorted = durations.toSorted((a, b) => a - b);
	return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] as number;
}

describe("the scale", () => {
	it("has the kernel's buckets", () => {
		// By hand from bpf/latency.h: ns, bucket.
		for (const [ns, bucket] of [
			[0, 0],
			[31, 31],
			[32, 32],
			[63, 63],
			[64, 64],
			[65, 64],
			[66, 65],
			[127, 95],
			[128, 96],
			[20_000, 327],
			[LONGEST_NS, 959],
			[2 ** 40, 959],
		] as const) {
			assert.equal(bucketOf(ns), bucket, `${ns} ns`);
		}
		assert.equal(BUCKETS, 960);
		assert.equal(bucketStart(BUCKETS), LONGEST_NS + 1);
	});

	it("puts every duration into the one bucket that holds it", () => {
		fc.assert(
			fc.property(duration, (ns) => {
				const bucket = bucketOf(ns);
				assert.ok(bucketStart(bucket) <= ns && ns < bucketStart(bucket + 1));
			}),
		);
	});
});

describe("a histogram", () => {
	it("gives every quantile within the error that it states", () => {
		const share = fc.double({ min: 0.001, max: 1, noNaN: true });
		fc.assert(
			fc.property(fc.array(duration, { minLength: 1, maxLength: 300 }), share, (durations, each) => {
				const exact = exactQuantile(durations, each);
				const told = histogramOf(durations).quantile(each) as number;
				assert.ok(Math.abs(told - exact) <= exact * QUANTILE_ERROR, `${told} for ${exact}`);
			}),
		);
		assert.ok(QUANTILE_ERROR <= 0.03);
	});

	it("of two parts is the histogram of the whole", () => {
		fc.assert(
			fc.property(fc.array(duration), fc.array(duration), (left, right) => {
				const sum = histogramOf(left);
				sum.add(histogramOf(right));
				const whole = histogramOf([...left, ...right]);
				assert.deepEqual(sum.buckets(), whole.buckets());
				assert.deepEqual([sum.count, sum.minNs, sum.maxNs], [whole.count, whole.minNs, whole.maxNs]);
			}),
		);
	});

	it("lists its buckets with bounds, and nothing when there is nothing", () => {
		assert.deepEqual(histogramOf([5, 5, 100]).buckets(), [
			{ fromNs: 5, toNs: 6, count: 2 },
			{ fromNs: 100, toNs: 102, count: 1 },
		]);
		assert.deepEqual(new Histogram().buckets(), []);
		assert.equal(new Histogram().quantile(0.5), null);
	});
});
