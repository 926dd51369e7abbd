import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import { COLUMNS } from "../../src/packet/columns.js";
import type { SourceId } from "../../src/packet/source.js";
import { encodeBlock, encodePreamble } from "../../src/recording/blocks.js";
import { crc32, tabled } from "../../src/recording/crc32.js";
import { BlockType, type Json, RecordingError } from "../../src/recording/format.js";
import { type Replayed, replay } from "../../src/recording/reader.js";
import { RecordingWriter, type WriterOptions } from "../../src/recording/writer.js";
import { HOOK, Kept, listing, rowsOf, SOURCE, type Tables, tables } from "./calls.js";

const HEADER = { weft: "0.1.0", createdAt: "2026-11-22T12:00:00Z", details: { question: "default/client" } };

type Step = (writer: RecordingWriter, live: Tables) => void;

const steps: fc.Arbitrary<Step> = fc.oneof(
	fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 99 })).map(
		([count, seed]): Step =>
			(writer, live) =>
				writer.batch(SOURCE, rowsOf(live, count, seed)),
	),
	fc.constant<Step>((writer) => writer.hook(SOURCE, HOOK)),
	fc.integer().map(
		(sinceNs): Step =>
			(writer) =>
				writer.hook(SOURCE, HOOK, sinceNs),
	),
	fc.constant<Step>((writer) => writer.unhook(SOURCE, HOOK)),
	fc.integer({ min: 1 }).map(
		(n): Step =>
			(writer) =>
				writer.lost(SOURCE, "ringFull", n),
	),
	fc.nat().map(
		(n): Step =>
			(writer) =>
				writer.watermark("b" as SourceId, n),
	),
	fc.nat().map(
		(n): Step =>
			(writer) =>
				writer.clock(SOURCE, { offsetNs: -n, errorNs: n }),
	),
	fc.tuple(fc.nat(), fc.option(fc.string())).map(
		([n, words]): Step =>
			(writer) => {
				const pointer = { skbLow: n, skbHigh: 2 ** 32 - 1 };
				const drop = { timeNs: -n, ...pointer, reason: "NO_SOCKET", function: words, words, remedy: words };
				writer.drop(SOURCE, n % 2 === 0 ? drop : { ...drop, ticket: n });
			},
	),
	fc.jsonValue().map(
		(value): Step =>
			(writer) =>
				writer.snapshot("wiring", value as Json),
	),
	fc.constant<Step>((writer) => writer.end(SOURCE)),
);

/** The same steps into a file and beside it, as a trace does. */
async function record(
	list: readonly Step[],
	options: WriterOptions = {},
	live = tables(),
): Promise<[Uint8Array, unknown[]]> {
	const out = new Kept();
	const writer = new RecordingWriter(out, live, HEADER, options);
	const { sink, calls } = listing(live);
	for (const step of list) {
		step(writer, live);
		step(sink as unknown as RecordingWriter, live);
	}
	await writer.finish();
	return [out.bytes, calls];
}

/** In pieces of `size` bytes. */
function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function play(bytes: Uint8Array, size = 65536, into = tables()): Promise<[Replayed, unknown[]]> {
	const { sink, calls } = listing(into);
	return [await replay(pieces(bytes, size), sink, into), calls];
}

/** A recording with every kind of block, short enough to be damaged at every byte. */
async function short(): Promise<[Uint8Array, unknown[]]> {
	return record([
		(writer) => writer.snapshot("wiring", { node: "node-a" }),
		(writer) => writer.hook(SOURCE, HOOK),
		(writer, live) => writer.batch(SOURCE, rowsOf(live, 2)),
		(writer) => writer.lost(SOURCE, "ringFull", 7),
		(writer, live) => writer.batch(SOURCE, rowsOf(live, 3, 5)),
		(writer) => writer.watermark(SOURCE, 12345),
		(writer) => writer.end(SOURCE),
	]);
}

describe("a recording", () => {
	it("replays the calls it was made from, in order, whatever they were and however the bytes arrive", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(steps, { maxLength: 30, size: "max" }),
				fc.boolean(),
				fc.integer({ min: 1, max: 3000 }),
				async (list, deflate, size) => {
					const [bytes, before] = await record(list, { deflate });
					const [result, after] = await play(bytes, size);
					assert.equal(result.truncated, null);
					assert.deepEqual(result.header, { ...HEADER, anonymized: false });
					assert.deepEqual(JSON.stringify(after), JSON.stringify(before));
				},
			),
			{ numRuns: 60 },
		);
	});

	it("is the same after a second generation, byte for byte", async () => {
		const [bytes] = await short();
		const again = new Kept();
		const into = tables();
		let writer: RecordingWriter | null = null;
		const replaying = new Proxy({} as RecordingWriter, {
			get: (_, name) => {
				if (name === "header") return () => (writer = new RecordingWriter(again, into, HEADER));
				if (name === "ready" || writer === null) return undefined;
				const method = Reflect.get(writer, name) as (...values: unknown[]) => unknown;
				return method.bind(writer);
			},
		});
		await replay([bytes], replaying, into);
		await (writer as RecordingWriter | null)?.finish();
		assert.deepEqual(again.bytes, bytes);
	});

	it("cut off anywhere, gives everything before the cut, and says where it ended", async () => {
		const [bytes, calls] = await short();
		let most = 0;
		for (let length = 0; length < bytes.length; length++) {
			const played = await play(bytes.subarray(0, length), 64).catch((error: unknown) => error);
			if (played instanceof Error) {
				assert.ok(played instanceof RecordingError, String(played));
				assert.equal(most, 0, "only a recording without a header is none");
				continue;
			}
			const [result, after] = played as [Replayed, unknown[]];
			assert.ok(result.truncated, `${length} of ${bytes.length} bytes passed as whole`);
			assert.ok(result.truncated.offset <= length);
			assert.ok(after.length >= most);
			assert.deepEqual(after, calls.slice(0, after.length));
			most = after.length;
		}
		assert.equal(most, calls.length);
	});

	it("damaged anywhere, gives only what was before the damage", async () => {
		const [bytes, calls] = await short();
		for (let at = 16; at < bytes.length; at++) {
			const damaged = bytes.slice();
			damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
			const played = await play(damaged).catch((error: unknown) => error);
			if (played instanceof Error) {
				assert.ok(played instanceof RecordingError, String(played));
				continue;
			}
			const [result, after] = played as [Replayed, unknown[]];
			assert.ok(result.truncated, `a flipped bit in byte ${at} passed`);
			assert.deepEqual(after, calls.slice(0, after.length));
		}
	});

	it("never throws anything but RecordingError on blocks of rubbish with good checksums", async () => {
		const type = fc.integer({ min: 0, max: 12 });
		const rubbish = fc.oneof(
			fc.uint8Array({ maxLength: 600, size: "max" }),
			fc.json().map((text) => Buffer.from(text)),
			// Nearly right: the head of a batch or a dictionary, then anything.
			fc
				.tuple(fc.nat({ max: 300 }), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 400, size: "max" }))
				.map(([count, second, rest]) =>
					Buffer.concat(
						[Uint32Array.of(count, second), rest].map(
							(part) => new Uint8Array(part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength)),
						),
					),
				),
		);
		await fc.assert(
			fc.asyncProperty(fc.array(fc.tuple(type, rubbish), { maxLength: 8 }), async (blocks) => {
				const header = Buffer.from(JSON.stringify({ ...HEADER, anonymized: false }));
				const source = Buffer.from(JSON.stringify({ number: 0, id: "s" }));
				const file = [
					encodePreamble(),
					...encodeBlock(BlockType.header, header, false),
					...encodeBlock(BlockType.source, source, false),
					...blocks.flatMap(([kind, body]) => encodeBlock(kind as BlockType, body, false)),
				];
				await play(Buffer.concat(file));
			}),
			{ seed: 20261122, numRuns: 2000 },
		);
	});

	it("refuses what is no recording, and one of another format", async () => {
		await assert.rejects(play(new Uint8Array()), RecordingError);
		await assert.rejects(play(Buffer.from("\n\r\r\n pcapng, perhaps, but not ours")), /not a recording/);
		const [bytes] = await short();
		bytes[8] = 2;
		await assert.rejects(play(bytes), /format 2/);
	});

	it("skips blocks, calls and columns of a later minor version", async () => {
		const [bytes, calls] = await short();
		const [, header] = [bytes.subarray(0, 16), bytes.subarray(16)];
		const headerLength = 16 + new DataView(header.buffer, header.byteOffset).getUint32(0, true);
		const later = [
			...encodeBlock(99 as BlockType, Buffer.from("what will be"), false),
			...encodeBlock(BlockType.source, Buffer.from('{"number":9,"id":"x","colour":"red"}'), false),
			...encodeBlock(BlockType.call, Buffer.from('{"call":"wave","source":9}'), false),
		];
		const [result, after] = await play(
			Buffer.concat([bytes.subarray(0, 16 + headerLength), ...later, bytes.subarray(16 + headerLength)]),
		);
		assert.equal(result.truncated, null);
		assert.deepEqual(after, calls);
	});

	it("names rows rightly when the live table gives an id another meaning", async () => {
		const live = tables(2);
		const out = new Kept();
		const writer = new RecordingWriter(out, live, HEADER);
		const { sink, calls } = listing(live);
		for (let seed = 0; seed < 20; seed++) {
			const rows = rowsOf(live, 2, seed);
			assert.deepEqual([...rows.tuple].sort(), [1, 2], "ids come again");
			writer.batch(SOURCE, rows);
			sink.batch(SOURCE, rows);
			live.tuples.tick();
			live.tuples.retire(live.tuples.epoch);
		}
		await writer.finish();
		assert.deepEqual((await play(out.bytes))[1], calls);
	});

	it("explains a tuple once", async () => {
		const same: Step = (writer, live) => writer.batch(SOURCE, rowsOf(live, 40));
		const length = async (times: number) => (await record(Array(times).fill(same)))[0].length;
		const [one, two] = [await length(1), await length(2)];
		assert.ok(two - one < one - 40 * 40, "40 tuples of 40 bytes were explained again");
	});

	it("leaves out, and tells as lost, rows that the reader's tables have no room for", async () => {
		const [bytes] = await record([(writer, live) => writer.batch(SOURCE, rowsOf(live, 10))]);
		const small = { tuples: tables(4).tuples, outers: tables().outers };
		const [result, calls] = await play(bytes, 65536, small);
		assert.deepEqual(calls[0], ["lost", SOURCE, "tupleTableFull", 6]);
		assert.deepEqual(result.totals, { batches: 1, sightings: 4, dropped: 6 });
	});

	it("waits for a sink that asks for it", async () => {
		const [bytes] = await short();
		const { sink, calls } = listing(tables());
		let waits = 0;
		const before: number[] = [];
		await replay(
			[bytes],
			{
				...sink,
				ready: async () => {
					before.push(calls.length);
					await new Promise((resolve) => setImmediate(resolve));
					assert.equal(calls.length, before.at(-1), "called while it waited");
					waits++;
				},
			},
			tables(),
		).catch((error: unknown) => assert.ok(error instanceof RangeError));
		assert.ok(waits > 0);
	});

	it("fails with what its sink throws", async () => {
		const [bytes] = await short();
		const { sink } = listing(tables());
		const boom = new RangeError("the sink's own");
		const failing = {
			...sink,
			hook: () => {
				throw boom;
			},
		};
		await assert.rejects(replay([bytes], failing, tables()), boom);
	});
});

describe("a writer", () => {
	it("drops and counts what a slow disk cannot take, and the recording says so before the watermark", async () => {
		const out = new Kept();
		const live = tables();
		const writer = new RecordingWriter(out, live, HEADER, { queueBytes: 10_000 });
		out.stalled = true;
		let given = 0;
		for (let i = 0; i < 50; i++) {
			writer.batch(SOURCE, rowsOf(live, 40, i));
			given += 40;
		}
		assert.ok(out.writableLength < 30_000, "memory is bounded");
		writer.watermark(SOURCE, 1);
		out.flow();
		const totals = await writer.finish();
		assert.ok(totals.dropped > 0 && totals.sightings > 0);
		assert.equal(totals.sightings + totals.dropped, given);
		const [result, calls] = await play(out.bytes);
		assert.equal(result.totals.sightings, totals.sightings);
		assert.deepEqual(calls.slice(-2), [
			["lost", SOURCE, "queueFull", totals.dropped],
			["watermark", SOURCE, 1],
		]);
	});

	it("survives a disk that is full, and says so at the end", async () => {
		const full = new Writable({
			write: (_chunk, _encoding, done) => done(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" })),
		});
		const live = tables();
		const writer = new RecordingWriter(full, live, HEADER);
		await new Promise((resolve) => setImmediate(resolve));
		writer.batch(SOURCE, rowsOf(live, 5));
		assert.equal(writer.totals.dropped, 5);
		await assert.rejects(writer.finish(), { code: "ENOSPC" });
	});

	it("leaves a stream open that others write to, but waits until it has taken all", async () => {
		const out = new Kept();
		const writer = new RecordingWriter(out, tables(), HEADER, { leaveOpen: true });
		out.stalled = true;
		let finished = false;
		const finishing = writer.finish().then(() => {
			finished = true;
		});
		await new Promise((resolve) => setImmediate(resolve));
		assert.equal(finished, false);
		out.flow();
		await finishing;
		assert.equal(out.writableEnded, false);
		assert.equal((await play(out.bytes))[0].truncated, null);
	});

	it("copies: the batch may be changed after the call", async () => {
		const live = tables();
		const out = new Kept();
		out.stalled = true;
		const writer = new RecordingWriter(out, live, HEADER);
		const rows = rowsOf(live, 5);
		const { sink, calls } = listing(live);
		sink.batch(SOURCE, rows);
		writer.batch(SOURCE, rows);
		for (const name of COLUMNS) rows[name].fill(0);
		out.flow();
		await writer.finish();
		assert.deepEqual((await play(out.bytes))[1], calls);
	});
});

describe("crc32", () => {
	it("is that of zlib, in pieces too", () => {
		assert.equal(tabled(Buffer.from("123456789")), 0xcbf43926);
		fc.assert(
			fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
				assert.equal(tabled(b, tabled(a)), crc32(Buffer.concat([a, b])));
			}),
		);
	});
});
