import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Bulk, OFFLOADS, sendBulk } from "./bulk.js";
import { JOURNEYS } from "./journeys.js";
import { assertNoFalseJoin, hooksOf, run } from "./run.js";
import { type Leg, Simulator } from "./simulator.js";

const LEGS = JOURNEYS["ClusterIP, backend elsewhere"]?.(40_000) ?? [];
const REPLY = JOURNEYS["reply of a ClusterIP, backend elsewhere"]?.(40_000) ?? [];

function bulk(shapes: Bulk["shapes"], more: Partial<Bulk> = {}): Bulk {
	return {
		legs: LEGS,
		shapes,
		sizes: Array.from({ length: 40 }, (_, n) => (n % 5 === 4 ? 20_000 : 63_712)),
		mss: 1398,
		tsval: 5000,
		sequence: 0xfffffff0,
		ipId: 65_000,
		...more,
	};
}

for (const [setting, shapes] of Object.entries(OFFLOADS)) {
	test(`bulk over two nodes, ${setting}: one whole path an skb that was sent, every byte at every hop`, () => {
		const simulator = new Simulator();
		const work = bulk(shapes);
		sendBulk(simulator, work);
		const { paths, accounts } = run(simulator);
		assert.equal(paths.length, work.sizes.length);
		assert.equal(accounts.paths.delivered, work.sizes.length);
		assert.equal(assertNoFalseJoin(simulator, paths), 0);
		paths.forEach((path, n) => {
			assert.deepEqual(hooksOf(simulator, path), LEGS.map(nameOf));
			assert.equal(path.evidence, "exact");
			assert.equal(path.payload, work.sizes[n]);
			for (const [at, hop] of path.hops.entries()) {
				assert.equal(hop.packets, overlapping(work, shapes[at] ?? "sent", n, hop.packets));
			}
		});
	});
}

/** Segments of the nth skb; how GRO groups them is the simulator's affair, but never more than segments. */
function overlapping(work: Bulk, shape: string, n: number, seen: number): number {
	const segments = Math.ceil((work.sizes[n] ?? 0) / work.mss);
	if (shape === "sent") return 1;
	if (shape === "wire") return segments;
	return seen >= 1 && seen <= segments ? seen : -1;
}

function nameOf(leg: Leg): string {
	return `${leg.node}/${leg.hook}`;
}

test("a reply in bulk is un-NATed in merged skbs: the paths stay whole", () => {
	const simulator = new Simulator();
	sendBulk(simulator, bulk(OFFLOADS["no tunnel segmentation on eth0"] ?? [], { legs: REPLY }));
	const { paths } = run(simulator);
	assert.ok(paths.every((path) => path.verdict === "delivered" && path.hops.length === 8));
	assert.equal(assertNoFalseJoin(simulator, paths), 0);
});

test("law: whatever the sizes, the merging, the order of segments and the losses, no exact path holds foreign bytes", () => {
	fc.assert(
		fc.property(
			fc.record({
				sizes: fc.array(fc.integer({ min: 1, max: 65_000 }), { minLength: 1, maxLength: 12 }),
				setting: fc.constantFrom(...Object.keys(OFFLOADS)),
				merge: fc.integer({ min: 1, max: 45 }),
				sequence: fc.nat({ max: 0xffffffff }),
				ipId: fc.nat({ max: 0xffff }),
				lost: fc.uniqueArray(fc.nat({ max: 120 }), { maxLength: 4 }),
				swap: fc.nat({ max: 40 }),
				tsval: fc.option(fc.nat({ max: 1000 })),
			}),
			({ sizes, setting, merge, sequence, ipId, lost, swap, tsval }) => {
				const simulator = new Simulator();
				const shapes = OFFLOADS[setting] ?? [];
				const cutOnWire = shapes.includes("wire");
				const work = bulk(shapes, {
					sizes,
					merge,
					sequence,
					ipId,
					tsval,
					lost: new Set(cutOnWire ? lost : []),
					shuffle: (segments) => swapped(segments, swap),
				});
				sendBulk(simulator, work);
				simulator.now += 5e9;
				sendBulk(simulator, { ...work, sizes: [100], sequence: 5, tsval: 9999, lost: new Set() });
				const { paths, accounts } = run(simulator, { batchSize: 7 });
				assertNoFalseJoin(simulator, paths);
				const gone = new Set(work.lost);
				paths.slice(0, sizes.length).forEach((path, n) => {
					const segments = segmentsOf(sizes, n, work.mss);
					const touched = segments.some((segment) => gone.has(segment));
					assert.equal(path.verdict, touched ? "lost" : "delivered");
				});
				assert.equal(accounts.paths.incomplete, 0);
			},
		),
		{ numRuns: 300 },
	);
});

function segmentsOf(sizes: readonly number[], n: number, mss: number): number[] {
	const before = sizes.slice(0, n).reduce((sum, size) => sum + Math.ceil(size / mss), 0);
	return Array.from({ length: Math.ceil((sizes[n] ?? 0) / mss) }, (_, k) => before + k);
}

function swapped<T>(items: T[], at: number): T[] {
	const a = items[at];
	const b = items[at + 1];
	if (a === undefined || b === undefined) return items;
	return items.map((item, n) => (n === at ? b : n === at + 1 ? a : item));
}
