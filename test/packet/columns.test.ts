import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import {
	allocateSightings,
	appendRows,
	COLUMNS,
	capacityOf,
	copyRow,
	ROW_BYTES,
	sightingBuffers,
	sightingsOver,
} from "../../src/packet/columns.js";
import type { Sightings } from "../../src/packet/sightings.js";

/** A different value in every cell that its column can hold. */
function filled(rows: number): Sightings {
	const sightings = allocateSightings(rows);
	COLUMNS.forEach((name, c) => {
		for (let i = 0; i < rows; i++) sightings[name][i] = (c * rows + i) % 251;
	});
	sightings.count = rows;
	return sightings;
}

function cells(sightings: Sightings): number[][] {
	return COLUMNS.map((name) => [...sightings[name].subarray(0, sightings.count)]);
}

describe("a batch of sightings", () => {
	it("lies in one buffer, every column for itself, whatever the capacity", () => {
		for (const capacity of [0, 1, 2, 3, 7, 1000]) {
			const rows = filled(capacity);
			assert.equal(sightingBuffers(rows).length, 1);
			assert.equal(capacityOf(rows), capacity);
			COLUMNS.forEach((name, c) => {
				assert.equal(rows[name].buffer, sightingBuffers(rows)[0]);
				for (let i = 0; i < capacity; i++) assert.equal(rows[name][i], (c * capacity + i) % 251, name);
			});
		}
	});

	it("names every field of the type", () => {
		const { count: _, ...columns } = allocateSightings(1);
		assert.deepEqual(Object.keys(columns).sort(), [...COLUMNS].sort());
		assert.equal(
			ROW_BYTES,
			Object.values(columns).reduce((sum, column) => sum + column.BYTES_PER_ELEMENT, 0),
		);
	});

	it("is the same on the other side of a transfer", () => {
		const rows = filled(33);
		const before = cells(rows);
		const { port1, port2 } = new MessageChannel();
		const [buffer] = sightingBuffers(rows);
		port1.postMessage({ buffer, count: rows.count }, sightingBuffers(rows));
		assert.equal(buffer?.byteLength, 0, "transferred, not copied");
		const { message } = receiveMessageOnPort(port2) as { message: { buffer: ArrayBuffer; count: number } };
		assert.deepEqual(cells(sightingsOver(message.buffer, message.count)), before);
		port1.close();
	});

	it("refuses a buffer that is none", () => {
		assert.throws(() => sightingsOver(new ArrayBuffer(5), 0), RangeError);
		assert.throws(() => sightingsOver(new ArrayBuffer(80), 2), RangeError);
		assert.throws(() => sightingsOver(new ArrayBuffer(88), 1), RangeError);
	});

	it("copies a row whole", () => {
		const from = filled(5);
		const to = allocateSightings(3);
		copyRow(from, 4, to, 1);
		for (const name of COLUMNS) assert.deepEqual([...to[name]], [0, from[name][4], 0], name);
	});

	it("appends rows, and refuses more than it can hold", () => {
		const from = filled(5);
		const to = allocateSightings(4);
		appendRows(from, 1, 3, to);
		appendRows(from, 4, 5, to);
		assert.equal(to.count, 3);
		for (const name of COLUMNS)
			assert.deepEqual([...to[name].subarray(0, 3)], [from[name][1], from[name][2], from[name][4]]);
		assert.throws(() => appendRows(from, 0, 2, to), RangeError);
	});
});
