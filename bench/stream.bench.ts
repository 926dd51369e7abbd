/** What a sighting costs on its way to another machine: into messages of StreamSightings, and out of them. */
import { OuterTable } from "../src/packet/outers.js";
import type { Sightings } from "../src/packet/sightings.js";
import type { SourceSink } from "../src/packet/source.js";
import { TupleTable } from "../src/packet/tuples.js";
import { BatchDecoder, readResponse } from "../src/rpc/batch-decoder.js";
import { BatchEncoder } from "../src/rpc/batch-encoder.js";
import { WireReader } from "../src/rpc/wire.js";
import { cpuNs } from "./cpu.js";
import { Traffic } from "./recording.js";
import { median, spread } from "./rounds.js";
import { row, title } from "./table.js";

const SIGHTINGS = 400_000;
const ROUNDS = 9;

const traffic = new Traffic({ sightings: SIGHTINGS });
const batches: Sightings[] = [];
const nothing = () => {};
const keeping: SourceSink = {
	hook: nothing,
	unhook: nothing,
	batch: (_, rows) => {
		batches.push(rows);
	},
	lost: nothing,
	watermark: nothing,
	clock: nothing,
	end: nothing,
};
traffic.run(keeping);
const sightings = batches.reduce((sum, { count }) => sum + count, 0);
const every = Uint32Array.from({ length: 4096 }, (_, i) => i);

const encoder = new BatchEncoder({
	node: "node-a",
	tuples: traffic.tuples,
	outers: traffic.outers,
	hook: (id) => {
		const hook = traffic.hooks[id];
		if (hook === undefined) throw new RangeError(`no hook ${id}`);
		return hook;
	},
	wall: (timeNs) => BigInt(Math.round(timeNs)),
	scale: 1,
});
const decoder = new BatchDecoder({
	tuples: new TupleTable(),
	outers: new OuterTable(),
	hook: () => 0,
	line: (wallNs) => ({ timeNs: Number(wallNs), rate: 1 }),
});

const out: number[] = [];
const back: number[] = [];
let bytes = 0;
for (let round = 0; round < ROUNDS; round++) {
	const begun = cpuNs();
	let sequence = 0;
	const messages = batches.flatMap((rows) => {
		const made = encoder.encode(rows, every, rows.count, sequence, { watermarkNs: 0, losses: {} });
		sequence += rows.count;
		return made;
	});
	const encoded = cpuNs();
	for (const message of messages) {
		readResponse(new WireReader(message), {
			batch: (reader) => decoder.release(decoder.decode(reader).rows),
			progress: nothing,
			other: nothing,
		});
	}
	back.push((cpuNs() - encoded) / sightings);
	out.push((encoded - begun) / sightings);
	bytes = messages.reduce((sum, message) => sum + message.length, 0);
}
title(
	`Sightings in messages of StreamSightings, ${ROUNDS} rounds of ${sightings}, 10,000 flows, CPU time, median (min–max)`,
);
row("encoded", spread(out), "ns each");
row("decoded", spread(back), "ns each");
row(
	"both, and on the wire",
	`${(median(out) + median(back)).toFixed(0)} ns, ${(bytes / sightings).toFixed(1)} bytes`,
	"each",
);
