import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { recordTo, replayFrom } from "../../src/recording/file.js";
import { RecordingError } from "../../src/recording/format.js";
import { HOOK, listing, rowsOf, SOURCE, tables } from "./calls.js";

const HEADER = { weft: "0.1.0", createdAt: "2026-11-22T12:00:00Z", details: null };

describe("a recording in a file", () => {
	let folder = "";
	before(() => {
		folder = mkdtempSync(join(tmpdir(), "weft-recording-"));
	});
	after(() => rmSync(folder, { recursive: true }));

	it("is its owner's alone, replaces what was there, and replays", async () => {
		const file = join(folder, "a.weft");
		writeFileSync(file, "something longer than nothing".repeat(1000), { mode: 0o600 });
		const live = tables();
		const writer = recordTo(file, live, HEADER);
		const { sink, calls } = listing(live);
		for (const each of [writer, sink]) {
			each.hook(SOURCE, HOOK);
			each.batch(SOURCE, rowsOf(live, 1000));
			each.end(SOURCE);
		}
		await writer.finish();
		assert.equal(statSync(file).mode & 0o777, 0o600);
		const into = tables();
		const replayed = listing(into);
		const { truncated } = await replayFrom(file, replayed.sink, into);
		assert.equal(truncated, null);
		assert.deepEqual(replayed.calls, calls);
	});

	it("says in one line why it cannot be read or written", async () => {
		const { sink } = listing(tables());
		const refused = (file: string, reason: RegExp) =>
			assert.rejects(replayFrom(file, sink, tables()), (error) => {
				assert.ok(error instanceof RecordingError);
				assert.match(error.message, reason);
				return !error.message.includes("\n");
			});
		await refused(join(folder, "none"), /none: no such file/);
		await refused(folder, /it is a directory/);
		const text = join(folder, "text");
		writeFileSync(text, "this is text, and long enough for a preamble");
		await refused(text, /text: this is not a recording/);
		assert.throws(
			() => recordTo(join(folder, "no", "where"), tables(), HEADER),
			/cannot write .*no such file or directory/,
		);
		assert.throws(() => recordTo(folder, tables(), HEADER), /it is a directory/);
	});
});
