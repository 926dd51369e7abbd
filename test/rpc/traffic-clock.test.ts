import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TrafficClock } from "../../src/rpc/client/traffic-clock.js";

const wire = fc.nat(200_000).map((ns) => ns + 3_000);

test("packets both ways bound the offset, and the true one is inside while the clock drifts steadily", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: -50_000_000, max: 50_000_000 }),
			fc.integer({ min: -150, max: 150 }),
			fc.array(fc.tuple(wire, wire), { minLength: 2, maxLength: 150 }),
			(offset, ppm, packets) => {
				const theirs = (ns: number) => offset + ns * ppm * 1e-6;
				// node-b's rows are put on the line with an estimate that is off by some 7 ms.
				const wrong = offset + 7_000_000;
				const clock = new TrafficClock((node) => (node === "node-a" ? 0 : wrong));
				packets.forEach(([there, back], i) => {
					const left = i * 100e6;
					const reached = left + there;
					clock.crossed("node-a", left, "node-b", reached + theirs(reached) - wrong);
					const returned = reached + 50_000;
					clock.crossed("node-b", returned + theirs(returned) - wrong, "node-a", returned + back);
					const reading = clock.reading("node-b", returned + back);
					if (reading === null) return;
					const truth = theirs(returned + back);
					assert.ok(Math.abs(reading.offsetNs - truth) <= reading.errorNs + 3, `${reading.offsetNs} for ${truth}`);
					if (i > 100) assert.ok(reading.errorNs < 250_000, `±${reading.errorNs}`);
				});
				assert.equal(clock.reference, "node-a");
			},
		),
		{ numRuns: 200 },
	);
});

test("without traffic both ways nothing is claimed", () => {
	const clock = new TrafficClock(() => 0);
	for (let i = 0; i < 10; i++) clock.crossed("node-a", i * 1e6, "node-b", i * 1e6 + 10_000);
	assert.equal(clock.reference, null);
	assert.equal(clock.reading("node-b", 1e9), null);
});
