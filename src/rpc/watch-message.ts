import type { DropReport } from "../latency/drop-report.js";
import type { Segment, SegmentEnd } from "../latency/report.js";
import { bucketOf } from "../latency/scale.js";
import { directionNumber, roleNumber } from "./hook-message.js";
import { endpoint, wallOf } from "./path-message.js";

/** What was timed since the last one. Buckets go by their index on the kernel's scale. */
export function segmentMessage(segment: Segment): object {
	const { node, kind, device, group, from, to, count, sumNs, minNs, maxNs, buckets, unmatched } = segment;
	return {
		...{ node, kind, device: device ?? "", group: group ?? "" },
		from: from === null ? null : endMessage(from),
		to: to === null ? null : endMessage(to),
		...{ count, sumNs, minNs: minNs ?? 0, maxNs: maxNs ?? 0 },
		bucket: buckets.map(({ fromNs }) => bucketOf(fromNs)),
		bucketCount: buckets.map((bucket) => bucket.count),
		unmatched: Object.entries(unmatched).map(([cause, packets]) => ({ cause, count: packets })),
	};
}

export function dropMessage(drop: DropReport): object {
	const { node, count, kernelReason, kernelFunction, diagnosis, explanation, remedy, hop, protocol } = drop;
	return {
		...{ node, timeNs: wallOf(drop.time), count, kernelReason, kernelFunction: kernelFunction ?? "" },
		...{ diagnosis: diagnosis ?? "", explanation: explanation ?? "", remedy: remedy ?? "" },
		hop: hop === null ? null : { node, device: hop.device, direction: directionNumber(hop.direction) },
		protocol,
		source: drop.source === null ? null : endpoint(drop.source),
		destination: drop.destination === null ? null : endpoint(drop.destination),
		path: drop.path ?? "",
	};
}

function endMessage({ node, device, direction, role }: SegmentEnd): object {
	return { node, device, direction: directionNumber(direction), role: roleNumber(role) };
}
