import assert from "node:assert/strict";
import { test } from "node:test";
import { TableUpkeep } from "../../src/collector/table-upkeep.js";
import { OuterTable } from "../../src/packet/outers.js";
import { Family } from "../../src/packet/sightings.js";
import { TupleTable } from "../../src/packet/tuples.js";

const SECOND = 1e9;

function tuple(port: number) {
	const ends = { source: "10.0.0.1", destination: "10.0.0.2", destinationPort: 80 };
	return { family: Family.ipv4, protocol: 6, sourcePort: port, ...ends };
}

test("a crowded table gets room back once nobody can hold what was not met for seconds", () => {
	const tuples = new TupleTable(64);
	const forgotten: number[] = [];
	const upkeep = new TableUpkeep(tuples, new OuterTable(), (id) => forgotten.push(id));
	const ids = Array.from({ length: 60 }, (_, port) => tuples.intern(tuple(port)));
	assert.ok(tuples.crowded, "precondition");
	upkeep.tick(10 * SECOND);
	const met = tuples.intern(tuple(7));
	upkeep.tick(12 * SECOND);
	assert.equal(forgotten.length, 0, "a path may still be open");
	upkeep.tick(19 * SECOND);
	assert.equal(forgotten.length, 59);
	assert.equal(forgotten.indexOf(met), -1, "what was met meanwhile keeps its id");
	assert.equal(tuples.intern(tuple(7)), ids[7]);
	assert.ok(!tuples.crowded);
});

test("a table with room is left alone", () => {
	const tuples = new TupleTable(64);
	const upkeep = new TableUpkeep(tuples, new OuterTable(), () => assert.fail("nothing is forgotten"));
	tuples.intern(tuple(1));
	for (let second = 0; second < 60; second++) upkeep.tick(second * SECOND);
	assert.equal(tuples.used, 1);
});
