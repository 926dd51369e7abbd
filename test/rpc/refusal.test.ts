import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAddress } from "../../src/rpc/address.js";
import { clientCredentials, serverCredentials } from "../../src/rpc/credentials.js";
import { checkQuestion, checkSample } from "../../src/rpc/refusal.js";

const plain = { from: null, to: null, filter: "", namespace: "" };

describe("a bad request is refused with its field", () => {
	const rules = Array.from({ length: 10_000 }, (_, i) => `port ${i + 1}`).join(" or ");
	for (const [what, message, expected] of [
		["an END that is none", { ...plain, from: { end: "10.244.1.300" } }, /^from\.end: /],
		["the other END", { ...plain, to: { end: "a/b/c" } }, /^to\.end: /],
		["a filter that makes no sense", { ...plain, filter: "tcp prot 80" }, /^filter: /],
		["ten thousand rules", { ...plain, filter: rules }, /^filter: \d+ characters, at most 16384 are taken$/],
		["a namespace without end", { ...plain, namespace: "x".repeat(300) }, /^namespace: /],
	] as const) {
		test(what, () => {
			assert.throws(() => checkQuestion(message), { name: "Refusal", code: 3, message: expected });
		});
	}

	test("a sample of too few", () => {
		assert.throws(() => checkSample(2 ** 20 + 1), { code: 3, message: /^sample: / });
		assert.deepEqual([checkSample(0), checkSample(1), checkSample(8)], [1, 1, 8]);
	});

	test("nothing asked is any", () => {
		assert.deepEqual(checkQuestion(plain), { from: "any", to: "any", filter: "", namespace: "default" });
	});
});

test("addresses", () => {
	for (const text of ["unix:/run/weft/weft.sock", "127.0.0.1:7443", "node-a:7443", "[::1]:7443"]) {
		assert.equal(parseAddress(text)?.text, text);
	}
	for (const text of ["/run/weft.sock", "unix:relative", "host", "host:99999", "[nonsense]:1", "::1:80:x"]) {
		assert.equal(parseAddress(text), null, text);
	}
});

test("TCP is mutual TLS, or insecure on loopback", () => {
	const open = { tls: null, insecure: false };
	const insecure = { tls: null, insecure: true };
	const at = (text: string) => parseAddress(text) ?? assert.fail(text);
	for (const credentials of [clientCredentials, serverCredentials]) {
		assert.throws(() => credentials(at("127.0.0.1:1"), open), /mutual TLS only/);
		assert.throws(() => credentials(at("10.0.0.1:1"), insecure), /loopback|will not do/);
		assert.ok(credentials(at("127.0.0.1:1"), insecure));
		assert.ok(credentials(at("unix:/tmp/x"), open));
	}
});
