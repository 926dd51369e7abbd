import type { Histogram } from "./histogram.js";
import type { Segment } from "./report.js";

/** What names a segment. */
export type SegmentPlace = Pick<Segment, "kind" | "node" | "device" | "from" | "to" | "group">;

/** A segment with the figures of its histogram. */
export function segmentOf(
	{ kind, node, device, from, to, group }: SegmentPlace,
	histogram: Histogram,
	{ clockErrorNs, unmatched }: Pick<Segment, "clockErrorNs" | "unmatched">,
): Segment {
	const some = histogram.count > 0;
	return {
		...{ kind, node, device, from, to, group },
		count: histogram.count,
		sumNs: histogram.sumNs,
		minNs: some ? histogram.minNs : null,
		p50Ns: histogram.quantile(0.5),
		p90Ns: histogram.quantile(0.9),
		p99Ns: histogram.quantile(0.99),
		p999Ns: histogram.quantile(0.999),
		maxNs: some ? histogram.maxNs : null,
		clockErrorNs,
		buckets: histogram.buckets(),
		unmatched,
	};
}
