import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { MOST_ROWS } from "../../src/rpc/batch-decoder.js";
import { decode, encode, PROTO_ROOT, word64 } from "../../src/rpc/codec.js";
import { WireReader, WireWriter } from "../../src/rpc/wire.js";
import { ends, hear, names, row, sightingsOf } from "./sightings.js";

const COLUMNS = [
	"skbLow",
	"skbHigh",
	"ingress",
	"length",
	"sequence",
	"acknowledgement",
	"tsval",
	"ipId",
	"payload",
	"hash",
	"gsoSize",
	"window",
	"flags",
	"vlan",
	"lost",
	"tcpFlags",
	"ttl",
] as const;

const all = (count: number) => Uint32Array.from({ length: count }, (_, i) => i);

test("what is encoded comes back, whatever the rows, in one message or several", () => {
	fc.assert(
		fc.property(fc.array(row, { minLength: 1, maxLength: 60 }), fc.nat(2 ** 40), (rows, sequence) => {
			const { theirs, ours, encoder, decoder } = ends();
			const batch = sightingsOf(rows, names(theirs));
			const losses = { ringFull: 2 ** 40 + 1, subscriberSlow: 7 };
			const messages = encoder.encode(batch, all(batch.count), batch.count, sequence, { watermarkNs: 2 ** 45, losses });
			let at = 0;
			for (const message of messages) {
				const { batches, losses: told } = hear(decoder, message);
				assert.equal(batches.length, 1);
				for (const { rows: got, firstSequence, unnamed } of batches) {
					assert.deepEqual([firstSequence, unnamed], [sequence + at, 0]);
					for (let i = 0; i < got.count; i++, at++) {
						assert.equal(got.time[i], batch.time[at], "time");
						assert.equal(got.hook[i], (batch.hook[at] as number) + 100);
						for (const column of COLUMNS) assert.equal(got[column][i], batch[column][at], column);
						assert.deepEqual(ours.tuples.get(got.tuple[i] as number), theirs.tuples.get(batch.tuple[at] as number));
						const outer = batch.outer[at] as number;
						if (outer === 0) assert.equal(got.outer[i], 0);
						else assert.deepEqual(ours.outers.get(got.outer[i] as number), theirs.outers.get(outer));
					}
					decoder.release(got);
				}
				if (message === messages.at(-1)) {
					assert.deepEqual(
						[...told],
						[
							["ringFull", 2 ** 40 + 1],
							["subscriberSlow", 7],
						],
					);
				}
			}
			assert.equal(at, batch.count);
		}),
		{ numRuns: 300 },
	);
});

test("a message that was dropped corrupts nothing: each brings its own names", () => {
	const { theirs, ours, encoder, decoder } = ends();
	const ids = names(theirs);
	const rows = fc.sample(row, { numRuns: 40, seed: 7 }).map((each) => ({ ...each, step: 1000 }));
	const batch = sightingsOf(rows, ids);
	const messages = [0, 10, 20, 30].map((start) => {
		const selected = all(40).subarray(start, start + 10);
		return encoder.encode(batch, selected, 10, start, { watermarkNs: 0, losses: {} })[0];
	});
	for (const at of [3, 1]) {
		const [heard] = hear(decoder, messages[at] ?? new Uint8Array(0)).batches;
		assert.ok(heard);
		assert.equal(heard.firstSequence, at * 10);
		for (let i = 0; i < 10; i++) {
			const theirsTuple = theirs.tuples.get(batch.tuple[at * 10 + i] as number);
			assert.deepEqual(ours.tuples.get(heard.rows.tuple[i] as number), theirsTuple);
		}
	}
});

test("protobufjs, with the shipped files, reads the same as our own decoder", () => {
	const { theirs, encoder, wallBase } = ends();
	const rows = fc.sample(row, { numRuns: 5, seed: 3 }).map((each) => ({ ...each, step: 100 }));
	const batch = sightingsOf(rows, names(theirs));
	const root = new protobuf.Root();
	root.resolvePath = (_, target) => PROTO_ROOT + target;
	const type = root.loadSync("weft/v1/tracer.proto").lookupType("weft.v1.StreamSightingsResponse");
	const [message] = encoder.encode(batch, all(5), 5, 42, { watermarkNs: 5000, losses: { ringFull: 3 } });
	const read = type.toObject(type.decode(message ?? new Uint8Array(0)), { longs: String, arrays: true }) as {
		node: string;
		progress: { watermarkNs: string; losses: unknown };
		batch: Record<string, unknown[]> & { baseTimeNs: string; firstSequence: string };
	};
	assert.equal(read.node, "node-a");
	assert.deepEqual(read.progress, {
		watermarkNs: String(wallBase + 5000n),
		losses: [{ cause: "ringFull", count: "3" }],
	});
	assert.equal(read.batch.baseTimeNs, String(wallBase + 1100n));
	assert.equal(read.batch.firstSequence, "42");
	assert.deepEqual(read.batch["sequence"], [...batch.sequence.subarray(0, 5)]);
	assert.deepEqual(read.batch["length"], [...batch.length.subarray(0, 5)]);
	const skb = (i: number) => String((BigInt(batch.skbHigh[i] as number) << 32n) | BigInt(batch.skbLow[i] as number));
	assert.deepEqual(read.batch["skb"], [0, 1, 2, 3, 4].map(skb));
});

test("a table without room leaves rows out, and says how many", () => {
	const { theirs, ours, encoder, decoder } = ends(0n, 1, 2);
	const rows = fc
		.sample(row, { numRuns: 40, seed: 1 })
		.map((each, i) => ({ ...each, step: 1, outer: 0, tuple: i % 10 }));
	const [message] = encoder.encode(sightingsOf(rows, names(theirs)), all(40), 40, 0, { watermarkNs: 0, losses: {} });
	const [heard] = hear(decoder, message ?? new Uint8Array(0)).batches;
	assert.deepEqual([heard?.rows.count, heard?.unnamed], [8, 32]);
	const ids = [...(heard?.rows.tuple.subarray(0, 8) ?? [])];
	assert.deepEqual(
		ids.map((id) => ours.tuples.sourcePort(id)),
		[1000, 1001, 1000, 1001, 1000, 1001, 1000, 1001],
	);
});

test("broken bytes are refused with a RangeError, never with anything else, and take no memory", () => {
	const { theirs, encoder, decoder } = ends();
	const ids = names(theirs);
	const rows = fc.sample(row, { numRuns: 30, seed: 11 }).map((each) => ({ ...each, step: 1000 }));
	const [whole] = encoder.encode(sightingsOf(rows, ids), all(30), 30, 0, { watermarkNs: 1, losses: { ringFull: 1 } });
	assert.ok(whole);
	const tried = (bytes: Uint8Array) => {
		try {
			for (const { rows: got } of hear(decoder, bytes).batches) {
				assert.ok(got.count <= MOST_ROWS);
				decoder.release(got);
			}
		} catch (cause) {
			assert.ok(cause instanceof RangeError, String(cause));
		}
	};
	for (let length = 0; length < whole.length; length++) tried(whole.subarray(0, length));
	fc.assert(
		fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
			const bytes = whole.slice();
			for (const [at, value] of changes) bytes[at] = value;
			tried(bytes);
		}),
		{ numRuns: 3000 },
	);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => tried(bytes)),
		{ numRuns: 3000 },
	);
});

test("more rows than a batch has are refused before anything is kept", () => {
	const writer = new WireWriter();
	const column = new Uint32Array(MOST_ROWS + 1).fill(1);
	writer.packedFixed64(11, column, column, all(MOST_ROWS + 1), MOST_ROWS + 1);
	const { decoder } = ends();
	assert.throws(() => decoder.decode(new WireReader(writer.take())), /more than 4096 rows/);
});

test("64 bits survive, whole", () => {
	const times = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 1_790_000_000_123_456_789n, 2n ** 63n, 2n ** 64n - 1n];
	for (const time of times) {
		const bytes = encode("SyncClockRequest", { clientTimeNs: word64(time), node: "node-a" });
		const { clientTimeNs, node } = decode("SyncClockRequest", bytes);
		assert.equal(node, "node-a");
		assert.deepEqual(
			[clientTimeNs.low >>> 0, clientTimeNs.high >>> 0],
			[Number(time & 0xffffffffn), Number(time >> 32n)],
		);
	}
});

test("bytes that are no message are a DecodeError", () => {
	assert.throws(() => decode("StreamSightingsRequest", Buffer.from([0x0a, 0xff])), { name: "DecodeError" });
});
