import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FilterError } from "../../src/filter/error.js";
import { parseFilter } from "../../src/filter/grammar.js";
import { printFilter } from "../../src/filter/print.js";
import { REFUSED } from "../../src/filter/words.js";
import { expression } from "./arbitrary.js";
import { EXPRESSIONS } from "./expressions.js";

describe("the filter's language", () => {
	/** As written, and with every choice written out. */
	const MEANINGS: readonly [string, string][] = [
		["", ""],
		[" \t", ""],
		["port 80 or 443", "port 80 or port 443"],
		["host 10.0.0.1 or 10.0.0.2 and tcp", "(host 10.0.0.1 or host 10.0.0.2) and tcp"],
		["tcp dst port http or https", "tcp dst port 80 or tcp dst port 443"],
		["not port 80 and not 443", "not port 80 and not port 443"],
		["port (80 or 443) and src 10.0.0.1", "(port 80 or port 443) and src host 10.0.0.1"],
		["src 10.0.0.0/8", "src net 10.0.0.0/8"],
		["net 10", "net 10.0.0.0/8"],
		["net 192.168", "net 192.168.0.0/16"],
		["net 10.0.0.0 mask 255.0.0.0", "net 10.0.0.0/8"],
		["net ::/0", "net ::/0"],
		["a or b".replace("a", "tcp").replace("b", "udp"), "tcp or udp"],
		["tcp or udp and icmp", "(tcp or udp) and icmp"],
		["!tcp||udp&&arp", "(not tcp or udp) and arp"],
		["not (tcp or udp)", "not (tcp or udp)"],
		["src or dst port 53", "port 53"],
		["dst or src host 10.0.0.1", "host 10.0.0.1"],
		["src and dst host 10.0.0.1", "src and dst host 10.0.0.1"],
		["portrange 9000-8000", "portrange 8000-9000"],
		["tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "(tcp[13] & 18) == 2"],
		["tcp[13]&2!=0", "(tcp[13] & 2) != 0"],
		["(tcp[13] & 2) != 0", "(tcp[13] & 2) != 0"],
		["((tcp[13] & 2 != 0))", "(tcp[13] & 2) != 0"],
		["2 + 3 * 4 < len", "14 < len"],
		["greater 100", "len >= 100"],
		["icmp[icmptype] = icmp-echo", "icmp[0] == 8"],
		["ether proto \\arp", "arp"],
		["ip proto \\tcp", "ip proto 6"],
		["rarp", "ether proto 0x8035"],
		["vlan 5 and ip", "vlan 5 and ip"],
		["pod client", "pod default/client"],
		["src pod shop/web-* or db", "src pod shop/web-* or src pod default/db"],
		["pod */web", "pod */web"],
		["svc web and node node-a", "svc default/web and node node-a"],
		["dst node node-?", "dst node node-?"],
		["pod tcp", "pod default/tcp"],
	];
	for (const [written, meant] of MEANINGS) {
		it(`${JSON.stringify(written)} is ${JSON.stringify(meant)}`, () => {
			assert.equal(printFilter(parseFilter(written)), meant);
		});
	}

	it("prints what it parses to, for the expressions of the end-to-end tests", () => {
		for (const text of EXPRESSIONS) {
			const parsed = parseFilter(text);
			assert.deepEqual(parseFilter(printFilter(parsed)), parsed);
		}
	});

	it("prints every tree so that it parses to the same", () => {
		fc.assert(
			fc.property(expression, (random) => {
				const parsed = parseFilter(printFilter(random));
				assert.equal(printFilter(parsed), printFilter(random));
				assert.deepEqual(parseFilter(printFilter(parsed)), parsed);
			}),
			{ numRuns: 2000 },
		);
	});
});

describe("what the filter refuses", () => {
	/** Text, column, and what the message must say. */
	const REFUSALS: readonly [string, number, RegExp][] = [
		["tcp port", 9, /expected a port/],
		["tcp port htp", 10, /did you mean http\?/],
		["port 80-90", 6, /write portrange 80-90/],
		["port 65536", 6, /0 to 65535/],
		["host example.com", 6, /host names are not resolved/],
		["host 10.0.0.0/8", 6, /write net 10.0.0.0\/8/],
		["net 10.1.2.3/8", 5, /did you mean 10.0.0.0\/8\?/],
		["10.0.0.1", 1, /write host 10.0.0.1/],
		["80", 1, /write port 80/],
		["tcp or 80", 8, /write port 80/],
		["tpc", 1, /did you mean tcp\?/],
		["tcp and", 8, /expected a primitive/],
		["(tcp", 5, /expected a \)/],
		["tcp)", 4, /there is no \( for it/],
		["tcp udp", 5, /join two primitives/],
		["ether host 02:00:00:00:00:01", 7, /MAC addresses are not recorded/],
		["gateway a", 1, /name both ends/],
		["ip broadcast", 4, /dst host 255.255.255.255/],
		["ip6 multicast", 5, /dst net ff00::\/8/],
		["ip6 protochain 6", 5, /use ip6 proto/],
		["icmp port 80", 1, /write icmp and port N/],
		["tcp host 10.0.0.1", 1, /write tcp and host ADDRESS/],
		["ip host fd00::1", 9, /an address of ip/],
		["tcp[12] & 0xf0 > 80", 5, /a field of tcp that weft records/],
		["tcp[icmptype] = 8", 5, /write icmp\[icmptype\]/],
		["ip[2:2] > 576", 4, /use len, greater or less/],
		["ip[6] & 0x40 != 0", 1, /only some of its bits are recorded/],
		["ether[0] & 1 = 0", 1, /MAC addresses|ip, ip6, tcp/],
		["tcp[13] & 2", 12, /expected a comparison/],
		["tcp[13] / 0 = 1", 9, /no division by zero/],
		["vlan 4096", 6, /0 to 4095/],
		["src proto 6", 5, /proto has no direction/],
		["proto 256", 7, /0 to 255/],
		["pod Web", 5, /did you mean web\?/],
		["pod a/b/c", 5, /namespace\/name/],
		["tcp pod web", 5, /write tcp and pod NAME/],
		["src or src port 80", 8, /write src or dst/],
		["tcp \u001b[31m", 5, /\\u001b/],
	];
	for (const [text, column, message] of REFUSALS) {
		it(JSON.stringify(text), () => {
			assert.throws(
				() => parseFilter(text),
				(error) => {
					assert.ok(error instanceof FilterError);
					assert.match(error.message, message);
					assert.equal(error.column, column, error.message);
					return true;
				},
			);
		});
	}

	it("refuses by name, with a remedy, every word of tcpdump's that it does not have", () => {
		for (const word of Object.keys(REFUSED)) {
			assert.throws(
				() => parseFilter(word),
				(error) => error instanceof FilterError && error.suggestion === REFUSED[word],
			);
		}
	});

	it("throws nothing but FilterError, whatever the text", () => {
		const words = fc.constantFrom(
			..."and or not ( ) ! src dst host net mask port portrange tcp udp ip ip6 arp icmp ether proto vlan len greater less pod svc node".split(
				" ",
			),
			..."[ ] : & | = != < > + - * / % ^ << >> 80 10.0.0.1 10.0.0.0/8 fd00::1 tcpflags tcp-syn 0x7f web-* a/b 4294967295 __proto__ constructor".split(
				" ",
			),
		);
		const soup = fc
			.array(words, { maxLength: 30 })
			.chain((list) => fc.constantFrom(" ", "").map((glue) => list.join(glue)));
		fc.assert(
			fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string(), soup), (text) => {
				try {
					parseFilter(text);
				} catch (error) {
					assert.ok(error instanceof FilterError, String(error));
					assert.ok(error.column >= 1 && error.column <= text.length + 1);
				}
			}),
			{ numRuns: 20000 },
		);
	});

	it("bounds nesting and length", () => {
		for (const text of [
			"(".repeat(5000),
			"not ".repeat(4000),
			"tcp[13]+(".repeat(1000),
			`${"tcp or ".repeat(2000)}tcp`,
			"tcp ".repeat(9000),
		]) {
			assert.throws(() => parseFilter(text), FilterError);
		}
	});
});
