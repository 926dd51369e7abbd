/** The latency program under test: instances that share dist/bpf/latency.bpf.o's maps, and what they counted. */
import { readFileSync } from "node:fs";
import { addon } from "../../src/kernel/addon.js";
import { LIMITS } from "../../src/kernel/layout.generated.js";
import type { BpfMap, BpfObject, BpfProgram, Closeable, StructLayout } from "../../src/kernel/native.js";
import { type Context, encodeContext, encodeKnobs, type Knobs } from "./tracer.js";

const OBJECT = new URL("../../bpf/latency.bpf.o", import.meta.url);
const MAPS = [
	...["hops", "segments", "histograms", "reasons", "classes", "latency_counters", "latency_cpus", "anchor"],
] as const;

/** Entries for hooks. */
const HOOKS = 64;

/** enum weft_segment_kind of bpf/latency.h. */
export const KIND = {
	hop: 0,
	transit: 1,
	merged: 2,
	segmented: 3,
	cloned: 4,
	evicted: 5,
	transition: 6,
	unseen: 7,
} as const;

export interface CountedSegment {
	readonly kind: number;
	readonly fromIfindex: number;
	readonly fromHookSet: number;
	readonly toIfindex: number;
	readonly toHookSet: number;
	readonly group: number;
	readonly sourcePort: number;
	readonly destinationPort: number;
	readonly count: number;
	readonly sumNs: number;
	readonly minNs: number;
	readonly maxNs: number;
	/** Index → count, not empty ones. */
	readonly buckets: ReadonlyMap<number, number>;
}

export class Stopwatch implements Closeable {
	readonly #elf = readFileSync(OBJECT);
	readonly #layouts = addon().btfLayouts(this.#elf);
	readonly #objects: BpfObject[] = [];
	readonly #entries: number;
	#shared: ReadonlyMap<string, BpfMap> | null = null;

	/** @param entries of the table of segments for details, a power of two */
	constructor(entries = 1024) {
		this.#entries = entries;
	}

	load(knobs: Knobs): { readonly program: BpfProgram; run(packet: Uint8Array, context?: Context): void } {
		const object = addon().openObject(this.#elf);
		this.#objects.push(object);
		object.setRodata(0, encodeKnobs({ ...knobs, segmentMask: this.#entries - 1, hookMask: HOOKS - 1 }));
		object.setMaxEntries("segments", this.#timed + HOOKS);
		object.setMaxEntries("histograms", this.#timed);
		object.setMaxEntries("reasons", HOOKS);
		for (const [name, map] of this.#shared ?? []) {
			object.reuseMap(name, map);
		}
		object.load();
		this.#shared ??= new Map(MAPS.map((name) => [name, object.map(name)]));
		const program = object.program("weft_latency");
		return {
			program,
			run: (packet, context = {}) => {
				program.testRun(packet, { context: encodeContext(context) });
			},
		};
	}

	/** Entries that have histograms. */
	get #timed(): number {
		return this.#entries + LIMITS.rest_segments;
	}

	noop(): BpfProgram {
		const object = this.#objects[0];
		if (object === undefined) {
			throw new Error("load an instance first");
		}
		return object.program("weft_noop");
	}

	/** Of a hook set: [seen, untracked]. */
	counters(hookSet: number): readonly [number, number] {
		const value = this.#map("latency_counters").lookup(key(hookSet));
		const { size, members } = this.#layout("weft_latency_counters");
		return [sum(value, size, members["seen"]), sum(value, size, members["untracked"])];
	}

	/** Names a place for samples that find no room of their own. */
	classify(hookSet: number, ifindex: number, id: number): void {
		this.#map("classes").update(new Uint8Array(Uint32Array.of(ifindex, hookSet).buffer), key(id));
	}

	segments(): readonly CountedSegment[] {
		const found: CountedSegment[] = [];
		for (let index = 0; index < this.#timed + HOOKS; index++) {
			const segment = this.#map("segments").lookup(key(index));
			const at = this.#layout("weft_segment").members;
			if (segment === null || read(segment, 0, at["ready"]) === 0) {
				continue;
			}
			const name = {
				fromIfindex: read(segment, 0, at["from_ifindex"]),
				toIfindex: read(segment, 0, at["to_ifindex"]),
				fromHookSet: read(segment, 0, at["from_hook_set"]),
				toHookSet: read(segment, 0, at["to_hook_set"]),
				group: read(segment, 0, at["group"]),
				sourcePort: read(segment, 0, at["flow.source_port"]),
				destinationPort: read(segment, 0, at["flow.destination_port"]),
			};
			if (index >= this.#timed) {
				const counts = this.#map("reasons").lookup(key(index - this.#timed));
				const { size } = this.#layout("weft_reasons");
				for (let kind = 0; kind < size / 8; kind++) {
					const count = sum(counts, size, { offset: kind * 8, size: 8 });
					if (count > 0) found.push({ ...name, kind, count, sumNs: 0, minNs: 0, maxNs: 0, buckets: new Map() });
				}
				continue;
			}
			const histogram = this.#map("histograms").lookup(key(index));
			const { size, members } = this.#layout("weft_histogram");
			const buckets = new Map<number, number>();
			const { offset = 0, size: bytes = 0 } = members["buckets"] ?? {};
			for (let i = 0; i < bytes / 4; i++) {
				const count = sum(histogram, size, { offset: offset + i * 4, size: 4 });
				if (count > 0) {
					buckets.set(i, count);
				}
			}
			found.push({
				...name,
				kind: read(segment, 0, at["kind"]),
				count: sum(histogram, size, members["count"]),
				sumNs: sum(histogram, size, members["sum_ns"]),
				// Tests run on one CPU: the others' minima and maxima are 0.
				minNs: sum(histogram, size, members["min_ns"]),
				maxNs: sum(histogram, size, members["max_ns"]),
				buckets,
			});
		}
		return found;
	}

	close(): void {
		for (const object of this.#objects) {
			object.close();
		}
		for (const map of this.#shared?.values() ?? []) {
			map.close();
		}
	}

	#map(name: (typeof MAPS)[number]): BpfMap {
		const map = this.#shared?.get(name);
		if (map === undefined) {
			throw new Error(`load an instance before asking for ${name}`);
		}
		return map;
	}

	#layout(name: string): StructLayout {
		const layout = this.#layouts[name];
		if (layout === undefined) {
			throw new Error(`no struct ${name} in the object`);
		}
		return layout;
	}
}

/** From (inclusive) and to (exclusive), ns, of a bucket: as bpf/latency.h says. */
export function bucketBounds(index: number): readonly [number, number] {
	if (index < 32) {
		return [index, index + 1];
	}
	const width = 2 ** (Math.floor(index / 32) - 1);
	const from = (32 + (index % 32)) * width;
	return [from, from + width];
}

type Member = { readonly offset: number; readonly size: number } | undefined;

function key(index: number): Uint8Array {
	return new Uint8Array(Uint32Array.of(index).buffer);
}

function read(bytes: Uint8Array, base: number, member: Member): number {
	if (member === undefined) {
		throw new Error("the struct has no such member");
	}
	const view = new DataView(bytes.buffer, bytes.byteOffset + base + member.offset);
	switch (member.size) {
		case 1:
			return view.getUint8(0);
		case 2:
			return view.getUint16(0, true);
		case 4:
			return view.getUint32(0, true);
		default:
			return Number(view.getBigUint64(0, true));
	}
}

/** Over all CPUs. */
function sum(perCpu: Uint8Array | null, size: number, member: Member): number {
	let total = 0;
	const stride = Math.ceil(size / 8) * 8;
	for (let base = 0; perCpu !== null && base + stride <= perCpu.length; base += stride) {
		total += read(perCpu, base, member);
	}
	return total;
}
