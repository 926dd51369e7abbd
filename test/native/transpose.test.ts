import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addon } from "../../src/kernel/addon.js";

/** Members of 1, 2, 4 and 8 bytes, which is a time, at odd places of a record; behind them a byte that nobody asked for. */
const RECORD = 16;
const MEMBERS = [
	[0, 1],
	[1, 2],
	[3, 4],
	[7, 8],
] as const;

/** The columns side by side, each with a cell more than there are rows. */
function movesFor(rows: number): {
	readonly moves: Uint32Array;
	readonly starts: readonly number[];
	readonly bytes: number;
} {
	const starts: number[] = [];
	let bytes = 0;
	for (const [, width] of MEMBERS) {
		starts.push(bytes);
		bytes += width * (rows + 1);
	}
	const moves = Uint32Array.from(MEMBERS.flatMap(([from, width], n) => [from, width, starts[n] as number]));
	return { moves, starts, bytes };
}

describe("transpose", () => {
	it("copies members of records into rows, whatever their number, and touches nothing else", () => {
		fc.assert(
			fc.property(fc.nat(150), fc.nat(3), fc.nat(3), fc.bigInt(0n, 2n ** 53n), (count, first, row, base) => {
				const records = Uint8Array.from({ length: (first + count) * RECORD }, (_, i) => (i * 167 + 13) & 0xff);
				const view = new DataView(records.buffer);
				const { moves, starts, bytes } = movesFor(row + count);
				const columns = new Uint8Array(bytes).fill(0xee);
				addon().transpose(records.buffer, RECORD, first, count, columns.buffer, moves, row, base);
				const cells = new DataView(columns.buffer);
				MEMBERS.forEach(([from, width], n) => {
					const start = starts[n] as number;
					for (let i = 0; i < count; i++) {
						const member = (first + i) * RECORD + from;
						const cell = start + (row + i) * width;
						if (width === 8) {
							const since = BigInt.asIntN(64, view.getBigUint64(member, true) - base);
							assert.equal(cells.getFloat64(cell, true), Number(since));
						} else {
							assert.deepEqual(columns.subarray(cell, cell + width), records.subarray(member, member + width));
						}
					}
					const before = columns.subarray(start, start + row * width);
					const behind = columns.subarray(start + (row + count) * width, start + (row + count + 1) * width);
					assert.ok([...before, ...behind].every((byte) => byte === 0xee));
				});
			}),
		);
	});

	const whole = { records: 4, first: 0, count: 4, bytes: 64, moves: [0, 8, 0], row: 0 };
	for (const [what, changed] of [
		["records that are not there", { first: 1 }],
		["more records than a number holds", { first: 2 ** 32 - 1 }],
		["a member behind the end of a record", { moves: [9, 8, 0] }],
		["a member of three bytes", { moves: [0, 3, 0] }],
		["rows behind the end of a column", { row: 5 }],
		["a column behind the end of its buffer", { moves: [0, 8, 2 ** 32 - 8] }],
		["one member of several that is wrong", { moves: [0, 8, 0, 0, 4, 60] }],
	] as const) {
		it(`refuses ${what}, and writes nothing`, () => {
			const { records, first, count, bytes, moves, row } = { ...whole, ...changed };
			const columns = new Uint8Array(bytes).fill(0xee);
			assert.throws(
				() =>
					addon().transpose(
						new ArrayBuffer(records * RECORD),
						RECORD,
						first,
						count,
						columns.buffer,
						Uint32Array.from(moves),
						row,
						0n,
					),
				RangeError,
			);
			assert.ok(columns.every((byte) => byte === 0xee));
		});
	}

	it("refuses what is no buffer, no list of members, no base", () => {
		const buffer = new ArrayBuffer(64);
		const moves = Uint32Array.of(0, 8, 0);
		const call = addon().transpose as (...values: readonly unknown[]) => void;
		assert.throws(() => call(moves, RECORD, 0, 1, buffer, moves, 0, 0n), TypeError);
		assert.throws(() => call(buffer, RECORD, 0, 1, null, moves, 0, 0n), TypeError);
		assert.throws(() => call(buffer, RECORD, 0, 1, buffer, [0, 8, 0], 0, 0n), TypeError);
		assert.throws(() => call(buffer, RECORD, 0, 1, buffer, moves, 0, 0), TypeError);
		assert.throws(() => call(buffer, RECORD, -1, 1, buffer, moves, 0, 0n), TypeError);
	});
});
