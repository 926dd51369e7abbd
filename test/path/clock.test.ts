import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ClockNetwork } from "../../src/path/clock.js";

/** Deterministic, in [0, 1). */
function random(seed: number): () => number {
	let state = seed | 0;
	return () => {
		state = (Math.imul(state, 1664525) + 1013904223) | 0;
		return (state >>> 8) / 2 ** 24;
	};
}

interface World {
	readonly seed: number;
	/** ns at the beginning; parts in a million. */
	readonly offset: number;
	readonly drift: number;
	/** Slow change of the pace, ppm up and down within two minutes. */
	readonly wander: number;
	/** Packets a second, each way. */
	readonly rate: number;
}

/** Runs 60 s; returns how often the truth was outside the bound, of how many, and the last error. */
function live({ seed, offset, drift, wander, rate }: World) {
	const next = random(seed);
	const clocks = new ClockNetwork<string>("here");
	// The remote clock at a time of the reference.
	const remote = (now: number) =>
		now - offset - drift * 1e-6 * now - wander * 1e-6 * 19.1e9 * (1 - Math.cos(now / 19.1e9));
	let outside = 0;
	let samples = 0;
	let nextAsk = 0;
	for (let now = 0; now < 60e9; now += (next() * 2e9) / rate) {
		if (now >= nextAsk) {
			const [there, back] = [20_000 + next() * next() * 2e6, 20_000 + next() * next() * 2e6];
			clocks.asked("remote", now, remote(now + there), now + there + back);
			nextAsk = now + 1e9;
		}
		const delay = 8_000 + next() ** 4 * 500_000;
		if (next() < 0.5) clocks.crossed("here", "remote", now, remote(now + delay));
		else clocks.crossed("remote", "here", remote(now), now + delay);
		const at = now + 1e6;
		const { offsetNs, errorNs } = clocks.estimate("remote", remote(at));
		samples++;
		if (Math.abs(at - remote(at) - offsetNs) > errorNs) outside++;
	}
	return { outside, samples, error: clocks.estimate("remote", remote(60e9)).errorNs };
}

test("law: the true offset lies inside the bound in 99.9 % of the samples, drift and wander included", () => {
	fc.assert(
		fc.property(
			fc.record({
				seed: fc.nat(),
				offset: fc.integer({ min: -1e9, max: 1e9 }),
				drift: fc.integer({ min: -200, max: 200 }),
				wander: fc.double({ min: 0, max: 1, noNaN: true }),
				rate: fc.constantFrom(5, 50, 500),
			}),
			(world) => {
				const { outside, samples } = live(world);
				assert.ok(outside <= samples / 1000, `${outside} of ${samples} outside`);
			},
		),
		{ numRuns: 60 },
	);
});

test("traffic both ways makes the bound as tight as the wire is short, and follows a drift of 100 ppm", () => {
	const { error, outside } = live({ seed: 1, offset: 3e8, drift: 100, wander: 0, rate: 500 });
	assert.equal(outside, 0);
	assert.ok(error < 20_000, `${error} ns`);
});

test("a clock that is set is found again", () => {
	const clocks = new ClockNetwork<string>("here");
	for (let now = 0; now < 10e9; now += 1e8) clocks.asked("remote", now, now + 5e6 + 50_000, now + 100_000);
	assert.ok(Math.abs(clocks.estimate("remote", 10e9).offsetNs + 5e6) <= 50_000);
	for (let now = 10e9; now < 20e9; now += 1e8) clocks.asked("remote", now, now - 7e6 + 50_000, now + 100_000);
	const { offsetNs, errorNs } = clocks.estimate("remote", 20e9);
	assert.ok(Math.abs(offsetNs - 7e6) <= errorNs && errorNs < 200_000);
});

test("two remote clocks are held together by what passes between them", () => {
	const clocks = new ClockNetwork<string>("here");
	const [a, b] = [1e6, -2e6];
	for (let now = 0; now < 5e9; now += 1e7) {
		if (now % 1e9 === 0) {
			clocks.asked("a", now, now - a + 200_000, now + 400_000);
			clocks.asked("b", now, now - b + 250_000, now + 500_000);
		}
		clocks.crossed("a", "b", now - a, now + 10_000 - b);
		clocks.crossed("b", "a", now - b, now + 10_000 - a);
	}
	const [ofA, ofB] = [clocks.estimate("a", 5e9), clocks.estimate("b", 5e9)];
	assert.ok(Math.abs(ofA.offsetNs - a) <= ofA.errorNs);
	assert.ok(Math.abs(ofB.offsetNs - b) <= ofB.errorNs);
	assert.ok(Math.abs(ofB.offsetNs - ofA.offsetNs - (b - a)) < 50_000);
});

test("before anything is known the error is infinite; the reference is exact", () => {
	const clocks = new ClockNetwork<string>("here");
	assert.equal(clocks.estimate("remote", 5).errorNs, Number.POSITIVE_INFINITY);
	assert.deepEqual(clocks.estimate("here", 5), { offsetNs: 0, errorNs: 0 });
});
