import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { allocateSightings, COLUMNS } from "../../src/packet/columns.js";
import type { Sightings } from "../../src/packet/sightings.js";
import { decodeRows, encodeRows, MAX_ROWS } from "../../src/recording/rows.js";

type Column = (typeof COLUMNS)[number];

function rowsOf(count: number, columns: Partial<Record<Column, readonly number[]>>): Sightings {
	const rows = allocateSightings(count);
	for (const [name, values] of Object.entries(columns)) rows[name as Column].set(values);
	rows.count = count;
	return rows;
}

function again(rows: Sightings): Sightings {
	return decodeRows(encodeRows(7, rows, {})).rows;
}

describe("the columns of a recording", () => {
	it("hold any value of their element, near each other or far apart", () => {
		const near = fc
			.tuple(fc.nat({ max: 2 ** 32 - 1 - 70000 }), fc.array(fc.nat({ max: 70000 })))
			.map(([base, offsets]) => offsets.map((offset) => base + offset));
		const values = fc.oneof(near, fc.array(fc.nat({ max: 2 ** 32 - 1 })), fc.array(fc.constant(0xffffffff)));
		fc.assert(
			fc.property(values, (list) => {
				const rows = rowsOf(list.length, {});
				for (const name of COLUMNS) rows[name].set(list); // modulo the element
				const after = again(rows);
				for (const name of COLUMNS) assert.deepEqual(after[name], rows[name], name);
			}),
		);
	});

	it("hold times exactly: negative, days apart, with fractions", () => {
		for (const times of [
			[-5, 0, 5],
			[0, 2 ** 32 - 1],
			[0, 2 ** 32],
			[0, 2 ** 53 - 1],
			[0.5, 1],
			[1e300, -1e300],
		]) {
			assert.deepEqual([...again(rowsOf(times.length, { time: times })).time], times);
		}
	});

	it("take no byte for what is equal in all rows, and one for what is near", () => {
		const zeros = encodeRows(0, rowsOf(1000, {}), {}).length;
		assert.equal(zeros, 8);
		const equal = encodeRows(0, rowsOf(1000, { ttl: Array(1000).fill(63) }), {}).length;
		assert.equal(equal - zeros, 16);
		const near = encodeRows(
			0,
			rowsOf(1000, { sequence: Array.from({ length: 1000 }, (_, i) => 4e9 + (i % 256)) }),
			{},
		).length;
		assert.equal(near - zeros, 16 + 1000);
	});

	it("are laid out as FORMAT.md says", () => {
		const rows = rowsOf(3, { time: [1000, 1002, 1001], ttl: [64, 64, 64] });
		assert.deepEqual(
			[...encodeRows(7, rows, {})],
			[
				...[3, 0, 0, 0], // u32 rows
				...[7, 0], // u16 source
				...[2, 0], // u16 columns
				...[1, 1, 0, 0], // u8 column: time, u8 width: 1, u16 0
				...[40, 0, 0, 0], // u32 offset of the values
				...[0, 0, 0, 0, 0, 0x40, 0x8f, 0x40], // f64 base: 1000
				...[21, 0, 0, 0], // u8 column: ttl, u8 width: 0, u16 0
				...[48, 0, 0, 0], // u32 offset, of nothing
				...[0, 0, 0, 0, 0, 0, 0x50, 0x40], // f64 base: 64
				...[0, 2, 1, 0, 0, 0, 0, 0], // time: + 0, + 2, + 1, and up to a multiple of 8
			],
		);
	});

	it("are refused when they contradict themselves", () => {
		const good = encodeRows(0, rowsOf(100, { hash: Array.from({ length: 100 }, (_, i) => i * 1e6) }), {});
		const changed = (at: number, value: number) => {
			const bytes = good.slice();
			new DataView(bytes.buffer).setUint32(at, value, true);
			return bytes;
		};
		decodeRows(good);
		assert.throws(() => decodeRows(good.slice(0, 6)), RangeError, "no head");
		assert.throws(() => decodeRows(good.slice(0, 20)), RangeError, "no directory");
		assert.throws(() => decodeRows(good.slice(0, 100)), RangeError, "no values");
		assert.throws(() => decodeRows(changed(0, 101)), RangeError, "more rows than values");
		assert.throws(() => decodeRows(changed(0, MAX_ROWS + 1)), RangeError, "more rows than a batch can have");
		assert.throws(() => decodeRows(changed(8, 14 | (3 << 8))), RangeError, "3 bytes wide");
		assert.throws(() => decodeRows(changed(12, 26)), RangeError, "values that are not aligned");
	});
});
