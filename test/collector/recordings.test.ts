import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { requestOf } from "../../src/cli/trace.js";
import { startReplay } from "../../src/collector/replay.js";
import type { Path } from "../../src/path/path.js";
import { jsonLine } from "../../src/render/json.js";

/**
 * What real nodes did, kept: retransmissions, duplicates, fragments, identical datagrams, flooded frames. The paths are
 * those that the live trace told, when the end-to-end test of that name found them right. After a change that makes
 * them better: `WEFT_RECORDINGS=test/collector/recordings node --test dist/test/lab/NAME.test.js` makes them anew.
 */
const FOLDER = fileURLToPath(new URL("../../../test/collector/recordings/", import.meta.url));

describe("recordings of hard cases", () => {
	const files = readdirSync(FOLDER).filter((file) => file.endsWith(".weft"));

	test("are there", () => {
		assert.ok(files.length >= 12, `${files.length} recordings`);
	});

	for (const file of files) {
		test(`${file} gives the paths that it gave live`, async () => {
			const options = {
				namespace: "default",
				agent: [],
				sample: 1,
				all: true,
				time: "absolute",
				output: "json",
			} as const;
			const request = requestOf([], { ...options, read: `${FOLDER}${file}` });
			const told: string[] = [];
			const warnings: string[] = [];
			await startReplay(
				request,
				{
					ready() {},
					path: (path: Path) => told.push(jsonLine(path)),
					status() {},
					hook() {},
					warning: (line) => warnings.push(line),
					summary() {},
				},
				new AbortController().signal,
			);
			assert.deepEqual(warnings, []);
			assert.deepEqual(
				told,
				readFileSync(`${FOLDER}${file.replace(".weft", ".json")}`, "utf8")
					.trim()
					.split("\n"),
			);
		});
	}
});
