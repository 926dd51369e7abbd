import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { messages, NetlinkFormatError, request, word } from "../../src/wiring/netlink.js";
import { parse } from "../../src/wiring/rtnetlink.js";
import { capturedNode } from "./dumps.js";

test("a request reads back as it was built", () => {
	const bytes = request(18, 0x300, Uint8Array.of(7, 0, 0), [{ type: 46, payload: word(-5) }]);
	const [message, ...more] = [...messages(bytes)];
	assert.equal(more.length, 0);
	assert.equal(message?.type, 18);
	assert.equal(message?.flags, 0x301);
	assert.equal(message?.body.u8(0), 7);
	assert.equal(message?.body.attributes(4).s32(46), -5);
	assert.throws(() => message?.body.attributes(4).u16(46), NetlinkFormatError, "four bytes are no u16");
});

test("lengths that lie are refused", () => {
	const honest = request(16, 0, new Uint8Array(16), [{ type: 3, payload: Buffer.from("eth0\0") }]);
	const lie = (at: number, value: number) => {
		const bytes = honest.slice();
		new DataView(bytes.buffer).setUint16(at, value, true);
		return bytes;
	};
	assert.equal([...parse(honest)].length, 1);
	for (const [what, bytes] of [
		["message longer than the buffer", lie(0, honest.length + 1)],
		["message shorter than its header", lie(0, 15)],
		["attribute longer than the message", lie(32, 200)],
		["attribute shorter than its header", lie(32, 3)],
		["a cut header", honest.subarray(0, 10)],
		["a cut message", honest.subarray(0, 33)],
	] as const) {
		assert.throws(() => [...parse(bytes)], NetlinkFormatError, what);
	}
});

/**
 * Cutting or flipping bytes of real dumps may give other values, never anything but values or a NetlinkFormatError,
 * and it always ends. Seeded, so that a failure comes again.
 */
test("mutated dumps give values or a typed error", () => {
	const node = capturedNode();
	const dumps = [node.links, node.addresses, node.routes4, node.routes6, node.neighbours, node.fdb];
	const flip = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) });
	let refused = 0;
	fc.assert(
		fc.property(fc.constantFrom(...dumps), fc.array(flip, { maxLength: 6 }), fc.nat(), (dump, flips, cut) => {
			const bytes = dump.slice(0, cut % 3 === 0 ? cut % dump.length : dump.length);
			for (const { at, value } of flips) if (bytes.length > 0) bytes[at % bytes.length] = value;
			try {
				for (const row of parse(bytes)) assert.ok(row.kind);
			} catch (error) {
				assert.ok(error instanceof NetlinkFormatError, String(error));
				refused++;
			}
		}),
		{ seed: 20261122, numRuns: 3000 },
	);
	assert.ok(refused > 100, `only ${refused} of 3000 were refused: the mutations hit nothing`);
});

test("a dump cut inside any message is refused, never read as something else", () => {
	const whole = [...parse(capturedNode().fdb)];
	const bytes = capturedNode().fdb;
	for (let end = 0; end < 400; end++) {
		const found: unknown[] = [];
		try {
			for (const row of parse(bytes.subarray(0, end))) found.push(row);
		} catch (error) {
			assert.ok(error instanceof NetlinkFormatError);
		}
		assert.deepEqual(found, whole.slice(0, found.length));
	}
});
