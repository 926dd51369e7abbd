import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCarrierTable } from "../../src/path/carrier-table.js";
import { makePointerIndex } from "../../src/path/pointer-index.js";

/** More than there are buckets and records for at first. */
const POINTERS = 100_000;

test("every pointer has its carrier, however many there are, and none when it was removed", () => {
	const carriers = makeCarrierTable(2 ** 8);
	const pointers = makePointerIndex(carriers);
	const ids = new Map<number, number>();
	const low = (n: number) => Math.imul(n, 0x9e3779b1) >>> 0;
	for (let n = 1; n <= POINTERS; n++) {
		ids.set(n, pointers.add(n & 1, low(n), n >>> 3));
		// Some make room for others on the way.
		if (n % 5 === 0) {
			pointers.remove(ids.get(n - 2) as number);
			ids.delete(n - 2);
		}
	}
	assert.equal(new Set(ids.values()).size, ids.size);
	for (let n = 1; n <= POINTERS; n++) {
		assert.equal(pointers.find(n & 1, low(n), n >>> 3), ids.get(n) ?? 0);
		assert.equal(pointers.find(2, low(n), n >>> 3), 0);
	}
});
