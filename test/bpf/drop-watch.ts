/** The drop program under test, attached for the whole machine, with its records and counts. */
import { readFileSync } from "node:fs";
import { addon } from "../../src/kernel/addon.js";
import { reasonNames } from "../../src/kernel/drops.js";
import type { BpfMap, BpfObject, BpfProgram, Closeable, Rings, StructLayout } from "../../src/kernel/native.js";
import { encodeKnobs, type Knobs, type Tracer } from "./tracer.js";

const OBJECT = new URL("../../bpf/drops.bpf.o", import.meta.url);

/** enum weft_drop_flags of bpf/drops.h. */
export const ORIGIN = { rxSocket: 1, socket: 2, device: 4, route: 8, hop: 16 } as const;

/** One struct weft_drop: its members by C's names, numbers up to 32 bits as numbers. */
export interface Drop {
	readonly numbers: Readonly<Record<string, number>>;
	readonly source: string;
	readonly destination: string;
	readonly cookie: string;
	readonly reason: string;
}

export class DropWatch implements Closeable {
	readonly program: BpfProgram;
	readonly #elf = readFileSync(OBJECT);
	readonly #layouts = addon().btfLayouts(this.#elf);
	readonly #records: Uint8Array[] = [];
	readonly #rings: Rings;
	readonly #object: BpfObject;
	readonly #link: Closeable;

	/** @param namespaces cookie → id, whose drops are wanted. @param tracer whose slots say where packets were last */
	constructor(namespaces: ReadonlyMap<string, number>, tracer: Tracer | null = null, knobs: Knobs = {}) {
		this.#rings = addon().createRings({
			kind: "ringbuf",
			bytesPerRing: 1 << 18,
			recordSize: this.#layout("weft_drop").size,
			batchRecords: 1024,
			credits: 16,
			intervalMs: 1,
		});
		this.#object = addon().openObject(this.#elf);
		this.#object.setRodata(0, encodeKnobs({ ...knobs, l3: true }));
		for (const map of this.#rings.maps) this.#object.reuseMap(map.name, map);
		if (tracer !== null) {
			this.#object.reuseMap("slots", tracer.map("slots"));
			this.#object.reuseMap("shared", tracer.map("shared"));
		}
		this.#object.load();
		this.program = this.#object.program("weft_drops");
		const map = this.#object.map("namespaces");
		for (const [cookie, id] of namespaces) {
			map.update(bytesOf(BigInt(cookie), 8), new Uint8Array(Uint32Array.of(id, id).buffer));
		}
		map.close();
		this.#link = addon().attachTracing(this.program);
		this.#rings.drain((batch) => {
			const { size } = this.#layout("weft_drop");
			for (let i = 0; i < batch.records; i++) {
				this.#records.push(new Uint8Array(batch.buffer.slice(i * size, (i + 1) * size)));
			}
			this.#rings.release(batch);
		});
	}

	/** Detaches, and returns every record. */
	async finish(): Promise<readonly Drop[]> {
		this.#link.close();
		await this.#rings.stop();
		return this.#records.map((record) => this.#decode(record));
	}

	/** struct weft_drop_counters over all CPUs. */
	counters(): Readonly<Record<string, number>> {
		const { size, members } = this.#layout("weft_drop_counters");
		const map = this.#object.map("drop_counters");
		const value = map.lookup(new Uint8Array(4)) ?? new Uint8Array(0);
		map.close();
		return Object.fromEntries(
			Object.entries(members).map(([name, { offset }]) => {
				let total = 0;
				for (let at = 0; at + size <= value.length; at += size) {
					total += Number(new DataView(value.buffer, value.byteOffset).getBigUint64(at + offset, true));
				}
				return [name, total];
			}),
		);
	}

	/** Sum of drop_counts by reason. */
	counts(): ReadonlyMap<string, number> {
		const map: BpfMap = this.#object.map("drop_counts");
		const counts = new Map<string, number>();
		const keys = map.keys();
		const { size, members } = this.#layout("weft_drop_count");
		const reasonAt = this.#layout("weft_drop_key").members["reason"]?.offset ?? 0;
		for (let at = 0; at < keys.length; at += map.keySize) {
			const key = keys.subarray(at, at + map.keySize);
			const value = map.lookup(key) ?? new Uint8Array(0);
			const reason = reasonName(new DataView(key.buffer, key.byteOffset).getUint32(reasonAt, true));
			for (let cpu = 0; cpu + size <= value.length; cpu += size) {
				const count = new DataView(value.buffer, value.byteOffset + cpu + (members["count"]?.offset ?? 0));
				counts.set(reason, (counts.get(reason) ?? 0) + Number(count.getBigUint64(0, true)));
			}
		}
		map.close();
		return counts;
	}

	close(): void {
		this.#link.close();
		this.program.close();
		this.#object.close();
		this.#rings.close();
	}

	#decode(record: Uint8Array): Drop {
		const view = new DataView(record.buffer, record.byteOffset);
		const numbers: Record<string, number> = {};
		const { members } = this.#layout("weft_drop");
		for (const [name, { offset, size }] of Object.entries(members)) {
			if (size <= 4) {
				numbers[name] =
					size === 4 ? view.getUint32(offset, true) : size === 2 ? view.getUint16(offset, true) : view.getUint8(offset);
			}
		}
		const address = (name: string): string => {
			const offset = members[name]?.offset ?? 0;
			return record.subarray(offset + 12, offset + 16).join(".");
		};
		return {
			numbers,
			source: address("source"),
			destination: address("destination"),
			cookie: view.getBigUint64(members["netns_cookie"]?.offset ?? 0, true).toString(),
			reason: reasonName(numbers["reason"] ?? 0),
		};
	}

	#layout(name: string): StructLayout {
		const layout = this.#layouts[name];
		if (layout === undefined) {
			throw new Error(`no struct ${name} in the object`);
		}
		return layout;
	}
}

let reasons: ReadonlyMap<number, string> | null = null;

/** "NO_SOCKET", as the running kernel numbers them. */
function reasonName(reason: number): string {
	reasons ??= reasonNames();
	return reasons.get(reason) ?? String(reason);
}

function bytesOf(value: bigint, size: 4 | 8): Uint8Array {
	const bytes = new Uint8Array(8);
	new DataView(bytes.buffer).setBigUint64(0, value, true);
	return bytes.subarray(0, size);
}
