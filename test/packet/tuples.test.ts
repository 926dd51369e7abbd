import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../src/packet/addresses.js";
import { OuterTable } from "../../src/packet/outers.js";
import { Family } from "../../src/packet/sightings.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { TupleTable } from "../../src/packet/tuples.js";

const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;

function canonical(text: string): string {
	return formatAddress(parseAddress(text) ?? assert.fail(text));
}

const ip = (family: number, address: fc.Arbitrary<string>) =>
	fc
		.record({
			family: fc.constant(family),
			protocol: fc.constantFrom(ICMP, TCP, 17, ICMPV6, 132, 255),
			source: address.map(canonical),
			destination: address.map(canonical),
			sourcePort: fc.nat({ max: 65535 }),
			destinationPort: fc.nat({ max: 65535 }),
		})
		.map((tuple) => ({ ...tuple })); // with an ordinary prototype, for deepEqual
const tuples: fc.Arbitrary<Tuple> = fc.oneof(
	ip(Family.ipv4, fc.ipV4()),
	ip(Family.ipv6, fc.ipV6()),
	ip(Family.arp, fc.ipV4()).map((tuple) => ({ ...tuple, protocol: 0 })),
	fc.nat({ max: 65535 }).map((ethertype) => ({
		family: Family.other,
		protocol: 0,
		source: null,
		destination: null,
		sourcePort: ethertype,
		destinationPort: 0,
	})),
);

function tcp(source: string, sourcePort: number, destination: string, destinationPort: number): Tuple {
	return { family: Family.ipv4, protocol: TCP, source, destination, sourcePort, destinationPort };
}

describe("TupleTable", () => {
	it("gives back what it was given, equal ids for equal tuples and only for them", () => {
		fc.assert(
			fc.property(fc.array(tuples, { maxLength: 60, size: "max" }), (list) => {
				const table = new TupleTable(64);
				const ids = list.map((tuple) => table.intern(tuple));
				const distinct = new Set(list.map((tuple) => JSON.stringify(tuple)));
				assert.equal(new Set(ids).size, distinct.size);
				list.forEach((tuple, i) => {
					assert.deepEqual(table.get(ids[i] ?? 0), tuple);
				});
			}),
		);
	});

	it("turns a tuple around, and twice is once", () => {
		fc.assert(
			fc.property(tuples, (tuple) => {
				const table = new TupleTable(8);
				const id = table.intern(tuple);
				const back = table.get(table.reverse(id));
				assert.equal(back.source, tuple.destination);
				assert.equal(back.destination, tuple.source);
				assert.equal(table.reverse(table.reverse(id)), id);
			}),
		);
	});

	it("swaps ports", () => {
		const table = new TupleTable(8);
		const id = table.intern(tcp("10.0.0.1", 1000, "10.0.0.2", 80));
		assert.deepEqual(table.get(table.reverse(id)), tcp("10.0.0.2", 80, "10.0.0.1", 1000));
	});

	const answers: [string, number, number, number, number][] = [
		["echo", Family.ipv4, ICMP, 8 << 8, 0],
		["timestamp", Family.ipv4, ICMP, 13 << 8, 14 << 8],
		["unreachable, with its code, which has no answer", Family.ipv4, ICMP, (3 << 8) | 1, (3 << 8) | 1],
		["echo over IPv6", Family.ipv6, ICMPV6, 128 << 8, 129 << 8],
		["ARP", Family.arp, 0, 1, 2],
	];
	for (const [name, family, protocol, request, reply] of answers) {
		it(`answers ${name} under the same id`, () => {
			const table = new TupleTable(8);
			const [source, destination] = family === Family.ipv6 ? ["fd00::1", "fd00::2"] : ["10.0.0.1", "10.0.0.2"];
			const asked = { family, protocol, source, destination, sourcePort: 77, destinationPort: request };
			const answer = { ...asked, source: destination, destination: source, destinationPort: reply };
			assert.deepEqual(table.get(table.reverse(table.intern(asked))), answer);
		});
	}

	it("shows columns to filters as numbers", () => {
		const table = new TupleTable(8);
		const id = table.intern(tcp("10.244.1.2", 43210, "10.96.0.11", 80));
		assert.deepEqual(
			[0, 1, 2, 3, 4, 5, 6, 7].map((i) => table.word(id, i)),
			[0, 0, 0xffff, 0x0af40102, 0, 0, 0xffff, 0x0a60000b],
		);
		assert.deepEqual(
			[table.sourcePort(id), table.destinationPort(id), table.protocol(id), table.family(id)],
			[43210, 80, TCP, Family.ipv4],
		);
	});

	it("takes neighbouring rows of one flow for one tuple, and tells apart flows that differ in one bit", () => {
		const table = new TupleTable(2 ** 12);
		const record = new Uint32Array(8);
		const first = table.internRaw(record, 0, 0, 0);
		assert.equal(table.internRaw(record, 0, 0, 0), first);
		const ids = new Set([first]);
		for (let bit = 0; bit < 256; bit++) {
			const flipped = record.slice();
			flipped[bit >>> 5] = (1 << (bit & 31)) >>> 0;
			ids.add(table.internRaw(flipped, 0, 0, 0));
			ids.add(table.internRaw(record, 0, 0, 0));
		}
		for (let bit = 0; bit < 32; bit++) ids.add(table.internRaw(record, 0, (1 << bit) >>> 0, 0));
		for (let bit = 0; bit < 16; bit++) ids.add(table.internRaw(record, 0, 0, 1 << bit));
		assert.equal(ids.size, 1 + 256 + 32 + 16);
	});

	it("answers 0 when it is full, and never gives an id in use another meaning", () => {
		const table = new TupleTable(16);
		const flow = (i: number) => tcp("10.0.0.1", i, "10.0.0.2", 80);
		const held = table.intern(flow(0));
		let next = 1;
		let refused = 0;
		for (let round = 0; round < 50; round++) {
			const epoch = table.tick();
			table.keep(held);
			for (let i = 0; i < 20; i++) if (table.intern(flow(next++)) === 0) refused++;
			assert.deepEqual(table.get(held), flow(0));
			table.tick();
			table.keep(held);
			assert.ok(table.crowded);
			assert.equal(table.retire(epoch + 1), 15);
			assert.equal(table.used, 1);
		}
		assert.equal(refused, 50 * 5);
	});

	it("forgets the text of a retired id, and refuses to explain it", () => {
		const table = new TupleTable(1);
		const id = table.intern(tcp("10.0.0.1", 1, "10.0.0.2", 80));
		table.get(id);
		table.tick();
		table.retire(table.epoch);
		assert.throws(() => table.get(id), RangeError);
		const other = tcp("10.0.0.3", 1, "10.0.0.4", 80);
		assert.equal(table.intern(other), id);
		assert.deepEqual(table.get(id), other);
		assert.throws(() => table.get(0), RangeError);
	});

	it("refuses text that is no address", () => {
		assert.throws(() => new TupleTable(1).intern(tcp("pod", 1, "10.0.0.2", 80)), RangeError);
	});
});

describe("OuterTable", () => {
	it("gives back what it was given", () => {
		fc.assert(
			fc.property(
				fc.array(fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()).map(canonical), fc.nat({ max: 2 ** 24 - 1 }))),
				(list) => {
					const table = new OuterTable(64);
					const ids = list.map(([peer, vni]) => table.intern({ peer, vni }));
					assert.equal(new Set(ids).size, new Set(list.map((entry) => entry.join())).size);
					list.forEach(([peer, vni], i) => {
						assert.deepEqual(table.get(ids[i] ?? 0), { peer, vni });
					});
				},
			),
		);
	});

	it("has no id 0 and no room beyond its capacity", () => {
		const table = new OuterTable(1);
		assert.throws(() => table.get(0), RangeError);
		assert.equal(table.intern({ peer: "192.168.66.12", vni: 1 }), 1);
		assert.equal(table.intern({ peer: "192.168.66.12", vni: 2 }), 0);
	});
});
