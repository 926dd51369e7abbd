import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import {
	bytesOf,
	formatAddress,
	formatPrefix,
	maskOf,
	networkWord,
	parseAddress,
	parsePrefix,
	parseWords,
	prefixContains,
	wordsAt,
} from "../../src/packet/addresses.js";

describe("addresses", () => {
	const texts: [string, string][] = [
		["10.244.1.2", "10.244.1.2"],
		["0.0.0.0", "0.0.0.0"],
		["255.255.255.255", "255.255.255.255"],
		["::", "::"],
		["::1", "::1"],
		["fe80::1", "fe80::1"],
		["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
		["2001:db8::", "2001:db8::"],
		["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // RFC 5952, 4.2.2: one group is not shortened
		["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], // the longest run
		["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // the first of equals
		["1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"],
		["0:2:3:4:5:6:0:0", "0:2:3:4:5:6::"],
		["::ffff:10.0.0.1", "10.0.0.1"],
		["64:ff9b::10.0.0.1", "64:ff9b::a00:1"],
	];
	for (const [input, output] of texts) {
		it(`shows ${input} as ${output}`, () => {
			const bytes = parseAddress(input);
			assert.ok(bytes);
			assert.equal(formatAddress(bytes), output);
		});
	}

	for (const text of [
		"",
		"1.2.3",
		"1.2.3.4.5",
		"01.2.3.4",
		"256.1.1.1",
		"::g",
		"1::2::3",
		"fe80::1%eth0",
		"10.0.0.1/8",
		" ::1",
	]) {
		it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseAddress(text), null));
	}

	it("agrees with an independent parser, and reads back what it wrote", () => {
		fc.assert(
			fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
				// ipaddr.js takes ::a.b.c.d for ::ffff:a.b.c.d; RFC 4291, 2.5.5.1 does not.
				fc.pre(!/^::\d+[.]/.test(text));
				const bytes = parseAddress(text);
				const oracle = ipaddr.parse(text);
				const expected = oracle.kind() === "ipv4" ? (oracle as ipaddr.IPv4).toIPv4MappedAddress() : oracle;
				assert.deepEqual([...(bytes ?? [])], expected.toByteArray());
				const shown = formatAddress(bytes ?? new Uint8Array(16));
				assert.ok(isIPv4(shown) || isIPv6(shown));
				assert.deepEqual(parseAddress(shown), bytes);
			}),
		);
	});

	it("spells words in network order, whatever the machine", () => {
		const bytes = parseAddress("10.244.1.2") ?? new Uint8Array(16);
		assert.deepEqual(wordsAt(bytes), [0, 0, 0xffff, 0x0af40102]);
		assert.deepEqual(bytesOf([0, 0, 0xffff, 0x0af40102]), bytes);
		assert.equal(networkWord(new Uint32Array(bytes.buffer)[3] ?? 0), 0x0af40102);
	});
});

describe("prefixes", () => {
	const cases: [string, string, boolean][] = [
		["10.244.0.0/16", "10.244.255.255", true],
		["10.244.0.0/16", "10.245.0.0", false],
		["10.244.1.7/24", "10.244.1.1", true],
		["0.0.0.0/0", "1.2.3.4", true],
		["0.0.0.0/0", "::1", false],
		["::/0", "1.2.3.4", true],
		["10.0.0.1", "10.0.0.1", true],
		["10.0.0.1", "10.0.0.2", false],
		["fd00::/8", "fdff::1", true],
		["fd00:1:2:3::/64", "fd00:1:2:4::", false],
	];
	for (const [prefix, address, inside] of cases) {
		it(`${address} is ${inside ? "" : "not "}in ${prefix}`, () => {
			const parsed = parsePrefix(prefix);
			const words = parseWords(address);
			assert.ok(parsed && words);
			assert.equal(prefixContains(parsed, words), inside);
		});
	}

	it("shows them as one writes them, host bits cleared", () => {
		const shown = (text: string) => {
			const prefix = parsePrefix(text);
			return prefix && formatPrefix(prefix);
		};
		assert.equal(shown("10.244.1.7/24"), "10.244.1.0/24");
		assert.equal(shown("fd00::1/8"), "fd00::/8");
		assert.equal(shown("::/0"), "::/0");
		assert.equal(shown("10.0.0.1"), "10.0.0.1/32");
	});

	for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "10.0.0.0/-1", "10.0.0.0/8/8", "pod/8"]) {
		it(`refuses ${text}`, () => assert.equal(parsePrefix(text), null));
	}

	it("has masks of every length", () => {
		for (let bits = 0; bits <= 128; bits++) {
			const binary = maskOf(bits)
				.map((word) => word.toString(2).padStart(32, "0"))
				.join("");
			assert.equal(binary, "1".repeat(bits).padEnd(128, "0"));
		}
	});
});
