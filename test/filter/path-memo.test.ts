import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFilter } from "../../src/filter/grammar.js";
import type { PathFaces } from "../../src/filter/path.js";
import { PathMemo } from "../../src/filter/path-memo.js";

interface Hops {
	readonly hooks: readonly number[];
	readonly tuples: readonly number[];
}

function faces({ hooks, tuples }: Hops): PathFaces {
	const nothing = () => 0;
	return {
		hops: hooks.length,
		hook: (i: number) => hooks[i] as number,
		tuple: (i: number) => tuples[i] as number,
		tuples: { word: nothing, sourcePort: nothing, destinationPort: nothing, family: nothing, protocol: nothing },
		flags: nothing,
		length: nothing,
		tcpFlags: nothing,
		ttl: nothing,
		vlan: nothing,
		sequence: nothing,
		acknowledgement: nothing,
		window: nothing,
		ipId: nothing,
	};
}

/** Depends on every hook and tuple, so that an answer of another path would show. */
function verdictOf(path: PathFaces): boolean {
	let sum = path.hops;
	for (let i = 0; i < path.hops; i++) sum = (Math.imul(sum, 33) + path.hook(i) * 7 + path.tuple(i)) | 0;
	return (sum & 1) === 1;
}

const paths = fc.integer({ min: 0, max: 12 }).chain((count) =>
	fc.record({
		hooks: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: count, maxLength: count }),
		tuples: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: count, maxLength: count }),
	}),
);

test("a memo says what the test says, whatever it was asked before", () => {
	const memo = new PathMemo(verdictOf, parseFilter("tcp port 80"));
	fc.assert(
		fc.property(fc.array(paths, { maxLength: 60 }), (asked) => {
			for (const hops of asked) assert.equal(memo.test(faces(hops)), verdictOf(faces(hops)));
		}),
		{ numRuns: 1000 },
	);
});

test("a flow's packets are tested once, until ids are retired", () => {
	let calls = 0;
	const memo = new PathMemo(() => ++calls > 0, parseFilter(""));
	const path = faces({ hooks: [1, 2, 3, 4, 5, 6, 7, 8], tuples: [1, 2, 2, 2, 2, 2, 2, 2] });
	for (let i = 0; i < 10; i++) assert.equal(memo.test(path), true);
	assert.equal(calls, 1);
	memo.forget();
	memo.test(path);
	assert.equal(calls, 2);
});

test("what is said of single packets is asked for each", () => {
	for (const filter of ["greater 100", "tcp[13] & 2 != 0", "vlan", "port 80 and less 100", "not ip[8] < 5"]) {
		let calls = 0;
		const memo = new PathMemo(() => ++calls > 0, parseFilter(filter));
		const path = faces({ hooks: [1, 2], tuples: [1, 1] });
		memo.test(path);
		memo.test(path);
		assert.equal(calls, 2, filter);
	}
});
