import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Thinning } from "../../src/collector/thin.js";
import { TcpFlag } from "../../src/packet/sightings.js";

test("what a person can follow is shown whole", () => {
	const thinning = new Thinning();
	for (let second = 0; second < 5; second++) {
		for (let packet = 0; packet < 14; packet++) assert.equal(thinning.offer("delivered", TcpFlag.ack, 50_000), true);
		assert.deepEqual(thinning.take(), { alike: 0, latency: null, lost: 0, faultsHidden: 0 });
	}
});

test("a flood collapses to one row a second, faults and handshakes still show", () => {
	const thinning = new Thinning();
	flood(thinning, 5000);
	assert.equal(thinning.take().alike, 5000 - 14);
	assert.equal(flood(thinning, 5000), 1);
	for (const flag of [TcpFlag.syn, TcpFlag.fin, TcpFlag.rst])
		assert.equal(thinning.offer("delivered", flag, 50_000), true);
	assert.equal(thinning.offer("lost", 0, 0), true);
	assert.equal(thinning.offer("delivered", 0, 5_000_000), true, "an outlier");
	assert.deepEqual({ ...thinning.take(), latency: null }, { alike: 4999, latency: null, lost: 1, faultsHidden: 0 });
});

test("when the flood is over every packet shows again", () => {
	const thinning = new Thinning();
	flood(thinning, 5000);
	thinning.take();
	assert.equal(flood(thinning, 1), 1);
	thinning.take();
	assert.equal(flood(thinning, 10), 10);
});

test("never more than 20 rows a second, and each path is a row or counted, whatever comes", () => {
	const verdict = fc.constantFrom("delivered", "forwarded", "dropped", "lost", "incomplete");
	const path = fc.tuple(verdict, fc.constantFrom(0, TcpFlag.syn, TcpFlag.ack), fc.integer({ min: -1000, max: 1e9 }));
	fc.assert(
		fc.property(fc.array(fc.array(path, { maxLength: 60 }), { maxLength: 5 }), (seconds) => {
			const thinning = new Thinning();
			for (const paths of seconds) {
				const rows = paths.filter(([verdict, flags, latencyNs]) => thinning.offer(verdict, flags, latencyNs)).length;
				const { alike, faultsHidden, latency, lost } = thinning.take();
				assert.ok(rows <= 20);
				assert.equal(rows + alike + faultsHidden, paths.length);
				assert.equal(latency === null, alike === 0);
				assert.equal(lost, paths.filter(([verdict]) => verdict === "lost" || verdict === "dropped").length);
			}
		}),
	);
});

test("a storm of ordinary packets leaves room for faults in the same second", () => {
	const thinning = new Thinning();
	flood(thinning, 1000);
	assert.equal(
		[..."123456"].every(() => thinning.offer("lost", 0, 0)),
		true,
	);
	assert.equal(thinning.offer("lost", 0, 0), false);
	assert.equal(thinning.take().faultsHidden, 1);
});

test("quantiles of what was hidden are within 2.3 %, the maximum exact", () => {
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 1, maxLength: 300 }), (latencies) => {
			const thinning = new Thinning();
			flood(thinning, 20);
			thinning.take();
			thinning.offer("delivered", 0, 1);
			for (let row = 0; row < 20; row++) thinning.offer("lost", 0, 0);
			for (const latency of latencies) assert.equal(thinning.offer("delivered", 0, latency), false);
			const { latency } = thinning.take();
			const sorted = [...latencies].sort((left, right) => left - right);
			const rank = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] as number;
			assert.equal(latency?.maxNs, sorted.at(-1));
			assertNear(latency?.p50Ns, rank(0.5));
			assertNear(latency?.p99Ns, rank(0.99));
		}),
	);
});

function assertNear(found: number | undefined, right: number): void {
	assert.ok(found !== undefined && Math.abs(found - right) <= right * 0.023 + 1, `${found} is not near ${right}`);
}

/** Ordinary packets; how many got a row. */
function flood(thinning: Thinning, packets: number): number {
	let rows = 0;
	for (let packet = 0; packet < packets; packet++) if (thinning.offer("delivered", TcpFlag.ack, 50_000)) rows++;
	return rows;
}
