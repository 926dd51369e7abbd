import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type AddressWords, formatWords, isIpv4Mapped, parseWords } from "../../src/packet/addresses.js";
import { AddressCipher } from "../../src/recording/addresscipher.js";
import { Anonymizer } from "../../src/recording/anonymizer.js";
import { replay } from "../../src/recording/reader.js";
import { RecordingWriter } from "../../src/recording/writer.js";
import { HOOK, Kept, listing, rowsOf, SOURCE, tables } from "./calls.js";

const KEY = new Uint8Array(32).fill(7);
const cipher = new AddressCipher(new Uint8Array(16).fill(1));

const ipv4 = fc.nat({ max: 2 ** 32 - 1 }).map((n): AddressWords => [0, 0, 0xffff, n]);
const word = fc.nat({ max: 2 ** 32 - 1 });
const ipv6 = fc.tuple(word, word, word, word);
/** Two addresses that share a random prefix. */
const related = fc
	.tuple(fc.oneof(ipv4, ipv6), fc.oneof(ipv4, ipv6), fc.integer({ min: 0, max: 128 }))
	.map(([a, b, bits]): [AddressWords, AddressWords] => {
		const mixed = a.map((value, i) => {
			const ones = Math.min(32, Math.max(0, bits - i * 32));
			const mask = ones === 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
			return ((value & mask) | ((b[i] ?? 0) & ~mask)) >>> 0;
		});
		return [a, [mixed[0] ?? 0, mixed[1] ?? 0, mixed[2] ?? 0, mixed[3] ?? 0]];
	});

function commonBits(a: AddressWords, b: AddressWords): number {
	const binary = (words: AddressWords) => words.map((value) => value.toString(2).padStart(32, "0")).join("");
	const [x, y] = [binary(a), binary(b)];
	let bits = 0;
	while (bits < 128 && x[bits] === y[bits]) bits++;
	return bits;
}

function encrypt(text: string): string {
	return formatWords(...cipher.encrypt(parseWords(text) ?? assert.fail(text)));
}

describe("globs in an anonymized recording", () => {
	const globOf = (pattern: string) => {
		const expression = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`);
		return { pattern, matches: (name: string) => expression.test(name) };
	};

	it("mean the other names of those that they meant, and no more", () => {
		const names = ["web-1", "web-22", "web", "my-web-1", "eth0", "cni0", "db", "prod-eu", "face"];
		const patterns = ["web-*", "*-1", "?b", "e*", "prod-?u", "*"];
		const anonymizer = new Anonymizer(KEY, patterns.filter((pattern) => pattern !== "*").map(globOf));
		for (const pattern of patterns) {
			const other = anonymizer.json(`prod-eu/${pattern}`) as string;
			assert.equal(other.split("/")[0], anonymizer.json("prod-eu"));
			for (const name of names) {
				const matches = globOf(other.split("/")[1] ?? "").matches(anonymizer.json(name) as string);
				assert.equal(matches, globOf(pattern).matches(name), `${pattern} and ${name}: ${other}`);
			}
		}
		assert.equal(new Set(names.map((name) => anonymizer.json(name))).size, names.length, "one to one");
		assert.equal(anonymizer.json("cni0"), "cni0", "what no glob means stays");
	});
});

describe("AddressCipher", () => {
	it("keeps exactly the bits that two addresses share, so it is one to one and subnets stay subnets", () => {
		const special = (words: AddressWords) => cipher.encrypt(words) === words;
		fc.assert(
			fc.property(related, ([a, b]) => {
				if (special(a) || special(b)) return;
				assert.equal(commonBits(cipher.encrypt(a), cipher.encrypt(b)), commonBits(a, b));
			}),
			{ numRuns: 1000 },
		);
	});

	it("is one to one between kept and replaced addresses too", () => {
		fc.assert(
			fc.property(related, ([a, b]) => {
				assert.equal(commonBits(cipher.encrypt(a), cipher.encrypt(b)) === 128, commonBits(a, b) === 128);
			}),
			{ numRuns: 1000 },
		);
	});

	it("keeps IPv4 IPv4 and IPv6 IPv6", () => {
		fc.assert(
			fc.property(fc.oneof(ipv4, ipv6), (words) =>
				assert.equal(isIpv4Mapped(cipher.encrypt(words)), isIpv4Mapped(words)),
			),
		);
	});

	for (const kept of ["0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255", "::", "::1", "ff02::1"]) {
		it(`leaves ${kept} alone`, () => assert.equal(encrypt(kept), kept));
	}
	const inside: [string, RegExp][] = [
		["10.244.1.2", /^10\./],
		["192.168.66.11", /^192\.168\./],
		["172.16.3.4", /^172\.(1[6-9]|2\d|3[01])\./],
		["169.254.1.1", /^169\.254\./],
		["fe80::1:2:3:4", /^fe80::/],
		["fd00:1::5", /^fd/],
		["2001:db8::1", /^[23]/],
	];
	for (const [address, kind] of inside) {
		it(`replaces ${address} by one of its kind`, () => {
			assert.match(encrypt(address), kind);
			assert.notEqual(encrypt(address), address);
		});
	}

	it("depends on its key", () => {
		const other = new AddressCipher(new Uint8Array(16).fill(2));
		const words = parseWords("10.244.1.2") ?? assert.fail();
		assert.notDeepEqual(cipher.encrypt(words), other.encrypt(words));
	});
});

describe("Anonymizer", () => {
	const anonymizer = new Anonymizer(KEY);
	const snapshot = {
		node: "node-a",
		createdAt: "2026-11-22T12:00:00Z",
		links: [{ ifindex: 7, name: "veth61dfc48a", kind: "veth", address: "8e:01:00:00:00:01", up: true, peer: null }],
		routes: [
			{ destination: "10.244.2.0/24", gateway: "10.244.2.0" },
			{ destination: "0.0.0.0/0", gateway: null },
		],
		pods: [{ namespace: "default", name: "client", addresses: ["10.244.2.17", "fd00:2::11"], netns: "4711" }],
		services: [{ name: "default/client", ip: "10.96.0.11", endpoint: "10.244.2.17:80" }],
		owners: { "10.244.2.17": "default/client" },
	};

	it("leaves nothing in a snapshot that says who, and its shape alone", () => {
		const text = JSON.stringify(anonymizer.json(snapshot));
		for (const secret of ["node-a", "client", "default", "10.244.2", "10.96.0.11", "fd00:2::11", "8e:01"]) {
			assert.ok(!text.includes(secret), `${secret} is still in ${text}`);
		}
		const shape = (value: unknown): unknown =>
			Array.isArray(value)
				? value.map(shape)
				: value !== null && typeof value === "object"
					? Object.entries(value).length
					: typeof value;
		assert.deepEqual(shape(JSON.parse(text)), shape(snapshot));
	});

	it("keeps what belongs together together", () => {
		const after = anonymizer.json(snapshot) as unknown as typeof snapshot;
		const pod = after.pods[0] ?? assert.fail();
		assert.equal(after.services[0]?.name, `${pod.namespace}/${pod.name}`);
		assert.equal(after.services[0]?.endpoint, `${pod.addresses[0]}:80`);
		assert.deepEqual(Object.entries(after.owners), [[pod.addresses[0], `${pod.namespace}/${pod.name}`]]);
		assert.equal(after.node, anonymizer.hook(HOOK).node);
		const [route] = after.routes;
		assert.equal(route?.destination.split("/")[1], "24");
		const third = (text = "") => text.split(".").slice(0, 3).join(".");
		assert.equal(third(route?.destination), third(pod.addresses[0]), "the pod left its subnet");
		assert.equal(after.routes[1]?.destination, "0.0.0.0/0");
	});

	it("keeps numbers, times, words of weft's own and names that say what a device is", () => {
		const after = anonymizer.json(snapshot) as unknown as typeof snapshot;
		assert.deepEqual(
			[after.createdAt, after.links[0]?.name, after.links[0]?.kind, after.pods[0]?.netns, after.links[0]?.ifindex],
			["2026-11-22T12:00:00Z", "veth61dfc48a", "veth", "4711", 7],
		);
		for (const device of [
			"lo",
			"eth0",
			"enp0s3",
			"cni0",
			"docker0",
			"flannel.1",
			"flannel-v6.1",
			"cali1a2b3c",
			"tun0",
		]) {
			assert.equal(anonymizer.device(device), device);
		}
		for (const device of ["customer-vpn", "loki", "ethan", "veth-payments"])
			assert.notEqual(anonymizer.device(device), device);
	});

	it("makes a recording in which nobody is named, consistently, and no other like it", async () => {
		const live = tables();
		const recorded = async (key: Uint8Array) => {
			const out = new Kept();
			const header = { weft: "0.1.0", createdAt: "2026-11-22T12:00:00Z", details: { question: "default/client" } };
			const writer = new RecordingWriter(out, live, header, { anonymizer: new Anonymizer(key) });
			writer.snapshot("wiring", snapshot);
			writer.hook(SOURCE, HOOK);
			writer.batch(SOURCE, rowsOf(live, 20));
			await writer.finish();
			return out.bytes;
		};
		const bytes = await recorded(KEY);
		const text = Buffer.from(bytes).toString("latin1");
		for (const secret of ["node-a", "client", "10.244", "\x0a\xf4\x01", "\x0a\xf4\x02", "\xc0\xa8\x42"])
			assert.ok(!text.includes(secret), secret);
		const into = tables();
		const { sink, calls } = listing(into);
		const { header } = await replay([bytes], sink, into);
		assert.equal(header.anonymized, true);
		const rows = calls.at(-1) as [string, string, { tuple: { source: string; destination: string }[] }];
		assert.equal(new Set(rows[2].tuple.map((tuple) => tuple.source)).size, 20);
		assert.deepEqual(
			new Set(rows[2].tuple.map((tuple) => tuple.destination)),
			new Set([anonymizer.address("10.244.2.3")]),
		);
		assert.notDeepEqual(await recorded(new Uint8Array(32).fill(8)), bytes);
	});
});
