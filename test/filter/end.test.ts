import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseEnd, printEnd } from "../../src/filter/end.js";
import { FilterError } from "../../src/filter/error.js";
import { describeUnknown, isUnknown, resolveEnd } from "../../src/filter/resolve.js";
import { DIRECTORY } from "./directory.js";

describe("an END", () => {
	const MEANINGS: readonly [string, string, string][] = [
		["any", "any", "any"],
		["client", "pod", "default/client"],
		["shop/web-*", "pod", "shop/web-*"],
		["web-?", "pod", "default/web-?"],
		["10.244.1.2", "prefix", "10.244.1.2"],
		["10.244.0.0/16", "prefix", "10.244.0.0/16"],
		["fd00::2", "prefix", "fd00::2"],
		["FD00:0:0::/64", "prefix", "fd00::/64"],
		["::/0", "prefix", "::/0"],
		["svc:web", "service", "svc:default/web"],
		["svc:shop/db", "service", "svc:shop/db"],
		["node:node-a", "node", "node:node-a"],
		[" client ", "pod", "default/client"],
	];
	for (const [text, kind, printed] of MEANINGS) {
		it(`${JSON.stringify(text)} is ${printed}`, () => {
			const end = parseEnd(text);
			assert.equal(end.kind, kind);
			assert.equal(printEnd(end), printed);
			assert.deepEqual(parseEnd(printed), end);
		});
	}

	it("takes the namespace that it is told", () => {
		assert.equal(printEnd(parseEnd("web", { namespace: "shop" })), "shop/web");
	});

	const REFUSALS: readonly [string, number, RegExp][] = [
		["", 1, /an END/],
		["10.244.1.300", 1, /IPv4 or IPv6 address/],
		["10.244.1.2/8", 1, /did you mean 10.0.0.0\/8 or 10.244.1.2\?/],
		["fe80::1%eth0", 1, /write fe80::1/],
		["service:web", 1, /did you mean svc:web\?/],
		["Client", 1, /did you mean client\?/],
		["a/b/c", 1, /namespace\/name/],
		["svc:", 5, /a service/],
		["node:a/b", 6, /a node's name/],
		["web pod", 1, /a pod/],
	];
	for (const [text, column, message] of REFUSALS) {
		it(`refuses ${JSON.stringify(text)}`, () => {
			assert.throws(
				() => parseEnd(text),
				(error) => {
					assert.ok(error instanceof FilterError);
					assert.match(error.message, message);
					assert.equal(error.column, column);
					return true;
				},
			);
		});
	}

	it("throws nothing but FilterError, whatever the text", () => {
		fc.assert(
			fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-f0-9:./%*A-Z-]{0,20}$/)), (text) => {
				try {
					const end = parseEnd(text);
					assert.deepEqual(parseEnd(printEnd(end)), end);
				} catch (error) {
					assert.ok(error instanceof FilterError, String(error));
				}
			}),
			{ numRuns: 5000 },
		);
	});
});

describe("an END, resolved", () => {
	const names = (text: string) => resolveEnd(parseEnd(text), DIRECTORY).names;
	const unknown = (text: string) => {
		const end = parseEnd(text);
		const resolved = resolveEnd(end, DIRECTORY);
		return isUnknown(end, resolved) ? describeUnknown(end, text, DIRECTORY).message : null;
	};

	it("finds pods by name and glob, services and nodes", () => {
		assert.deepEqual(names("client"), ["default/client"]);
		assert.deepEqual(names("shop/web-*"), ["shop/web-1", "shop/web-2"]);
		assert.deepEqual(names("svc:web"), ["default/web"]);
		assert.deepEqual(names("node:node-*"), ["node-a", "node-b"]);
	});

	it("knows a pod's device by its address too", () => {
		assert.deepEqual(resolveEnd(parseEnd("10.244.1.2"), DIRECTORY).devices, [{ node: "node-a", ifindex: 7 }]);
		assert.deepEqual(resolveEnd(parseEnd("10.244.1.0/24"), DIRECTORY).devices, []);
	});

	it("gives a service its cluster address, its node ports and its endpoints", () => {
		const { faces, endpoints } = resolveEnd(parseEnd("svc:web"), DIRECTORY);
		assert.deepEqual(
			endpoints.map(({ port }) => port),
			[8080],
		);
		assert.equal(faces.filter(({ port }) => port === 80).length, 1);
		assert.equal(faces.filter(({ port }) => port === 30080).length, 6);
	});

	it("gives a node its underlay address, flannel.1's and cni0's", () => {
		assert.deepEqual(
			resolveEnd(parseEnd("node:node-a"), DIRECTORY).prefixes.map(({ words }) => words[3].toString(16)),
			["c0a8420b", "af40100", "af40101"],
		);
	});

	it("says what was meant", () => {
		assert.match(unknown("web-1") ?? "", /did you mean shop\/web-1\?/);
		assert.match(unknown("cleint") ?? "", /did you mean default\/client\?/);
		assert.match(unknown("svc:wbe") ?? "", /did you mean svc:default\/web\?/);
		assert.match(unknown("node:zzzzz") ?? "", /there are node-a, node-b/);
		assert.equal(unknown("zz-*"), null);
		assert.equal(unknown("10.9.9.9"), null);
	});
});
