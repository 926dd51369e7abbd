import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DropReport } from "../../src/latency/drop-report.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { dropAccountMessage, dropAccountOf, dropMessage, dropOf } from "../../src/rpc/drop-message.js";

/** Empty is unknown on the wire. */
const text = fc.string({ minLength: 1, unit: "grapheme" });
const orNull = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null });
const endpoint = fc.record({
	ip: orNull(fc.constantFrom("10.244.1.2", "fd00::2")),
	port: orNull(fc.integer({ min: 0, max: 65535 })),
	namespace: orNull(text),
	pod: orNull(text),
	node: orNull(text),
});
const drop: fc.Arbitrary<DropReport> = fc.record({
	type: fc.constant("drop" as const),
	time: fc
		.tuple(fc.integer({ min: 0, max: 4_000_000_000 }), fc.nat({ max: 999_999_999 }))
		.map(([s, ns]) => `${new Date(s * 1000).toISOString().slice(0, 19)}.${String(ns).padStart(9, "0")}Z`),
	node: text,
	count: fc.maxSafeNat(),
	kernelReason: text,
	kernelFunction: orNull(text),
	diagnosis: orNull(text),
	explanation: orNull(text),
	remedy: orNull(text),
	hop: orNull(
		fc.record({
			device: text,
			direction: fc.constantFrom("ingress" as const, "egress" as const),
			evidence: fc.constantFrom("seen" as const, "concluded" as const),
		}),
	),
	protocol: text,
	source: orNull(endpoint),
	destination: orNull(endpoint),
	path: orNull(text),
});

test("a drop comes out of its bytes as it went in", () => {
	fc.assert(
		fc.property(drop, (report) => {
			const { drop: message } = decode(
				"WatchDropsResponse",
				encode("WatchDropsResponse", { drop: dropMessage(report) }),
			);
			assert.ok(message);
			assert.deepEqual(dropOf(message), structuredClone(report));
		}),
		{ numRuns: 500 },
	);
});

test("an account does, too, and names its node", () => {
	const names = [
		...(["seen", "dropped", "consumed", "filtered", "foreign"] as const),
		...(["unknown", "unrelated", "sampled", "ringFull", "missed"] as const),
	];
	const account = fc
		.array(fc.maxSafeNat(), { minLength: names.length, maxLength: names.length })
		.map((counts) => Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0])));
	fc.assert(
		fc.property(account, (counts) => {
			const own = counts as Record<(typeof names)[number], number>;
			const bytes = encode("WatchDropsResponse", { account: dropAccountMessage("node-a", own) });
			const message = decode("WatchDropsResponse", bytes).account;
			assert.equal(message?.node, "node-a");
			assert.deepEqual(message && dropAccountOf(message), own);
		}),
	);
});
