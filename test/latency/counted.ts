import { ENUMS } from "../../src/kernel/layout.generated.js";
import type { Segment } from "../../src/kernel/segments.js";
import { BUCKETS, bucketOf } from "../../src/latency/scale.js";

const { WEFT_SEGMENT_HOP } = ENUMS.weft_segment_kind;

/** A segment as the kernel would have counted these durations (ns). Ends are `hookSet/ifindex`. */
export function counted(
	index: number,
	from: string | null,
	to: string,
	durations: readonly number[],
	fields: Partial<Segment> = {},
): Segment {
	const [fromHookSet = 0, fromIfindex = 0] = (from ?? "0/0").split("/").map(Number);
	const [toHookSet = 0, toIfindex = 0] = to.split("/").map(Number);
	const buckets = new Uint32Array(BUCKETS);
	for (const ns of durations) buckets[bucketOf(ns)] = (buckets[bucketOf(ns)] as number) + 1;
	return {
		...{
			index,
			hash: BigInt(index + 2),
			kind: WEFT_SEGMENT_HOP,
			fromHookSet,
			fromIfindex,
			toHookSet,
			toIfindex,
			group: 0,
		},
		flow: new Uint8Array(40),
		count: durations.length,
		sumNs: durations.reduce((sum, ns) => sum + ns, 0),
		minNs: durations.length === 0 ? 0 : Math.min(...durations),
		maxNs: durations.length === 0 ? 0 : Math.max(...durations),
		buckets,
		...fields,
	};
}
