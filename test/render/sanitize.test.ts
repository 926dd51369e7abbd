import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sanitize, sanitizeJson } from "../../src/render/sanitize.js";

const anyText = fc.string({
	unit: fc.oneof(
		fc.string({ unit: "binary" }),
		fc.constantFrom("\x1b[", "\x9b", "\u202e", "\ud800", "é", "漢", "\u200b"),
	),
});

test("nothing that a terminal obeys or hides is left", () => {
	fc.assert(
		fc.property(anyText, (text) => {
			assert.doesNotMatch(sanitize(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
		}),
		{ numRuns: 2000 },
	);
});

test("text that is harmless stays as it is, and sanitising again changes nothing", () => {
	assert.equal(
		sanitize("veth61dfc48a default/wéb-漢字 10.0.0.1 → ✓ ║ ±2 µs"),
		"veth61dfc48a default/wéb-漢字 10.0.0.1 → ✓ ║ ±2 µs",
	);
	fc.assert(fc.property(anyText, (text) => assert.equal(sanitize(sanitize(text)), sanitize(text))));
});

test("what was there can be read", () => {
	assert.equal(sanitize("\x1b[31m\r\n\x00\x7f\x85"), "\\x1b[31m\\x0d\\x0a\\x00\\x7f\\x85");
	assert.equal(sanitize("a\u202eb\u2066c\u200dd\ufeff"), "a\\u202eb\\u2066c\\u200dd\\ufeff");
	assert.equal(sanitize("\u{e0041}\ud800\u2028"), "\\u{e0041}\\ud800\\u2028");
});

test("JSON gives the exact string back to whoever parses it", () => {
	fc.assert(
		fc.property(anyText, (text) => {
			const line = sanitizeJson(JSON.stringify({ text }));
			assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u0080-\u009f]/u);
			assert.deepEqual(JSON.parse(line), { text });
		}),
		{ numRuns: 2000 },
	);
});
