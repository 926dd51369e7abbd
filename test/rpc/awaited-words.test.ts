import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JoinedPath } from "../../src/path/path-view.js";
import { AwaitedWords } from "../../src/rpc/client/awaited-words.js";

const path = (serial: number) => ({ serial }) as JoinedPath;
const WORDS = { reason: "the rule: -j DROP", remedy: "iptables -D FORWARD 1" };

describe("words on why a packet was dropped", () => {
	function heard(): { readonly awaited: AwaitedWords; readonly told: [number, string | null][] } {
		const told: [number, string | null][] = [];
		return { told, awaited: new AwaitedWords(({ serial }, words) => told.push([serial, words?.reason ?? null])) };
	}

	it("come after the path has closed, or before", () => {
		const { awaited, told } = heard();
		awaited.wait(1, path(10));
		assert.deepEqual(told, []);
		awaited.came(1, WORDS);
		awaited.came(2, WORDS);
		awaited.wait(2, path(20));
		assert.deepEqual(told, [
			[10, WORDS.reason],
			[20, WORDS.reason],
		]);
	});

	it("may be none, and then the path is told at once with those it has", () => {
		const { awaited, told } = heard();
		awaited.came(1, null);
		awaited.wait(1, path(10));
		awaited.wait(2, path(20));
		awaited.came(2, null);
		assert.deepEqual(told, [
			[10, null],
			[20, null],
		]);
	});

	it("are not waited for when the trace ends, nor for ever", async () => {
		const { awaited, told } = heard();
		awaited.wait(1, path(10));
		awaited.end();
		awaited.came(1, WORDS);
		assert.deepEqual(told, [[10, null]]);
		awaited.wait(3, path(30));
		await new Promise((resolve) => setTimeout(resolve, 2000));
		assert.deepEqual(told, [
			[10, null],
			[30, null],
		]);
	});

	it("are kept for a bounded number of paths that have not closed yet", () => {
		const { awaited, told } = heard();
		for (let ticket = 0; ticket < 5000; ticket++) awaited.came(ticket, WORDS);
		awaited.wait(0, path(1));
		assert.deepEqual(told, []);
		awaited.wait(4999, path(2));
		assert.deepEqual(told, [[2, WORDS.reason]]);
	});
});
