import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseEnd } from "../../src/filter/end.js";
import { compilePacket } from "../../src/filter/evaluate.js";
import { parseFilter } from "../../src/filter/grammar.js";
import { pathTest } from "../../src/filter/path.js";
import { resolveEnd, translations } from "../../src/filter/resolve.js";
import type { KernelRule } from "../../src/filter/rule.js";
import { kernelRules, type RuleContext } from "../../src/filter/rules.js";
import { formatAddress, parseAddress } from "../../src/packet/addresses.js";
import { expression, LATER, packet } from "./arbitrary.js";
import { ANY, DIRECTORY, resolve } from "./directory.js";
import { facesOf, matchesAny, type Packet } from "./packet.js";

const context = (over: Partial<RuleContext> = {}): RuleContext => ({
	place: { kind: "host", node: "node-a" },
	from: ANY,
	to: ANY,
	resolve,
	translations: [],
	subscribers: 1,
	scope: "path",
	...over,
});
const end = (text: string) => resolveEnd(parseEnd(text), DIRECTORY);

/** Short enough to compare: only what is not neutral. */
function brief(rule: KernelRule): string {
	const ports = (min: number, max: number) =>
		min === 0 && max === 65535 ? "" : min === max ? `:${min}` : `:${min}-${max}`;
	const address = (bytes: Uint8Array, mask: Uint8Array) => {
		const bits = mask.reduce(
			(sum, byte) => sum + (8 - Math.clz32(~byte & 0xff) + 24 === 32 ? 0 : 0) + popcount(byte),
			0,
		);
		return bits === 0 ? "*" : `${formatAddress(bytes)}${bits === 128 ? "" : `/${bits}`}`;
	};
	const source = address(rule.source, rule.sourceMask) + ports(rule.sourcePortMin, rule.sourcePortMax);
	const destination =
		address(rule.destination, rule.destinationMask) + ports(rule.destinationPortMin, rule.destinationPortMax);
	return [
		rule.ifindex === 0 ? "" : `if${rule.ifindex}`,
		source === "*" && destination === "*" ? "" : `${source} ${rule.eitherWay ? "<>" : ">"} ${destination}`,
		rule.family === 0 ? "" : `family ${rule.family}`,
		rule.protocol === 0 ? "" : `proto ${rule.protocol}`,
		rule.vlan === 0 ? "" : `vlan ${rule.vlan}`,
		rule.lengthMin === 0 && rule.lengthMax === 0 ? "" : `len ${rule.lengthMin}-${rule.lengthMax}`,
		rule.tcpFlagsAny === 0 ? "" : `any ${rule.tcpFlagsAny}`,
		rule.tcpFlagsMask === 0 ? "" : `flags ${rule.tcpFlagsValue}/${rule.tcpFlagsMask}`,
		rule.icmpType === null ? "" : `icmp ${rule.icmpType}/${rule.icmpCode}`,
	]
		.filter((part) => part !== "")
		.join(" ");
}

function popcount(byte: number): number {
	return byte.toString(2).replaceAll("0", "").length;
}

const rulesOf = (filter: string, over: Partial<RuleContext> = {}) =>
	kernelRules(parseFilter(filter), context(over)).map(brief).sort();

describe("the kernel's rules", () => {
	const TABLE: readonly [string, readonly string[]][] = [
		["", [""]],
		["tcp", ["proto 6"]],
		["tcp port 80", ["*:80 <> * proto 6"]],
		["src port 80", ["*:80 > *"]],
		["host 10.0.0.1", ["10.0.0.1 <> *"]],
		["src and dst net 10.0.0.0/8", ["10.0.0.0/104 > 10.0.0.0/104"]],
		["ip6", ["family 3"]],
		["not arp", ["family 1", "family 2", "family 3"]],
		["tcp[tcpflags] & tcp-syn != 0", ["proto 6 any 2"]],
		["tcp[tcpflags] == tcp-syn", ["proto 6 flags 2/255"]],
		["tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", ["proto 6 flags 2/18"]],
		["tcp[13] & 2 != 2", ["proto 6 flags 0/2"]],
		["tcp[13] & 0x12 != 0x12", ["proto 6"]],
		["0 < tcp[13] & 3", ["proto 6 any 3"]],
		["tcp[2:2] > 1023", ["* > *:1024-65535 proto 6"]],
		["icmp[icmptype] == icmp-echo", ["proto 1 icmp 8/null"]],
		["greater 1000", ["len 1000-0"]],
		["less 100", ["len 0-100"]],
		["len < 100", ["len 0-99"]],
		["not greater 100", ["len 0-99"]],
		["vlan 5", ["vlan 5"]],
		["vlan", ["vlan 65535"]],
		["tcp and udp", []],
		["tcp and not host 10.0.0.1", ["proto 6"]],
		["tcp and not port 22", ["proto 6"]],
		["ip[8] < 10", ["family 2"]],
		["tcp or tcp port 80", ["proto 6"]],
	];
	for (const [filter, expected] of TABLE) {
		it(filter === "" ? "(empty)" : filter, () => assert.deepEqual(rulesOf(filter, { scope: "hook" }), expected));
	}

	it("hold at least what the filter holds, at any hook", () => {
		let selective = 0;
		fc.assert(
			fc.property(
				expression,
				fc.array(packet, { minLength: 20, maxLength: 20 }),
				fc.constantFrom("path", "hook"),
				(random, packets, scope) => {
					const rules = kernelRules(random, context({ scope }));
					assert.ok(rules.length <= 16);
					const test = compilePacket(random, resolve);
					const faces = facesOf(packets);
					packets.forEach((each, i) => {
						const kept = matchesAny(rules, each);
						if (!kept) selective++;
						if (test(faces, i)) assert.ok(kept, JSON.stringify(rules.map(brief)));
					});
				},
			),
			{ numRuns: 3000 },
		);
		assert.ok(selective > 3000, "rules that let everything through prove nothing");
	});

	it("hold one hop at least of each path that passes", () => {
		fc.assert(
			fc.property(expression, fc.array(packet, { minLength: 1, maxLength: 4 }), (random, packets) => {
				const test = pathTest(random, { from: ANY, to: ANY, resolve, hook: () => null });
				if (!test(facesOf(packets))) return;
				const rules = kernelRules(random, context());
				assert.ok(packets.some((each) => matchesAny(rules, each)));
			}),
			{ numRuns: 3000 },
		);
	});

	it("stay superset and few when hundreds of pods and ports are asked for", () => {
		const ports = Array.from({ length: 300 }, (_, i) => `port ${(i * 197) % 65536}`).join(" or ");
		const hosts = Array.from({ length: 300 }, (_, i) => `host 10.244.${i % 7}.${i % 251}`).join(" or ");
		const started = performance.now();
		const rules = kernelRules(parseFilter(`(${ports}) and (${hosts})`), context());
		assert.ok(performance.now() - started < 5000);
		assert.ok(rules.length <= 16 && rules.length > 0);
		assert.ok(
			rules.every(
				(rule) => rule.sourceMask.some((byte) => byte !== 0) || rule.destinationMask.some((byte) => byte !== 0),
			),
		);
	});
});

describe("the kernel's rules across a path", () => {
	it("hold a hop of which a double negation speaks of another: SNAT has changed the source in between", () => {
		const filter = "src host 10.244.1.2 and not (ip and not src host 10.244.2.3)";
		const test = pathTest(parseFilter(filter), { from: ANY, to: ANY, resolve, hook: () => null });
		const bytes = (text: string) => parseAddress(text) ?? assert.fail(text);
		const first: Packet = { ...LATER, source: bytes("10.244.1.2"), destination: bytes("10.96.0.11") };
		const second: Packet = { ...first, source: bytes("10.244.2.3") };
		assert.ok(test(facesOf([first, second])));
		const rules = kernelRules(parseFilter(filter), context());
		assert.ok([first, second].some((each) => matchesAny(rules, each)));
		assert.deepEqual(rulesOf(filter), ["10.244.1.2 > *"]);
	});

	it("leave out what segmentation and encapsulation change", () => {
		assert.deepEqual(rulesOf("tcp and greater 1000"), ["proto 6"]);
		assert.deepEqual(rulesOf("icmp and greater 1000"), ["family 2 proto 1 len 930-0"]);
		assert.deepEqual(rulesOf("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0"), ["proto 6"]);
		assert.deepEqual(rulesOf("tcp[tcpflags] & (tcp-syn|tcp-rst) != 0"), ["proto 6 any 6"]);
		assert.deepEqual(rulesOf("tcp[tcpflags] == tcp-syn"), ["proto 6 flags 2/22"]);
		assert.deepEqual(rulesOf("tcp[tcpflags] == tcp-fin|tcp-ack"), ["proto 6 flags 16/22"]);
	});

	it("match an END's own veth as a device, and its address elsewhere", () => {
		const from = end("default/client");
		assert.deepEqual(rulesOf("", { from, to: end("server") }), ["10.244.1.2 <> 10.244.2.3", "if7"]);
		assert.deepEqual(rulesOf("", { from, to: end("neighbor") }), ["10.244.1.2 <> 10.244.1.3", "if7", "if8"]);
		assert.deepEqual(rulesOf("", { from, to: end("server"), place: { kind: "host", node: "node-b" } }), [
			"10.244.1.2 <> 10.244.2.3",
			"if7",
		]);
		assert.deepEqual(rulesOf("icmp", { from }), ["10.244.1.2 <> * family 2 proto 1", "if7 family 2 proto 1"]);
	});

	it("do not compare addresses on an END's own veth", () => {
		assert.ok(rulesOf("tcp and host 10.244.2.3", { from: end("client") }).includes("if7 proto 6"));
	});

	it("match everything inside an END's own namespace", () => {
		const from = end("client");
		const [netns] = from.netns;
		assert.ok(netns !== undefined);
		assert.deepEqual(rulesOf("tcp", { from, to: end("server"), place: { kind: "inside", netns } }), ["proto 6"]);
	});

	it("follow a service's port to its endpoints, and back", () => {
		const services = { translations: translations(DIRECTORY) };
		const rules = kernelRules(parseFilter("tcp port 80"), context(services)).map(brief);
		assert.ok(
			rules.some((rule) => rule.includes("10.244.2.3:8080")),
			rules.join("\n"),
		);
		const back = kernelRules(parseFilter("host 10.244.2.3"), context(services)).map(brief);
		assert.ok(
			back.some((rule) => rule.includes("10.96.0.11:80")),
			back.join("\n"),
		);
	});

	it("name a service by its faces and its endpoints", () => {
		const rules = rulesOf("svc web").join("\n");
		for (const face of ["10.96.0.11:80", "10.244.2.3:8080", "192.168.66.12:30080"])
			assert.ok(rules.includes(face), rules);
	});

	it("match nothing for a pod that is not there yet", () => {
		assert.deepEqual(rulesOf("", { from: end("zz-*") }), []);
		assert.deepEqual(rulesOf("pod zz"), []);
	});
});
