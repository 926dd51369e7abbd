import { LAYOUT, LIMITS } from "./layout.generated.js";
import type { BpfMap } from "./native.js";
import { perCpu, u32Key, u64 } from "./values.js";

/** struct weft_segment with its histogram over all CPUs: how long packets took from one hook to another. */
export interface Segment {
	/** Names it as long as the stopwatch runs. */
	readonly index: number;
	/** enum weft_segment_kind. */
	readonly kind: number;
	/** 0 and 0 where a kind has no origin. */
	readonly fromIfindex: number;
	readonly fromHookSet: number;
	readonly toIfindex: number;
	readonly toHookSet: number;
	/** enum weft_group decides what it means; 0xffffffff: had no room of its own. */
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

/** Every segment that is in use. */
export function readSegments(segments: BpfMap, histograms: BpfMap): readonly Segment[] {
	const found: Segment[] = [];
	for (let index = 0; index < segments.maxEntries; index++) {
		const bytes = segments.lookup(u32Key(index));
		if (bytes === null) continue;
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		if (view.getUint32(SEGMENT.ready.offset, true) === 0) continue;
		found.push({
			index,
			kind: view.getUint8(SEGMENT.kind.offset),
			fromIfindex: view.getUint32(SEGMENT.from_ifindex.offset, true),
			fromHookSet: view.getUint16(SEGMENT.from_hook_set.offset, true),
			toIfindex: view.getUint32(SEGMENT.to_ifindex.offset, true),
			toHookSet: view.getUint16(SEGMENT.to_hook_set.offset, true),
			group: view.getUint32(SEGMENT.group.offset, true),
			flow: bytes.slice(SEGMENT.flow.offset, SEGMENT.flow.offset + SEGMENT.flow.size),
			...sum(histograms.lookup(u32Key(index))),
		});
	}
	return found;
}

const SEGMENT = LAYOUT.weft_segment.members;
const HISTOGRAM = LAYOUT.weft_histogram.members;

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
