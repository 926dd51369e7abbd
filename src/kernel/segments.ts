import { addon } from "./addon.js";
import { ENUMS, LAYOUT, LIMITS } from "./layout.generated.js";
import type { BpfMap, BpfProgram } from "./native.js";
import { perCpu, u32Key, u64 } from "./values.js";

/** struct weft_segment with its histogram over all CPUs: how long packets took from one hook to another. */
export interface Segment {
	/** Its own, until its entry is given back. */
	readonly index: number;
	/** Of all that names it: what two entries have in common when they are of one segment. */
	readonly hash: bigint;
	/** enum weft_segment_kind. */
	readonly kind: number;
	/** 0 and 0 where a kind has no origin. Of the rest (see REST) ifindexes are classes of hooks. */
	readonly fromIfindex: number;
	readonly fromHookSet: number;
	readonly toIfindex: number;
	readonly toHookSet: number;
	/** enum weft_group decides what it means; REST: had no room of its own. */
	readonly group: number;
	/** The raw struct weft_flow; meaningful when grouped by flow. */
	readonly flow: Uint8Array;
	readonly count: number;
	readonly sumNs: number;
	/** Since the beginning; 0 without samples. */
	readonly minNs: number;
	readonly maxNs: number;
	/** Packets by duration, see latency.h for the scale; they wrap at 2³², so add up differences. */
	readonly buckets: Uint32Array;
}

/** WEFT_GROUP_OTHER, as a Segment's group. */
export const REST = 0xffffffff;

/** What names an entry, without its counts: a segment's, or a hook's that has a count for each reason. */
export type SegmentName = Omit<Segment, keyof Histogram>;

/** The kernel's table of segments: its programs take entries, user space gives them back. */
export class SegmentTable {
	readonly #segments: BpfMap;
	readonly #histograms: BpfMap;
	readonly #reasons: BpfMap;
	readonly #retire: BpfProgram;
	readonly #free: BpfProgram;

	constructor({ segments, histograms, reasons, retire, free }: SegmentTableParts) {
		this.#segments = segments;
		this.#histograms = histograms;
		this.#reasons = reasons;
		this.#retire = retire;
		this.#free = free;
	}

	/** Every segment that is in use. */
	read(): readonly Segment[] {
		return this.#names().flatMap((name) => this.#counted(name));
	}

	/**
	 * Frees the entries of segments that are over, and of those that have two. No packet is lost: one that comes meanwhile
	 * takes an entry anew.
	 * @param take is given what they counted at the very moment from which `read` does not have it any more
	 */
	async release(isOver: (name: SegmentName) => boolean, take: (last: readonly Segment[]) => void): Promise<void> {
		const once = new Set<bigint>();
		const over = this.#names().filter((name) => {
			const again = once.has(name.hash);
			once.add(name.hash);
			return again || isOver(name);
		});
		if (over.length === 0) return;
		for (const { index } of over) this.#run(this.#retire, index);
		// Programs that had found an entry before may still be counting there.
		await addon().synchronizePrograms();
		const last = over.flatMap((name) => this.#counted(name));
		for (const { index } of over) {
			const [counts, key, size] = this.#countsAt(index);
			counts.update(key, new Uint8Array(((size + 7) & ~7) * addon().possibleCpus));
			this.#segments.update(u32Key(index), RETIRED);
			this.#run(this.#free, index);
		}
		take(last);
	}

	#names(): readonly SegmentName[] {
		const found: SegmentName[] = [];
		for (let index = 0; index < this.#segments.maxEntries; index++) {
			const bytes = this.#segments.lookup(u32Key(index));
			if (bytes === null) continue;
			const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
			if (view.getUint32(SEGMENT.ready.offset, true) === 0) continue;
			found.push({
				index,
				hash: view.getBigUint64(SEGMENT.hash.offset, true),
				kind: view.getUint8(SEGMENT.kind.offset),
				fromIfindex: view.getUint32(SEGMENT.from_ifindex.offset, true),
				fromHookSet: view.getUint16(SEGMENT.from_hook_set.offset, true),
				toIfindex: view.getUint32(SEGMENT.to_ifindex.offset, true),
				toHookSet: view.getUint16(SEGMENT.to_hook_set.offset, true),
				group: view.getUint32(SEGMENT.group.offset, true),
				flow: bytes.slice(SEGMENT.flow.offset, SEGMENT.flow.offset + SEGMENT.flow.size),
			});
		}
		return found;
	}

	/** Where an entry counts: the first ones have histograms, the others reasons. */
	#countsAt(index: number): readonly [counts: BpfMap, key: Uint8Array, size: number] {
		const timed = this.#histograms.maxEntries;
		if (index < timed) return [this.#histograms, u32Key(index), LAYOUT.weft_histogram.size];
		return [this.#reasons, u32Key(index - timed), LAYOUT.weft_reasons.size];
	}

	#counted(name: SegmentName): readonly Segment[] {
		const [counts, key] = this.#countsAt(name.index);
		const values = counts.lookup(key);
		return name.kind === ENUMS.weft_segment_kind.WEFT_SEGMENT_REASONS
			? reasons(name, values)
			: [{ ...name, ...sum(values) }];
	}

	/** On an empty frame that goes nowhere: the entry is told by skb->mark. */
	#run(program: BpfProgram, index: number): void {
		program.testRun(new Uint8Array(FRAME_BYTES), { context: new Uint8Array(Uint32Array.of(0, 0, index).buffer) });
	}
}

export interface SegmentTableParts {
	readonly segments: BpfMap;
	readonly histograms: BpfMap;
	readonly reasons: BpfMap;
	/** weft_retire_segment, weft_free_segment. */
	readonly retire: BpfProgram;
	readonly free: BpfProgram;
}

/** The smallest Ethernet frame. */
const FRAME_BYTES = 60;

const SEGMENT = LAYOUT.weft_segment.members;
const HISTOGRAM = LAYOUT.weft_histogram.members;

/** An entry of which only the hash (WEFT_SEGMENT_RETIRED) is left. */
const RETIRED = new Uint8Array(LAYOUT.weft_segment.size);
new DataView(RETIRED.buffer).setBigUint64(SEGMENT.hash.offset, 1n, true);

type Histogram = Pick<Segment, "count" | "sumNs" | "minNs" | "maxNs" | "buckets">;

function sum(values: Uint8Array | null): Histogram {
	let [count, sumNs, minNs, maxNs] = [0, 0, Number.POSITIVE_INFINITY, 0];
	const buckets = new Uint32Array(LIMITS.buckets);
	for (const [view, base] of perCpu(values, LAYOUT.weft_histogram.size)) {
		const here = u64(view, base + HISTOGRAM.count.offset);
		if (here === 0) continue;
		count += here;
		sumNs += u64(view, base + HISTOGRAM.sum_ns.offset);
		minNs = Math.min(minNs, u64(view, base + HISTOGRAM.min_ns.offset));
		maxNs = Math.max(maxNs, u64(view, base + HISTOGRAM.max_ns.offset));
		for (let bucket = 0; bucket < buckets.length; bucket++) {
			const packets = view.getUint32(base + HISTOGRAM.buckets.offset + bucket * 4, true);
			buckets[bucket] = (buckets[bucket] as number) + packets;
		}
	}
	return { count, sumNs, minNs: count === 0 || minNs === Number.POSITIVE_INFINITY ? 0 : minNs, maxNs, buckets };
}

const NO_BUCKETS = new Uint32Array(LIMITS.buckets);

/** A hook's packets without a sample: one segment for each reason that there was. */
function reasons(name: SegmentName, values: Uint8Array | null): readonly Segment[] {
	const counts = new Array<number>(LIMITS.segment_kinds).fill(0);
	for (const [view, base] of perCpu(values, LAYOUT.weft_reasons.size)) {
		for (let kind = 0; kind < counts.length; kind++)
			counts[kind] = (counts[kind] as number) + u64(view, base + kind * 8);
	}
	return counts.flatMap((count, kind) => {
		if (count === 0) return [];
		// Behind all that entries of their own have, so that it is nobody else's.
		const index = (name.index + 1) * counts.length + kind + MOST_ENTRIES;
		return [{ ...name, index, kind, count, sumNs: 0, minNs: 0, maxNs: 0, buckets: NO_BUCKETS }];
	});
}

/** Of the table, in any case. */
const MOST_ENTRIES = 2 ** 24;
