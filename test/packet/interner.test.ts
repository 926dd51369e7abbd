import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Interner } from "../../src/packet/interner.js";

const CAPACITY = 8;

/** What an owner may do. Keys are few, so that they come again; more than there is room for, so that it gets full. */
type Step =
	| { readonly do: "intern"; readonly key: number }
	| { readonly do: "keep"; readonly key: number }
	| { readonly do: "tick" }
	| { readonly do: "retire"; readonly back: number };

const key = fc.nat({ max: 14 });
const step: fc.Arbitrary<Step> = fc.oneof(
	{ weight: 6, arbitrary: fc.record({ do: fc.constant("intern" as const), key }) },
	fc.record({ do: fc.constant("keep" as const), key }),
	fc.record({ do: fc.constant("tick" as const) }),
	fc.record({ do: fc.constant("retire" as const), back: fc.integer({ min: -1, max: 3 }) }),
);

/** A key: two addresses and two words, in which the one number shows in different places. */
function wordsOf(key: number): Uint32Array {
	return Uint32Array.of(0xffffffff - key, 0, 0, key << 24, 1, 2, 3, 4, key % 3, key % 2);
}

function intern(interner: Interner, words: Uint32Array): number {
	return interner.intern(words, 0, words[8] as number, words[9] as number);
}

describe("Interner", () => {
	it("keeps the law of ids under any sequence of steps (model: a map from key to id and epoch)", () => {
		fc.assert(
			fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
				const interner = new Interner(2, CAPACITY);
				const model = new Map<number, { id: number; touched: number }>();
				let epoch = interner.epoch;
				for (const s of steps) {
					switch (s.do) {
						case "intern": {
							const id = intern(interner, wordsOf(s.key));
							const known = model.get(s.key);
							if (known !== undefined) assert.equal(id, known.id, "the same key, another id");
							else if (model.size === CAPACITY) assert.equal(id, 0, "an id without room");
							else {
								assert.ok(id >= 1 && id <= CAPACITY);
								assert.ok(![...model.values()].some((other) => other.id === id), "an id in use was handed out again");
							}
							if (id !== 0) model.set(s.key, { id, touched: epoch });
							break;
						}
						case "keep": {
							const known = model.get(s.key);
							if (known === undefined) break;
							interner.keep(known.id);
							known.touched = epoch;
							break;
						}
						case "tick":
							epoch = interner.tick();
							break;
						case "retire": {
							const before = epoch - s.back;
							const gone = [...model].filter(([, entry]) => entry.touched < before);
							const told: number[] = [];
							assert.equal(
								interner.retire(before, (id) => told.push(id)),
								gone.length,
							);
							assert.deepEqual(told.sort(), gone.map(([, entry]) => entry.id).sort());
							for (const [k] of gone) model.delete(k);
						}
					}
					assert.equal(interner.used, model.size);
					for (const [k, { id }] of model) {
						assert.ok(interner.has(id));
						assert.deepEqual(
							interner.entries.subarray(id * interner.stride, id * interner.stride + 10),
							wordsOf(k),
							"an id was reinterpreted",
						);
					}
				}
			}),
			{ numRuns: 500 },
		);
	});

	it("fills to the last id, then says so, and is full of room after a retire", () => {
		const interner = new Interner(1, 1024);
		const peer = (i: number) => interner.intern(Uint32Array.of(0, 0, 0, i << 16), 0, 1, 0);
		for (let i = 0; i < 1024; i++) assert.equal(peer(i), i + 1);
		assert.equal(interner.crowded, true);
		assert.equal(peer(1024), 0);
		assert.equal(peer(3), 4, "what is known stays known");
		interner.tick();
		interner.keep(4);
		assert.equal(interner.retire(interner.epoch), 1023);
		assert.equal(interner.crowded, false);
		assert.equal(peer(3), 4);
		assert.notEqual(peer(1024), 0);
	});

	it("refuses capacities that its masks cannot serve", () => {
		for (const capacity of [0, 3, 1000, 2 ** 25]) assert.throws(() => new Interner(1, capacity), RangeError);
	});
});
