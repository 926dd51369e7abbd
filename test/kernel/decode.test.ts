import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DecodeContext, decode } from "../../src/kernel/decode.js";
import { HookIndex } from "../../src/kernel/hookindex.js";
import { allocateSightings, COLUMNS } from "../../src/packet/columns.js";
import type { HookId } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import { Family, type Sightings } from "../../src/packet/sightings.js";
import { TupleTable } from "../../src/packet/tuples.js";

/** A struct weft_event as the kernel writes it on a little-endian machine: bpf/event.h, line by line. */
const RECORD = Uint8Array.of(
	...[0x15, 0xcd, 0x5b, 0x07, 0x02, 0x00, 0x00, 0x00], // u64 time_ns = 2 × 2^32 + 123456789
	...[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], // u64 skb = 0x1122334455667788
	...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 1, 2], // u8 source[16]
	...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 2, 3], // u8 destination[16]
	...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 66, 12], // u8 outer_peer[16]
	...[0x07, 0x00, 0x00, 0x00], // u32 ifindex = 7
	...[0x05, 0x00, 0x00, 0x00], // u32 ingress_ifindex = 5
	...[0x76, 0xfb, 0x00, 0x00], // u32 length = 64374
	...[0x01, 0x00, 0x00, 0x80], // u32 subscribers: 0 and 31
	...[0x04, 0x03, 0x02, 0xf1], // u32 sequence = 0xf1020304
	...[0x08, 0x07, 0x06, 0xe5], // u32 acknowledgement = 0xe5060708
	...[0x0c, 0x0b, 0x0a, 0xd9], // u32 tsval = 0xd90a0b0c
	...[0x67, 0x12, 0x00, 0x00], // u32 ip_id = 4711
	...[0x34, 0xfb, 0x00, 0x00], // u32 payload_length = 64308
	...[0xef, 0xbe, 0xad, 0xde], // u32 payload_hash = 0xdeadbeef
	...[0x01, 0x00, 0x00, 0x00], // u32 vni = 1
	...[0xca, 0xa8], // u16 source_port = 43210
	...[0x50, 0x00], // u16 destination_port = 80
	...[0x78, 0x05], // u16 gso_size = 1400
	...[0xf6, 0x01], // u16 window = 502
	...[0x64, 0x00], // u16 vlan = 100
	...[0x03, 0x00], // u16 lost = 3
	...[0x45, 0x03], // u16 flags: IPv4, inner, VLAN, has ports, has TSval
	...[0x09, 0x00], // u16 hook_set = 9
	...[0x18], // u8 tcp_flags: PSH ACK
	...[0x06], // u8 protocol: TCP
	...[0x3f], // u8 ttl = 63
	...[0x2a], // u8 generation = 42
);

/** Members in order, and their sizes: those lines again. */
const MEMBERS: readonly (readonly [string, number])[] = [
	["time_ns", 8],
	["skb", 8],
	["source", 16],
	["destination", 16],
	["outer_peer", 16],
	["ifindex", 4],
	["ingress_ifindex", 4],
	["length", 4],
	["subscribers", 4],
	["sequence", 4],
	["acknowledgement", 4],
	["tsval", 4],
	["ip_id", 4],
	["payload_length", 4],
	["payload_hash", 4],
	["vni", 4],
	["source_port", 2],
	["destination_port", 2],
	["gso_size", 2],
	["window", 2],
	["vlan", 2],
	["lost", 2],
	["flags", 2],
	["hook_set", 2],
	["tcp_flags", 1],
	["protocol", 1],
	["ttl", 1],
	["generation", 1],
];

const HOOK = 12 as HookId;

function contextWith(capacity = 64, baseNs = 0n): DecodeContext {
	const hooks = new HookIndex();
	hooks.set(9, 7, HOOK);
	return new DecodeContext(hooks, new TupleTable(capacity), new OuterTable(capacity), baseNs);
}

function rawOf(...records: Uint8Array[]): ArrayBuffer {
	const raw = new Uint8Array(records.length * 128);
	records.forEach((record, i) => {
		raw.set(record, i * 128);
	});
	return raw.buffer;
}

function patched(offset: number, ...bytes: number[]): Uint8Array {
	const record = RECORD.slice();
	record.set(bytes, offset);
	return record;
}

function cells(rows: Sightings, i: number): Record<string, number> {
	return Object.fromEntries(COLUMNS.map((name) => [name, rows[name][i] as number]));
}

describe("decode", () => {
	it("puts every field of a record into its column", () => {
		const context = contextWith();
		const rows = allocateSightings(1);
		decode(rawOf(RECORD), 1, rows, context);
		assert.equal(rows.count, 1);
		assert.deepEqual(cells(rows, 0), {
			time: 2 * 2 ** 32 + 123456789,
			skbLow: 0x55667788,
			skbHigh: 0x11223344,
			hook: HOOK,
			tuple: 1,
			outer: 1,
			ingress: 5,
			length: 64374,
			sequence: 0xf1020304,
			acknowledgement: 0xe5060708,
			tsval: 0xd90a0b0c,
			ipId: 4711,
			payload: 64308,
			hash: 0xdeadbeef,
			gsoSize: 1400,
			segments: 46,
			window: 502,
			flags: 0x0345,
			vlan: 100,
			tcpFlags: 0x18,
			ttl: 63,
			generation: 42,
			subscribers: 0x80000001,
			lost: 3,
		});
		assert.deepEqual(context.tuples.get(1), {
			family: Family.ipv4,
			protocol: 6,
			source: "10.244.1.2",
			destination: "10.244.2.3",
			sourcePort: 43210,
			destinationPort: 80,
		});
		assert.deepEqual(context.outers.get(1), { peer: "192.168.66.12", vni: 1 });
	});

	it("reads where the compiled struct says", async () => {
		const generated = new URL("../../src/kernel/layout.generated.js", import.meta.url);
		assert.ok(existsSync(generated), "src/kernel/layout.generated.ts is made by the build of bpf/");
		const { LAYOUT } = (await import(generated.href)) as {
			LAYOUT: { weft_event: { size: number; members: Record<string, { offset: number }> } };
		};
		assert.equal(LAYOUT.weft_event.size, RECORD.length);
		const { members } = LAYOUT.weft_event;
		assert.deepEqual(
			Object.keys(members).map((name) => [members[name]?.offset, name]),
			MEMBERS.map(([name], i) => [MEMBERS.slice(0, i).reduce((sum, [, size]) => sum + size, 0), name]),
		);
	});

	it("counts time from the base, exactly, across the boundary of its words", () => {
		fc.assert(
			fc.property(fc.bigInt(0n, 2n ** 63n), fc.bigInt(0n, 2n ** 53n - 1n), (base, elapsed) => {
				const record = RECORD.slice();
				new DataView(record.buffer).setBigUint64(0, base + elapsed, true);
				const rows = allocateSightings(1);
				const context = contextWith(64, base);
				decode(rawOf(record), 1, rows, context);
				assert.equal(rows.time[0], Number(elapsed));
				assert.equal(context.timeOf(base + elapsed), Number(elapsed));
			}),
		);
	});

	it("goes below zero for what was recorded before the base", () => {
		const rows = allocateSightings(1);
		decode(rawOf(RECORD), 1, rows, contextWith(64, 3n * 2n ** 32n));
		assert.equal(rows.time[0], 123456789 - 2 ** 32);
	});

	const segments: [number, number, number][] = [
		[0, 0, 1],
		[1400, 0, 1],
		[0, 1400, 1],
		[1400, 1400, 1],
		[1401, 1400, 2],
		[64308, 1400, 46],
		[0xffffffff, 1, 65535],
	];
	for (const [payload, gso, expected] of segments) {
		it(`takes ${payload} bytes in segments of ${gso} for ${expected}`, () => {
			const record = RECORD.slice();
			const view = new DataView(record.buffer);
			view.setUint32(96, payload, true);
			view.setUint16(112, gso, true);
			const rows = allocateSightings(1);
			decode(rawOf(record), 1, rows, contextWith());
			assert.equal(rows.segments[0], expected);
		});
	}

	it("has no outer header without WEFT_INNER, whatever the peer's bytes are", () => {
		const rows = allocateSightings(1);
		decode(rawOf(patched(120, 0x41, 0x03)), 1, rows, contextWith());
		assert.equal(rows.outer[0], 0);
	});

	it("counts records of hooks that nobody announced, and carries their losses to the next row and batch", () => {
		const context = contextWith();
		const rows = allocateSightings(4);
		decode(rawOf(patched(64, 8), patched(122, 10), RECORD, patched(64, 8)), 4, rows, context);
		assert.equal(context.unknownHook, 3);
		assert.equal(rows.count, 1);
		assert.equal(rows.lost[0], 9);
		decode(rawOf(RECORD), 1, rows, context);
		assert.equal(rows.count, 2);
		assert.equal(rows.lost[1], 6);
	});

	it("moves what comes behind a record that was left out up, in every column", () => {
		const alone = allocateSightings(1);
		decode(rawOf(RECORD), 1, alone, contextWith());
		const rows = allocateSightings(4);
		const stranger = patched(64, 8);
		decode(rawOf(stranger, patched(68, 6), stranger, RECORD), 4, rows, contextWith());
		assert.equal(rows.count, 2);
		assert.deepEqual(cells(rows, 0), { ...cells(alone, 0), ingress: 6, lost: 6 });
		assert.deepEqual(cells(rows, 1), { ...cells(alone, 0), lost: 6 });
	});

	it("counts records whose tuple or outer header finds no room", () => {
		const context = contextWith(1);
		const rows = allocateSightings(3);
		decode(rawOf(RECORD, patched(28, 11), patched(60, 11)), 3, rows, context);
		assert.equal(rows.count, 1);
		assert.equal(context.tupleTableFull, 2);
	});

	it("appends, and refuses what does not fit before it touches a row", () => {
		const context = contextWith();
		const rows = allocateSightings(3);
		decode(rawOf(RECORD), 1, rows, context);
		decode(rawOf(RECORD, RECORD), 2, rows, context);
		assert.equal(rows.count, 3);
		assert.throws(() => decode(rawOf(RECORD), 1, rows, context), RangeError);
		assert.throws(() => decode(new ArrayBuffer(127), 1, allocateSightings(1), context), RangeError);
		assert.equal(rows.count, 3);
	});

	it("never throws on random bytes, and loses no record without a count", () => {
		fc.assert(
			fc.property(
				fc.uint8Array({ maxLength: 128 * 20, size: "max" }),
				fc.array(fc.tuple(fc.nat({ max: 65535 }), fc.nat({ max: 2 ** 32 - 1 }))),
				(bytes, hooks) => {
					const raw = bytes.slice();
					const view = new DataView(raw.buffer);
					const records = Math.floor(raw.length / 128);
					const context = contextWith(8);
					hooks.slice(0, records).forEach(([set, ifindex], i) => {
						context.hooks.set(set, ifindex, i as HookId);
						view.setUint16(i * 128 + 122, set, true);
						view.setUint32(i * 128 + 64, ifindex, true);
					});
					const rows = allocateSightings(records);
					decode(raw.buffer, records, rows, context);
					assert.equal(rows.count + context.unknownHook + context.tupleTableFull, records);
					for (let i = 0; i < rows.count; i++) {
						context.tuples.get(rows.tuple[i] as number);
						if (rows.outer[i] !== 0) context.outers.get(rows.outer[i] as number);
						assert.ok((rows.segments[i] as number) >= 1);
					}
				},
			),
			{ seed: 20261122, numRuns: 2000 },
		);
	});
});

describe("HookIndex", () => {
	it("is a map (model: Map), however many hooks come and go", () => {
		const pair = fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 200 }));
		fc.assert(
			fc.property(fc.array(fc.tuple(fc.boolean(), pair), { maxLength: 400, size: "max" }), (steps) => {
				const index = new HookIndex();
				const model = new Map<string, number>();
				steps.forEach(([add, [set, ifindex]], i) => {
					if (add) {
						index.set(set, ifindex, i as HookId);
						model.set(`${set} ${ifindex}`, i);
					} else {
						index.delete(set, ifindex);
						model.delete(`${set} ${ifindex}`);
					}
				});
				assert.equal(index.size, model.size);
				for (let set = 0; set <= 3; set++) {
					for (let ifindex = 0; ifindex <= 200; ifindex++) {
						assert.equal(index.get(set, ifindex), model.get(`${set} ${ifindex}`) ?? -1);
					}
				}
			}),
		);
	});

	it("refuses an id that a column cannot hold", () => {
		assert.throws(() => new HookIndex().set(0, 1, 65535 as HookId), RangeError);
	});
});
