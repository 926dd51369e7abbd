import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { jsonListener } from "../../src/cli/listeners.js";
import { LineOutput } from "../../src/cli/output.js";
import { pathOf, readyOf, sameNode, summaryOf } from "../render/paths.js";

/** A reader that takes nothing until it is told to. */
function stuck(): { readonly stream: Writable; readonly taken: string[]; release(): void } {
	const taken: string[] = [];
	let waiting: (() => void) | null = null;
	let free = false;
	const stream = new Writable({
		decodeStrings: false,
		write(chunk: string, _encoding, done) {
			taken.push(chunk);
			if (free) done();
			else waiting = done;
		},
	});
	return {
		stream,
		taken,
		release() {
			free = true;
			waiting?.();
		},
	};
}

test("a reader that does not read costs at most a megabyte; what it missed is counted", async () => {
	const { stream, taken, release } = stuck();
	const output = new LineOutput(stream, 1 << 20);
	const row = "x".repeat(99);
	for (let at = 0; at < 100_000; at++) output.row([row]);
	assert.ok(stream.writableLength <= (1 << 20) + 100, `${stream.writableLength} bytes wait`);
	output.always(["the end"]);
	const ended = new Promise((resolve) => stream.end(resolve));
	release();
	await ended;
	const text = taken.join("");
	assert.match(text, /the end\n$/);
	assert.equal(text.split("\n").length - 2 + output.dropped, 100_000);
});

test("rows that were left out of a JSON stream are part of its ledger", async () => {
	const { stream, taken, release } = stuck();
	const output = new LineOutput(stream, 1 << 20);
	const listener = jsonListener(output);
	listener.ready(readyOf());
	for (let at = 0; at < 5000; at++) listener.path(pathOf(sameNode));
	listener.summary(summaryOf());
	const ended = new Promise((resolve) => stream.end(resolve));
	release();
	await ended;
	const lines = taken.join("").trimEnd().split("\n");
	const last = JSON.parse(lines.at(-1) ?? "") as { readonly ledger: readonly unknown[] };
	const out = lines.length - 2;
	assert.ok(out < 5000);
	assert.deepEqual(last.ledger, [{ stage: "output (rows)", in: 5000, out, lost: { readerSlow: 5000 - out } }]);
});

test("whoever makes rows can wait for the reader", async () => {
	const { stream, release } = stuck();
	const output = new LineOutput(stream);
	const isReady = () => output.drained === null;
	assert.ok(isReady());
	while (isReady()) output.row(["x".repeat(99)]);
	let caughtUp = false;
	const waiting = output.drained?.then(() => {
		caughtUp = true;
	});
	await new Promise((resolve) => setImmediate(resolve));
	assert.equal(caughtUp, false);
	release();
	await waiting;
	assert.ok(caughtUp && isReady());
	assert.equal(output.dropped, 0);
});
