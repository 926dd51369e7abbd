import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { coloursFor, wantsColour } from "../../src/render/text/colours.js";
import { Line } from "../../src/render/text/line.js";
import { tableLines } from "../../src/render/text/table.js";
import { bytes, duration, grouped, microseconds, plusMinus } from "../../src/render/text/units.js";
import { textWidth, truncate } from "../../src/render/text/width.js";

test("wide characters take two columns, combining marks none", () => {
	assert.equal(textWidth("veth"), 4);
	assert.equal(textWidth("→ ✓ ║ ±µ·"), 9);
	assert.equal(textWidth("漢字ｗ한"), 8);
	assert.equal(textWidth("🧵"), 2);
	assert.equal(textWidth("e\u0301"), 1);
});

test("a truncated text never takes more than it may, and says that it was cut", () => {
	assert.equal(truncate("default/client", 9), "default/…");
	assert.equal(truncate("漢字漢字", 6), "漢字…");
	assert.equal(truncate("abc", 3), "abc");
	assert.equal(truncate("abc", 0), "");
	fc.assert(
		fc.property(fc.string({ unit: "grapheme" }), fc.nat(30), (text, columns) => {
			assert.ok(textWidth(truncate(text, columns)) <= columns);
		}),
	);
});

test("a coloured line is cut by what is seen, not by its escapes", () => {
	const line = new Line().add("red", "red").add(" and ").add("green", "green");
	assert.equal(line.toString(coloursFor(true), 9), "\x1b[31mred\x1b[39m and \x1b[32m…\x1b[39m");
	assert.equal(line.toString(coloursFor(false)), "red and green");
});

test("cells end where they should; one that is too long keeps a blank before it", () => {
	const line = new Line().add("x").endAt(6, "3.1").endAt(11, "123456").endAt(16, "4.0");
	assert.equal(line.toString(coloursFor(false)), "x  3.1 123456 4.0");
});

test("a table takes from the columns that may shrink, no more than it must, the first ones first", () => {
	const columns = (["first", "second"] as const).map((title) => ({ title, align: "left" as const, least: 4 }));
	const draw = (width: number) =>
		tableLines(columns, [{ cells: ["abcdefghij", "abcdefghij"] }], width).map((line) =>
			line.toString(coloursFor(false)),
		);
	assert.deepEqual(draw(22), ["first       second", "abcdefghij  abcdefghij"]);
	assert.deepEqual(draw(18), ["first   second", "abcde…  abcdefghij"]);
	assert.deepEqual(draw(12), ["fir…  second", "abc…  abcde…"]);
});

test("colour: NO_COLOR before FORCE_COLOR before the terminal", () => {
	assert.equal(wantsColour({}, true), true);
	assert.equal(wantsColour({}, false), false);
	assert.equal(wantsColour({ TERM: "dumb" }, true), false);
	assert.equal(wantsColour({ NO_COLOR: "1" }, true), false);
	assert.equal(wantsColour({ NO_COLOR: "" }, true), true);
	assert.equal(wantsColour({ FORCE_COLOR: "1" }, false), true);
	assert.equal(wantsColour({ FORCE_COLOR: "0" }, true), false);
	assert.equal(wantsColour({ NO_COLOR: "1", FORCE_COLOR: "1" }, true), false);
});

test("numbers", () => {
	assert.deepEqual([0, 999, 1000, 4981, 30_611, 1_234_567].map(grouped), [
		"0",
		"999",
		"1,000",
		"4,981",
		"30,611",
		"1,234,567",
	]);
	assert.deepEqual(
		[0, 49, 3100, 9949, 9950, 38_211, 9_999_499, 9_999_500, 38_000_000, 3_200_000_000, -1200].map(microseconds),
		["0.0", "0.0", "3.1", "9.9", "10", "38", "9999", "10ms", "38ms", "3200ms", "-1.2"],
	);
	assert.deepEqual([0, 1, 2000, 2001, 15_000].map(plusMinus), ["", "±1", "±2", "±3", "±15"]);
	assert.deepEqual([0, 9999, 64_374, 2_200_000].map(bytes), ["0 B", "9999 B", "63 KB", "2.1 MB"]);
	assert.deepEqual([0, 85, 200, 12_400, 125_000, 12_000_000].map(duration), [
		"0 ms",
		"85 ms",
		"0.2 s",
		"12.4 s",
		"2 min 5 s",
		"3 h 20 min",
	]);
});
