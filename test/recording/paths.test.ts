import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Traffic } from "../../bench/recording.js";
import { copyRow } from "../../src/packet/columns.js";
import { fanOut } from "../../src/packet/fanout.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import type { Expectation } from "../../src/path/expectation.js";
import { Joiner } from "../../src/path/joiner.js";
import { materialise } from "../../src/path/materialise.js";
import type { PathView } from "../../src/path/path-view.js";
import { replay } from "../../src/recording/reader.js";
import { RecordingWriter } from "../../src/recording/writer.js";
import { Kept, type Tables, tables } from "./calls.js";

const HEADER = { weft: "0.1.0", createdAt: "2026-11-22T12:00:00Z", details: null };

/** A Joiner that writes the JSON of every path and revision it finds. */
function joining(of: Tables, expectation: Expectation): { readonly joiner: Joiner; readonly json: string[] } {
	const json: string[] = [];
	const say = (view: PathView): void => {
		const path = materialise(view.toPath(), {
			idPrefix: "t",
			wallClockBase: 1_795_348_800_000_000_000n,
			hook: (id) => joiner.hookOf(id),
		});
		json.push(JSON.stringify(path));
	};
	const joiner = new Joiner({ ...of, expectation }, { path: say, revise: say });
	return { joiner, json };
}

/** Loses the rows whose number `victim` names, and says so. */
function losing(sink: SourceSink, victim: (n: number) => boolean): SourceSink {
	let n = 0;
	return {
		...fanOut([], sink),
		batch(source: SourceId, rows: Sightings) {
			let kept = 0;
			let lost = 0;
			for (let i = 0; i < rows.count; i++) {
				if (victim(n++)) lost++;
				else copyRow(rows, i, rows, kept++);
			}
			rows.count = kept;
			sink.batch(source, rows);
			sink.lost(source, "ringFull", lost);
		},
	};
}

describe("a recording's paths", () => {
	for (const [name, victim] of [
		["whole traffic", () => false],
		["with every 97th sighting lost", (n: number) => n % 97 === 0],
	] as const) {
		it(`are the same after a replay, byte for byte: ${name}`, async () => {
			const traffic = new Traffic({ flows: 300, sightings: 30_000, batchRows: 500 });
			const live = joining(traffic, traffic.expectation);
			const out = new Kept();
			const writer = new RecordingWriter(out, traffic, HEADER, { deflate: true });
			traffic.run(losing(fanOut([writer], live.joiner), victim));
			live.joiner.flush();
			await writer.finish();

			// Elsewhere: other tables, in which other tuples came first.
			const into = tables();
			into.tuples.intern({
				family: 1,
				protocol: 17,
				source: "1.1.1.1",
				destination: "2.2.2.2",
				sourcePort: 1,
				destinationPort: 2,
			});
			const later = joining(into, traffic.expectation);
			const { truncated } = await replay([out.bytes], later.joiner, into);
			later.joiner.flush();
			assert.equal(truncated, null);
			assert.ok(live.json.length > 2000, `${live.json.length} paths`);
			if (name === "whole traffic") assert.ok(live.json.every((path) => path.includes('"verdict":"delivered"')));
			else assert.ok(live.json.some((path) => !path.includes('"verdict":"delivered"')));
			assert.deepEqual(later.json, live.json);
		});
	}
});
