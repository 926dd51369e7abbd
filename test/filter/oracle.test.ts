import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { compilePacket } from "../../src/filter/evaluate.js";
import { parseFilter } from "../../src/filter/grammar.js";
import { printFilter } from "../../src/filter/print.js";
import { expression } from "./arbitrary.js";
import { resolve } from "./directory.js";
import { dissect } from "./dissect.js";
import { EXPRESSIONS } from "./expressions.js";
import { facesOf } from "./packet.js";
import { arp, type Ends, ethernet, icmp, ipv4, ipv6, pcapFile, tcp, udp } from "./pcap.js";

const folder = mkdtempSync(join(tmpdir(), "weft-oracle-"));
const FLAGS = [0x02, 0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0xc2, 0x00, 0xff];

/** Every combination that the language can tell apart; `vlan` tags all of them. */
function mixture(vlan?: number): Buffer[] {
	const pairs: Ends[] = [
		{ source: "10.244.1.2", destination: "10.244.2.3" },
		{ source: "10.244.2.3", destination: "10.244.1.2" },
		{ source: "10.244.1.2", destination: "10.96.0.11" },
		{ source: "10.96.0.11", destination: "10.244.1.2" },
		{ source: "10.0.0.1", destination: "10.244.1.1" },
		{ source: "192.168.66.11", destination: "224.0.0.251" },
	];
	const pairs6: Ends[] = [
		{ source: "fd00:10:244:1::2", destination: "fd00:10:244:2::3" },
		{ source: "fe80::1", destination: "ff02::1" },
		{ source: "fd00::1", destination: "fd00:10:244:1::2" },
	];
	const ports: [number, number][] = [
		[43210, 80],
		[80, 43210],
		[53, 8080],
		[1024, 443],
		[0, 65535],
	];
	const ip: Buffer[] = [];
	const ip6: Buffer[] = [];
	for (const [n, ends] of pairs.entries()) {
		for (const [source, destination] of ports) {
			for (const [i, flags] of FLAGS.entries()) {
				ip.push(ipv4(ends, 6, tcp(source, destination, flags, [0, 46, 1400][i % 3], i * 500), { ttl: 60 + n, id: i }));
			}
			ip.push(ipv4(ends, 17, udp(source, destination), { ttl: 1 }));
			ip.push(ipv4(ends, 17, udp(source, 53, 1472), { id: 0, options: 2 }));
			ip.push(ipv4(ends, 17, udp(source, destination, 1472), { fragment: 0x2000 }));
		}
		for (const type of [0, 3, 5, 8, 11]) ip.push(ipv4(ends, 1, icmp(type, 4), { ttl: 9 + n }));
		ip.push(ipv4(ends, 17, Buffer.alloc(600, 53), { fragment: 0x2000 | 185 }));
		ip.push(ipv4(ends, 17, Buffer.alloc(100, 0), { fragment: 370 }));
		ip.push(ipv4(ends, 6, Buffer.alloc(100, 2), { fragment: 100 }));
		ip.push(ipv4(ends, 89, Buffer.alloc(44)), ipv4(ends, 132, udp(80, 53, 30)));
	}
	for (const ends of pairs6) {
		for (const [source, destination] of ports) {
			ip6.push(ipv6(ends, 17, udp(source, destination), 255), ipv6(ends, 6, tcp(source, destination, 0x18, 1300)));
		}
		for (const type of [1, 128, 129, 135]) ip6.push(ipv6(ends, 58, icmp(type, 0)));
	}
	const arps = pairs.flatMap((ends) => [arp(ends, 1), arp(ends, 2)]);
	return [
		...ip.map((packet) => ethernet(0x0800, packet, vlan)),
		...ip6.map((packet) => ethernet(0x86dd, packet, vlan)),
		...arps.map((packet) => ethernet(0x0806, packet, vlan)),
		ethernet(0x88cc, Buffer.alloc(50), vlan),
	];
}

function tcpdump(file: string, filter: string): number[] {
	const { status, stdout, stderr } = spawnSync("tcpdump", ["-nn", "-tt", "-r", file, filter], { encoding: "utf8" });
	if (stderr.includes("expression rejects all packets")) return [];
	assert.equal(status, 0, stderr);
	return [...stdout.matchAll(/^(\d+)\.000000 /gm)].map((match) => Number(match[1]));
}

function weft(frames: readonly Buffer[], filter: string): number[] {
	const test = compilePacket(parseFilter(filter), resolve);
	const packets = facesOf(frames.map(dissect));
	return frames.flatMap((_, i) => (test(packets, i) ? [i] : []));
}

describe("tcpdump is the oracle", () => {
	const plain = mixture();
	const tagged = [...mixture(5).slice(0, 40), ...mixture(100).slice(-20), ...plain.slice(0, 10)];
	/** libpcap reads tcp[…] over IPv4 only: there both are asked about IPv4 alone. */
	const overIpv4 = (filter: string) => (/tcp\[|udp\[/.test(filter) ? `ip and (${filter})` : filter);
	const plainFile = join(folder, "plain.pcap");
	const taggedFile = join(folder, "tagged.pcap");

	before(() => {
		writeFileSync(plainFile, pcapFile(plain));
		writeFileSync(taggedFile, pcapFile(tagged));
	});
	after(() => rmSync(folder, { recursive: true }));

	for (const filter of EXPRESSIONS) {
		it(filter === "" ? "(empty)" : filter, () => {
			const asked = filter === "" ? "" : overIpv4(filter);
			const seen = tcpdump(plainFile, asked);
			assert.deepEqual(weft(plain, asked), seen);
		});
	}

	it("has packets for and against every expression", () => {
		for (const filter of EXPRESSIONS.slice(1)) {
			const { length } = weft(plain, filter);
			assert.ok(length > 0 && length < plain.length, `${filter} matches ${length} of ${plain.length}`);
		}
	});

	for (const filter of [
		"vlan",
		"vlan 5",
		"vlan 100 and ip",
		"vlan and tcp port 80",
		"vlan 5 and host 10.244.1.2",
		"not vlan",
	]) {
		it(`${filter}, tagged and untagged mixed`, () => {
			assert.deepEqual(weft(tagged, filter), tcpdump(taggedFile, filter));
		});
	}

	it("agrees on random expressions", () => {
		fc.assert(
			fc.property(expression, (random) => {
				const filter = printFilter(random);
				// A tag moves libpcap's offsets for the rest of the expression, and ip6 with tcp[…] is empty there.
				fc.pre(!filter.includes("vlan"));
				const asked = overIpv4(filter);
				assert.deepEqual(weft(plain, asked), tcpdump(plainFile, asked));
			}),
			{ numRuns: 150 },
		);
	});

	it("tcp flags over IPv6: weft sees them, libpcap does not", () => {
		const filter = "ip6 and tcp[tcpflags] & tcp-push != 0";
		assert.deepEqual(tcpdump(plainFile, filter), []);
		assert.equal(weft(plain, filter).length, 15);
	});

	it("behind IPv6 extension headers: weft sees the ports, libpcap does not", () => {
		const ends = { source: "fd00::1", destination: "fd00::2" };
		const hopByHop = Buffer.concat([Buffer.from([17, 0, 1, 4, 0, 0, 0, 0]), udp(5353, 53)]);
		const frames = [ethernet(0x86dd, ipv6(ends, 0, hopByHop))];
		const file = join(folder, "extension.pcap");
		writeFileSync(file, pcapFile(frames));
		assert.deepEqual(tcpdump(file, "port 53"), []);
		assert.deepEqual(weft(frames, "port 53"), [0]);
	});
});
