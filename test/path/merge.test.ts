import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allocateSightings } from "../../src/packet/columns.js";
import type { Sightings } from "../../src/packet/sightings.js";
import { makeMerge, type RowReader, type TiedRow } from "../../src/path/merge.js";
import { makeWindow, PANE_ROWS } from "../../src/path/window.js";

/** What a row must keep on its way: who gave it, when it was on the joiner's line, and two columns of its own. */
interface Row {
	readonly source: number;
	readonly time: number;
	readonly serial: number;
	readonly ttl: number;
}

/** Batches of a lane: how many rows, how far each is from the one before, and how many more the batch had room for. */
interface Batch {
	readonly rows: number;
	readonly gap: number;
	readonly spare: number;
}

const batch: fc.Arbitrary<Batch> = fc.record({
	rows: fc.oneof(
		{ weight: 6, arbitrary: fc.integer({ min: 1, max: 40 }) },
		{ weight: 1, arbitrary: fc.constantFrom(PANE_ROWS - 1, PANE_ROWS, PANE_ROWS + 1, 3 * PANE_ROWS) },
	),
	gap: fc.constantFrom(0, 1, 3),
	spare: fc.constantFrom(0, 5, 2000),
});
const lanes = fc.array(fc.array(batch, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 24, size: "max" });
/** When which lane gets its next batch, and whether all that may be read is read then. */
const turns = fc.array(fc.record({ lane: fc.nat(23), reads: fc.boolean() }), { maxLength: 60, size: "max" });

test("law: rows come in the order of their time, those of one time by what is in them, however they were given", () => {
	fc.assert(
		fc.property(lanes, turns, (given, order) => {
			const read: Row[] = [];
			const released: Sightings[] = [];
			const window = makeWindow();
			let source = -1;
			const reader: RowReader = {
				now: new Float64Array(1),
				begin: (of) => {
					source = of;
				},
				row: (i) => {
					const { skbLow, ttl } = window.rows;
					read.push({ source, time: reader.now[0] as number, serial: skbLow[i] as number, ttl: ttl[i] as number });
				},
				warm: (from, to) => assert.ok(from < to),
				compare: (a, b) => serialOf(a) - serialOf(b),
				done: (rows) => released.push(rows),
			};
			const merge = makeMerge(window, reader);
			const expected: Row[] = [];
			const batches = given.map((wanted, lane) => batchesOf(wanted, lane, expected));
			const made = batches.flat();
			// Lanes are opened when there is something for them: others have rows in the window by then.
			const numbers = new Map<number, number>();
			const push = (lane: number) => {
				const rows = batches[lane]?.shift();
				if (rows === undefined) return;
				const number = numbers.get(lane) ?? merge.open(lane);
				numbers.set(lane, number);
				merge.push(number, rows, lane);
			};
			for (const { lane, reads } of order) {
				push(lane % given.length);
				// Nothing before the next row of any lane is missing.
				if (reads) merge.drain(Math.min(...batches.map((rest, n) => (rest[0]?.time[0] ?? Infinity) + n)));
				assert.equal(merge.queued, queuedOf(merge));
			}
			for (let lane = 0; lane < batches.length; lane++) while ((batches[lane]?.length ?? 0) > 0) push(lane);
			merge.drain(Number.POSITIVE_INFINITY);
			expected.sort((a, b) => a.time - b.time || a.serial - b.serial);
			assert.deepEqual(read, expected);
			assert.equal(merge.queued, 0);
			assert.deepEqual(new Set(released), new Set(made));
			assert.equal(released.length, made.length);
		}),
		{ numRuns: 150, seed: 7 },
	);
});

function serialOf({ rows, i }: TiedRow): number {
	return rows.skbLow[i] as number;
}

function queuedOf(merge: ReturnType<typeof makeMerge>): number {
	let rows = 0;
	merge.forEachRow(() => rows++);
	return rows;
}

/** Of one lane, whose source's clock is `lane` ns before the joiner's line. Notes what is to be read. */
function batchesOf(wanted: readonly Batch[], lane: number, expected: Row[]): Sightings[] {
	let time = 1000;
	return wanted.map(({ rows: count, gap, spare }) => {
		const rows = allocateSightings(count + spare);
		for (; rows.count < count; rows.count++, time += gap) {
			const serial = expected.length;
			rows.time[rows.count] = time;
			rows.skbLow[rows.count] = serial;
			rows.ttl[rows.count] = serial & 0xff;
			expected.push({ source: lane, time: time + lane, serial, ttl: serial & 0xff });
		}
		return rows;
	});
}
