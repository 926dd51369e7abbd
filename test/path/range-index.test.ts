import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Family } from "../../src/packet/sightings.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { allocatePath, makePathTable, PathMore } from "../../src/path/path-table.js";
import { makeRangeIndex } from "../../src/path/range-index.js";
import { makeTupleFacts } from "../../src/path/tuple-facts.js";

const ROOTS = 3;

type Operation =
	| { readonly kind: "add"; readonly root: number; readonly start: number; readonly span: number }
	| { readonly kind: "remove"; readonly nth: number }
	| { readonly kind: "take"; readonly root: number }
	| { readonly kind: "merge"; readonly from: number; readonly to: number }
	| { readonly kind: "find"; readonly root: number; readonly start: number; readonly span: number };

/** Within half of the circle, around its seam: as far as sequence numbers can be compared. */
const start = fc.integer({ min: -40, max: 40 });
const span = fc.integer({ min: 1, max: 12 });
const root = fc.integer({ min: 1, max: ROOTS });
const operation: fc.Arbitrary<Operation> = fc.oneof(
	{ weight: 4, arbitrary: fc.record({ kind: fc.constant("add" as const), root, start, span }) },
	{ weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), nth: fc.nat(50) }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("take" as const), root }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("merge" as const), from: root, to: root }) },
	{ weight: 4, arbitrary: fc.record({ kind: fc.constant("find" as const), root, start, span }) },
);

test("law: whatever is added, taken out and moved, a direction has the ranges that a plain list of them has", () => {
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
			const tuples = new TupleTable(2 ** 8);
			for (let n = 0; n < ROOTS; n++) tuples.intern({ ...TUPLE, sourcePort: n + 1 });
			const paths = makePathTable(2 ** 6, 2 ** 10);
			const index = makeRangeIndex(paths, makeTupleFacts(tuples));
			let model: { path: number; root: number; start: number; span: number }[] = [];
			const sorted = (list: typeof model) => list.map(({ path }) => path).sort((a, b) => a - b);
			for (const each of operations) {
				switch (each.kind) {
					case "add": {
						const path = allocatePath(paths);
						paths.more[(path >> 1) | PathMore.rangeStart] = each.start >>> 0;
						paths.more[(path >> 1) | PathMore.rangeSpan] = each.span;
						index.add(each.root, path);
						model.push({ ...each, path });
						break;
					}
					case "remove": {
						const gone = model[each.nth % Math.max(1, model.length)];
						if (gone === undefined) break;
						index.remove(gone.root, gone.path);
						model = model.filter(({ path }) => path !== gone.path);
						break;
					}
					case "take":
						assert.deepEqual(
							index.take(each.root).sort((a, b) => a - b),
							sorted(model.filter((one) => one.root === each.root)),
						);
						model = model.filter((one) => one.root !== each.root);
						break;
					case "merge":
						if (each.from === each.to) break;
						index.merge(each.from, each.to);
						for (const one of model) if (one.root === each.from) one.root = each.to;
						break;
					case "find": {
						const count = index.overlapping(each.root, each.start >>> 0, each.span);
						const expected = model.filter(
							(one) =>
								one.root === each.root && one.start < each.start + each.span && each.start < one.start + one.span,
						);
						assert.deepEqual(
							Array.from(index.found.subarray(0, count)).sort((a, b) => a - b),
							sorted(expected),
						);
					}
				}
				for (let n = 1; n <= ROOTS; n++) {
					const held = model.filter((one) => one.root === n);
					assert.equal(index.count(n), held.length);
					const front = held.find(({ path }) => path === index.front(n));
					assert.equal(front?.start ?? null, held.length === 0 ? null : Math.min(...held.map((one) => one.start)));
				}
			}
		}),
		{ numRuns: 500, seed: 7 },
	);
});

const TUPLE = {
	family: Family.ipv4,
	protocol: 6,
	source: "10.244.1.2",
	destination: "10.244.1.3",
	destinationPort: 80,
} as const;
