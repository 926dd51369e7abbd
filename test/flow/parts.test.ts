import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SentRanges } from "../../src/flow/ranges.js";
import { RttSketch } from "../../src/flow/sketch.js";

describe("ranges that were sent", () => {
	it("tell how much of each was there before, as a set of bytes would", () => {
		const interval = fc.tuple(fc.nat({ max: 100 }), fc.integer({ min: 1, max: 12 }));
		fc.assert(
			fc.property(fc.array(interval, { maxLength: 30 }), (intervals) => {
				const ranges = new SentRanges();
				const bytes = new Set<number>();
				for (const [start, size] of intervals) {
					let before = 0;
					for (let byte = start; byte < start + size; byte++) {
						if (bytes.has(byte)) before++;
						bytes.add(byte);
					}
					assert.equal(ranges.add(start, start + size), before);
				}
				assert.equal(ranges.frontier, Math.max(Number.NEGATIVE_INFINITY, ...[...bytes].map((byte) => byte + 1)));
			}),
			{ numRuns: 2000 },
		);
	});

	it("are bounded", () => {
		const ranges = new SentRanges();
		for (let i = 0; i < 1000; i++) ranges.add(i * 10, i * 10 + 5);
		assert.equal(ranges.intervals().length, 32);
		assert.equal(ranges.frontier, 9995);
	});
});

describe("the sketch of round trips", () => {
	const exact = (values: readonly number[], fraction: number) =>
		[...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(fraction * values.length) - 1)] ?? 0;

	it("is off by a 32nd at most", () => {
		fc.assert(
			fc.property(
				fc.array(fc.double({ min: 1000, max: 1e10, noNaN: true }), { minLength: 1, maxLength: 300 }),
				(values) => {
					const sketch = new RttSketch();
					for (const value of values) sketch.add(value);
					const quantiles = sketch.quantiles();
					assert.ok(quantiles !== null);
					for (const [got, fraction] of [
						[quantiles.p50Ns, 0.5],
						[quantiles.p90Ns, 0.9],
						[quantiles.p99Ns, 0.99],
					] as const) {
						const want = exact(values, fraction);
						assert.ok(Math.abs(got - want) <= want / 32 + 1, `${got} for ${want}`);
					}
					assert.equal(quantiles.maxNs, Math.round(Math.max(...values)));
					assert.equal(quantiles.count, values.length);
				},
			),
		);
	});

	it("keeps count when a bucket runs over, and when two are merged", () => {
		const one = new RttSketch();
		const two = new RttSketch();
		for (let i = 0; i < 200_000; i++) {
			one.add(50_000);
			if (i % 4 === 0) two.add(900_000);
		}
		one.merge(two);
		const quantiles = one.quantiles();
		assert.equal(quantiles?.count, 250_000);
		assert.ok(Math.abs((quantiles?.p50Ns ?? 0) - 50_000) < 2000);
		assert.ok(Math.abs((quantiles?.p99Ns ?? 0) - 900_000) < 30_000);
	});

	it("says nothing without a sample", () => {
		assert.equal(new RttSketch().quantiles(), null);
	});
});
