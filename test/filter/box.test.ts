import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Box, contains, FULL, hull, intersect, swap, toRule } from "../../src/filter/box.js";
import { reduce } from "../../src/filter/reduce.js";
import { bytesOf, prefixOf, wordsAt } from "../../src/packet/addresses.js";
import { address4, address6, LATER, packet, port } from "./arbitrary.js";
import { matchesAny, type Packet } from "./packet.js";

const prefix = fc.oneof(
	fc.constant(FULL.source),
	fc.tuple(address4, fc.constantFrom(96, 112, 120, 127, 128)).map(([bytes, bits]) => prefixOf(wordsAt(bytes), bits)),
	fc.tuple(address6, fc.constantFrom(64, 126, 128)).map(([bytes, bits]) => prefixOf(wordsAt(bytes), bits)),
);
const ports = fc.oneof(
	fc.constant(FULL.sourcePorts),
	fc.constantFrom({ min: 80, max: 80 }, { min: 53, max: 443 }, { min: 0, max: 80 }, { min: 443, max: 65535 }),
);
const flags = fc.oneof(
	fc.constant({}),
	fc.integer({ min: 1, max: 255 }).map((flagsAny) => ({ flagsAny, protocol: 6 })),
	fc
		.tuple(fc.integer({ min: 1, max: 255 }), fc.nat({ max: 255 }))
		.map(([flagsMask, value]) => ({ flagsMask, flagsValue: value & flagsMask, protocol: 6 })),
);
const icmp = fc.oneof(
	fc.constant({}),
	fc
		.tuple(fc.nat({ max: 255 }), fc.constantFrom(null, 0, 1))
		.map(([icmpType, icmpCode]) => ({ icmpType, icmpCode, protocol: 1 })),
);

const box: fc.Arbitrary<Box> = fc
	.tuple(
		fc.record({
			ifindex: fc.constantFrom(0, 0, 3, 7),
			source: prefix,
			destination: prefix,
			sourcePorts: ports,
			destinationPorts: ports,
			length: fc.constantFrom(FULL.length, { min: 0, max: 98 }, { min: 66, max: Number.POSITIVE_INFINITY }),
			vlan: fc.constantFrom(0, 0, 5, 100, 0xffff),
			family: fc.constantFrom(0, 0, 2, 3, 4),
			protocol: fc.constantFrom(0, 6, 17, 1),
		}),
		fc.oneof(flags, icmp),
	)
	.map(([fields, more]) => ({ ...FULL, ...fields, ...more }));
const anyBox = fc.tuple(box, fc.boolean()).map(([fields, eitherWay]) => ({ ...fields, eitherWay }));
const packets = fc.array(packet, { minLength: 10, maxLength: 10 });
const ends = fc.record({ sourcePort: port, destinationPort: port });
/** A later fragment's datagram: its first fragment told the ports. */
const withPorts = (each: Packet, at: Pick<Packet, "sourcePort" | "destinationPort">): Packet =>
	each.laterFragment ? { ...each, ...at, laterFragment: false, hasPorts: true } : each;
const matches = (boxes: readonly Box[], each: Parameters<typeof matchesAny>[1]) =>
	matchesAny(
		boxes.map((one) => toRule(one, 1)),
		each,
	);

describe("boxes never lose a packet", () => {
	it("intersect: what both hold", () => {
		fc.assert(
			fc.property(box, box, packets, ends, (a, b, some, at) => {
				const both = intersect(a, b);
				for (const each of some) {
					const told = withPorts(each, at);
					if (matches([a], told) && matches([b], told)) assert.ok(both !== null && matches([both], each));
				}
			}),
			{ numRuns: 5000 },
		);
	});

	it("intersect: later fragments, which match whatever the ports, are of one datagram, and it has one pair of ports", () => {
		const a = { ...FULL, destinationPorts: { min: 443, max: 443 } };
		const b = { ...FULL, destinationPorts: { min: 80, max: 80 } };
		const later = { ...LATER, source: bytesOf([0, 0, 0xffff, 1]), destination: bytesOf([0, 0, 0xffff, 2]) };
		assert.ok(matches([a], later) && matches([b], later));
		assert.equal(intersect(a, b), null);
		const wide = intersect(a, { ...FULL, destinationPorts: { min: 80, max: 500 } });
		assert.ok(wide !== null && matches([wide], later));
	});

	it("hull: what either holds", () => {
		fc.assert(
			fc.property(anyBox, anyBox, packets, (a, b, some) => {
				const around = hull(a, b);
				assert.ok(contains(around, a) && contains(around, b));
				for (const each of some) if (matches([a, b], each)) assert.ok(matches([around], each));
			}),
			{ numRuns: 5000 },
		);
	});

	it("contains: only what is contained", () => {
		let contained = 0;
		fc.assert(
			fc.property(anyBox, anyBox, packets, (a, b, some) => {
				const wider = { ...a, ifindex: 0, vlan: 0, flagsAny: 0 };
				for (const [outer, inner] of [
					[a, b],
					[wider, a],
					[wider, swap(a)],
				] as const) {
					if (!contains(outer, inner)) continue;
					contained++;
					for (const each of some) if (matches([inner], each)) assert.ok(matches([outer], each));
				}
			}),
			{ numRuns: 5000 },
		);
		assert.ok(contained > 5000);
	});

	it("reduce: what any of the list holds, in as few as asked", () => {
		fc.assert(
			fc.property(
				fc.array(anyBox, { minLength: 1, maxLength: 80 }),
				fc.constantFrom(1, 3, 16),
				packets,
				(list, most, some) => {
					const reduced = reduce(list, most);
					assert.ok(reduced.length <= most);
					for (const each of some) if (matches(list, each)) assert.ok(matches(reduced, each));
				},
			),
			{ numRuns: 500 },
		);
	});
});
