import { readFileSync } from "node:fs";
import { addon } from "../../src/kernel/addon.js";
import type {
	BpfMap,
	BpfObject,
	BpfProgram,
	NativeError,
	RawBatch,
	RingOptions,
	Rings,
} from "../../src/kernel/native.js";

/** Compiled from programs.bpf.c. */
export const PROGRAMS = readFileSync(new URL("programs.bpf.o", import.meta.url));

/** struct record of programs.bpf.c, in bytes. */
export const RECORD = 32;

/** Compiled from records.bpf.c. */
const RECORD_PROGRAMS = readFileSync(new URL("records.bpf.o", import.meta.url));

/** The tracer in miniature: rings, of ring buffers unless told otherwise, and the programs that fill them. */
export class Miniature {
	readonly rings: Rings;
	readonly object: BpfObject;
	readonly emit: BpfProgram;
	readonly noop: BpfProgram;
	readonly counters: BpfMap;

	constructor(options: Partial<RingOptions> = {}) {
		this.rings = addon().createRings({
			kind: "ringbuf",
			bytesPerRing: 1 << 20,
			recordSize: RECORD,
			batchRecords: 4096,
			credits: 8,
			intervalMs: 10,
			...options,
		});
		this.object = addon().openObject(options.kind === "records" ? RECORD_PROGRAMS : PROGRAMS);
		for (const map of this.rings.maps) this.object.reuseMap(map.name, map);
		this.object.load();
		this.emit = this.object.program("emit");
		this.noop = this.object.program("noop");
		this.counters = this.object.map("counters");
	}

	/** matched, emitted, ring_full over all CPUs. */
	counts(): { matched: number; emitted: number; ringFull: number } {
		const words = new BigUint64Array((this.counters.lookup(new Uint8Array(4)) as Uint8Array).slice().buffer);
		const sum = (column: number) =>
			Number(words.reduce((total, word, index) => (index % 4 === column ? total + word : total), 0n));
		return { matched: sum(0), emitted: sum(1), ringFull: sum(2) };
	}

	close(): void {
		this.rings.close();
		for (const each of [this.object, this.emit, this.noop, this.counters, ...this.rings.maps]) each.close();
	}
}

/** Program "answer" with what it is to return, "pass" and "noop". */
export function answering(answer: number): BpfObject {
	const object = addon().openObject(PROGRAMS);
	object.setAutoload("emit", false);
	object.setRodata(0, new Uint8Array(Int32Array.of(answer).buffer));
	object.load();
	return object;
}

export interface Row {
	readonly timeNs: bigint;
	readonly number: bigint;
	readonly cpu: number;
}

export function rowsOf(batch: RawBatch): Row[] {
	const view = new DataView(batch.buffer);
	return Array.from({ length: batch.records }, (_, index) => ({
		timeNs: view.getBigUint64(index * RECORD, true),
		number: view.getBigUint64(index * RECORD + 8, true),
		cpu: view.getUint32(index * RECORD + 16, true),
	}));
}

/** For assert.throws and assert.rejects. */
export function nativeError(code: string, words?: RegExp): (cause: unknown) => boolean {
	return (cause) => {
		const error = cause as NativeError;
		if (error.name !== "NativeError" || error.code !== code || typeof error.errno !== "number") throw error;
		if (words !== undefined && !words.test(`${error.operation}\n${error.detail}`)) throw error;
		return true;
	};
}

/** A packet that no program looks into. */
export const PACKET = new Uint8Array(64);
