import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ClockEstimate } from "../../src/rpc/client/clock-estimate.js";
import { SlewedClock } from "../../src/rpc/client/slewed-clock.js";

/** A clock that is off and drifts, asked over a network with delays of its own each way. */
function simulate(offsetNs: number, driftPpm: number, delays: readonly (readonly [number, number])[], everyNs: number) {
	const estimate = new ClockEstimate();
	const theirs = (ours: number) => ours + offsetNs + ours * driftPpm * 1e-6;
	let inside = 0;
	let last = Number.POSITIVE_INFINITY;
	delays.forEach(([there, back], i) => {
		const sentNs = i * everyNs;
		const arrived = sentNs + there;
		const left = arrived + 1000;
		const receivedNs = left + back;
		estimate.add({ sentNs, receivedNs, theirsReceivedNs: theirs(arrived), theirsSentNs: theirs(left) });
		const reading = estimate.at(receivedNs);
		assert.ok(reading);
		const truth = theirs(receivedNs) - receivedNs;
		if (Math.abs(truth - reading.offsetNs) <= reading.errorNs + 1) inside++;
		last = reading.errorNs;
	});
	return { inside, last };
}

const delay = fc.tuple(fc.nat(3_000_000), fc.nat(3_000_000)).map(([a, b]) => [a + 20_000, b + 20_000] as const);

test("the true offset is inside the bound, always, while the clock drifts steadily", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: -1e12, max: 1e12 }),
			fc.integer({ min: -150, max: 150 }),
			fc.array(delay, { minLength: 1, maxLength: 200 }),
			(offset, drift, delays) => {
				const { inside } = simulate(offset, drift, delays, 400e6);
				assert.equal(inside, delays.length);
			},
		),
		{ numRuns: 200 },
	);
});

test("the bound narrows to the quickest exchanges", () => {
	const delays = Array.from({ length: 100 }, (_, i) =>
		i % 7 === 0 ? ([30_000, 30_000] as const) : ([900_000, 2e6] as const),
	);
	const { last } = simulate(5e9, 80, delays, 400e6);
	assert.ok(last < 120_000, `±${last} ns`);
});

test("a stepped clock is believed again", () => {
	const estimate = new ClockEstimate();
	const add = (at: number, offset: number) =>
		estimate.add({
			sentNs: at,
			receivedNs: at + 100_000,
			theirsReceivedNs: at + 50_000 + offset,
			theirsSentNs: at + 50_000 + offset,
		});
	for (let i = 0; i < 20; i++) add(i * 4e8, 1e9);
	for (let i = 20; i < 25; i++) add(i * 4e8, 3e9);
	const reading = estimate.at(24 * 4e8 + 100_000);
	assert.ok(reading && Math.abs(reading.offsetNs - 3e9) <= reading.errorNs);
});

test("what is learned is taken over without a step, and time never goes back", () => {
	fc.assert(
		fc.property(fc.array(fc.integer({ min: -500_000, max: 500_000 }), { minLength: 2, maxLength: 50 }), (offsets) => {
			const clock = new SlewedClock(0n);
			let before = Number.NEGATIVE_INFINITY;
			offsets.forEach((offsetNs, i) => {
				const nowNs = i * 100e6;
				clock.learn({ atNs: nowNs, offsetNs, rate: 0, errorNs: 10 });
				for (let step = 0; step < 10; step++) {
					const { timeNs, rate } = clock.line(BigInt(nowNs + step * 10e6 + 1_000_000));
					assert.ok(timeNs > before, `${timeNs} after ${before}`);
					assert.ok(Math.abs(rate - 1) <= 5.1e-3);
					if (before > 0) assert.ok(Math.abs(timeNs - before - 10e6) < 60_000 || step === 0);
					before = timeNs;
				}
			});
		}),
	);
});

test("what is learned is not overshot when the next reading is late", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: -5_000_000, max: 5_000_000 }),
			fc.integer({ min: 2, max: 20 }),
			(offsetNs, seconds) => {
				const clock = new SlewedClock(0n);
				clock.learn({ atNs: 0, offsetNs: 0, rate: 0, errorNs: 10 });
				clock.line(1n);
				clock.learn({ atNs: 1, offsetNs, rate: 0, errorNs: 10 });
				for (let second = 2; second <= seconds; second++) {
					const theirs = second * 1e9;
					const { timeNs } = clock.line(BigInt(theirs));
					assert.ok(Math.abs(theirs - timeNs - offsetNs) < 2, `${theirs - timeNs} for ${offsetNs}`);
					assert.ok(Math.abs(clock.offsetOnLine(timeNs) - offsetNs) < 2);
				}
			},
		),
	);
});
