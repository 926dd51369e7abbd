import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { addon } from "../../src/kernel/addon.js";
import type { Link, Netns, RawBatch } from "../../src/kernel/native.js";
import { Miniature, nativeError, PACKET, type Row, rowsOf } from "./fixture.js";
import { inSpaces, type Space } from "./space.js";

describe("merging", () => {
	it("keeps order and its word on rings written by hand: see ring_test.cc", () => {
		const { status, stdout, signal } = spawnSync(fileURLToPath(new URL("ring-test", import.meta.url)), {
			encoding: "utf8",
			timeout: 60_000,
		});
		assert.deepEqual([status, signal, stdout], [0, null, ""]);
	});
});

for (const kind of ["ringbuf", "records"] as const) {
	describe(`rings of kind ${kind}`, () => {
		let mini: Miniature;
		afterEach(() => mini.close());

		/** One record by BPF_PROG_TEST_RUN. */
		function emit(count = 1): void {
			mini.emit.testRun(PACKET, { repeat: count });
		}

		it("gives every record once, in order, before stop resolves", async () => {
			mini = new Miniature({ kind });
			const rows: Row[] = [];
			mini.rings.drain((batch) => {
				rows.push(...rowsOf(batch));
				assert.equal(batch.drained, BigInt(rows.length));
				mini.rings.release(batch);
			});
			emit(1000);
			await mini.rings.stop();
			assert.equal(rows.length, 1000);
			assert.deepEqual(mini.counts(), { matched: 1000, emitted: 1000, ringFull: 0 });
			assert.ok(rows.every((row, index) => index === 0 || row.timeNs >= (rows[index - 1] as Row).timeNs));
		});

		it("gives what lay in the rings before draining began", async () => {
			mini = new Miniature({ kind });
			emit(10);
			let records = 0;
			mini.rings.drain((batch) => {
				records += batch.records;
				mini.rings.release(batch);
			});
			await mini.rings.stop();
			assert.equal(records, 10);
		});

		it("counts on, again and again, when it is drained anew", async () => {
			mini = new Miniature({ kind });
			for (let round = 1; round <= 3; round++) {
				let records = 0;
				mini.rings.drain((batch) => {
					records += batch.records;
					mini.rings.release(batch);
				});
				emit(round * 10);
				await mini.rings.stop();
				assert.equal(records, round * 10);
			}
		});

		it("gives watermarks when idle, close to now and never going back", async () => {
			mini = new Miniature({ kind, intervalMs: 5 });
			const watermarks: bigint[] = [];
			mini.rings.drain((batch) => {
				assert.ok(process.hrtime.bigint() > batch.watermarkNs);
				watermarks.push(batch.watermarkNs);
				mini.rings.release(batch);
			});
			await delay(100);
			const now = process.hrtime.bigint();
			await mini.rings.stop();
			assert.ok(watermarks.length >= 8, `${watermarks.length} in 100 ms`);
			assert.deepEqual(watermarks, [...watermarks].sort());
			assert.ok(now - (watermarks.at(-1) as bigint) < 50_000_000n);
		});

		it("fills batches to the brim", async () => {
			mini = new Miniature({ kind, batchRecords: 16, intervalMs: 1000 });
			const sizes: number[] = [];
			emit(40);
			mini.rings.drain((batch) => {
				sizes.push(batch.records);
				mini.rings.release(batch);
			});
			await mini.rings.stop();
			assert.deepEqual(sizes, [16, 16, 8]);
		});

		it("waits when all batches are out, so that the kernel counts the loss", async () => {
			mini = new Miniature({ kind, bytesPerRing: 4096, batchRecords: 10, credits: 2, intervalMs: 1 });
			const out: RawBatch[] = [];
			emit(20);
			mini.rings.drain((batch) => out.push(batch));
			await delay(50);
			assert.deepEqual(
				out.map(({ records }) => records),
				[10, 10],
			);
			emit(1000);
			await delay(20);
			assert.equal(out.length, 2);
			assert.notEqual((out[0] as RawBatch).buffer, (out[1] as RawBatch).buffer);
			const { emitted, ringFull } = mini.counts();
			assert.ok(ringFull > 0);
			let drained = 20;
			const stopped = mini.rings.stop();
			while (drained < emitted) {
				for (const batch of out.splice(0)) mini.rings.release(batch);
				await delay(1);
				drained += out.reduce((sum, { records }) => sum + records, 0);
			}
			for (const batch of out.splice(0)) mini.rings.release(batch);
			await stopped;
			assert.equal(drained, emitted);
		});

		it("refuses a batch that is not out, and a second drain", async () => {
			mini = new Miniature({ kind });
			const { promise, resolve } = withResolvers<RawBatch>();
			mini.rings.drain(resolve);
			assert.throws(() => mini.rings.drain(() => undefined), nativeError("EBUSY"));
			const batch = await promise;
			mini.rings.release(batch);
			assert.throws(() => mini.rings.release(batch), nativeError("EINVAL", /not out/));
			assert.throws(() => mini.rings.release({ ...batch, buffer: new ArrayBuffer(8) }), nativeError("EINVAL"));
			await mini.rings.stop();
			await mini.rings.stop();
		});

		it("can be closed at any time, also by what it calls", async () => {
			mini = new Miniature({ kind });
			mini.rings.drain(() => undefined);
			const stopped = mini.rings.stop();
			mini.rings.close();
			await assert.rejects(stopped, nativeError("ECANCELED"));
			assert.throws(() => mini.rings.drain(() => undefined), nativeError("EBADF"));
			mini.close();
			mini = new Miniature({ kind });
			const { promise, resolve } = withResolvers<void>();
			mini.rings.drain((batch) => {
				mini.rings.close();
				new Uint8Array(batch.buffer).fill(1); // Old bytes, but never freed ones.
				resolve();
			});
			await promise;
		});

		it("refuses sizes that the kernel does not know", () => {
			mini = new Miniature({ kind });
			if (kind === "ringbuf") {
				assert.throws(() => new Miniature({ kind, bytesPerRing: 5000 }), nativeError("EINVAL", /5000 bytes/));
			}
			assert.throws(() => new Miniature({ kind, recordSize: 4 }), RangeError);
			assert.throws(() => new Miniature({ kind, credits: 0 }), RangeError);
		});
	});

	describe(`rings of kind ${kind} under a flood from all CPUs`, () => {
		let space: Space;
		let netns: Netns;
		inSpaces((made, opened) => {
			space = made;
			netns = opened;
		});

		for (const [size, bytesPerRing] of [
			["far too small", 4096],
			["small", 65536],
			["ample", 8 << 20],
		] as const) {
			it(`accounts for every packet with rings ${size}`, async () => {
				const mini = new Miniature({ kind, bytesPerRing, batchRecords: 1000 });
				const links: Link[] = [];
				for (const [ifindex, egress] of [
					[space.near, true],
					[space.far, false],
				] as const) {
					links.push(await addon().attachTcx({ program: mini.emit, ifindex, egress, netns }));
				}
				const [seen, nextNumber] = [{ records: 0, outOfOrder: 0, torn: 0, behind: 0 }, new Map<number, bigint>()];
				let [last, watermark] = [0n, 0n];
				mini.rings.drain((batch) => {
					for (const { timeNs, number, cpu } of rowsOf(batch)) {
						if (timeNs < last) seen.outOfOrder++;
						if (timeNs < watermark) seen.behind++;
						if (number !== (nextNumber.get(cpu) ?? 0n)) seen.torn++;
						nextNumber.set(cpu, number + 1n);
						last = timeNs;
					}
					seen.records += batch.records;
					watermark = batch.watermarkNs;
					mini.rings.release(batch);
				});
				const sent = (await Promise.all([space.flood({ packets: 100_000 }), space.flood({ packets: 100_000 })])).reduce(
					(a, b) => a + b,
				);
				for (const link of links) link.update(mini.noop);
				await addon().synchronizePrograms();
				await mini.rings.stop();
				const { matched, emitted, ringFull } = mini.counts();
				assert.equal(matched, 2 * sent);
				assert.equal(emitted + ringFull, matched);
				assert.deepEqual(seen, { records: emitted, outOfOrder: 0, torn: 0, behind: 0 });
				if (size === "far too small") assert.ok(ringFull > 0, "the rings were large enough");
				if (size === "ample") assert.equal(ringFull, 0);
				for (const link of links) link.close();
				mini.close();
			});
		}
	});
}

function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
	let resolve: (value: Value) => void = () => undefined;
	const promise = new Promise<Value>((settle) => {
		resolve = settle;
	});
	return { promise, resolve };
}
