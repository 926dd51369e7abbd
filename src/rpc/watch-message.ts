import { Histogram } from "../latency/histogram.js";
import type { Segment, SegmentEnd } from "../latency/report.js";
import { BUCKETS, bucketOf } from "../latency/scale.js";
import { type SegmentPlace, segmentOf } from "../latency/segment.js";
import { numberOf } from "./codec.js";
import { DIRECTIONS, directionNumber, ROLES, roleNumber } from "./hook-message.js";
import type { SegmentDeltaMessage, SegmentEndMessage } from "./messages.js";

/** What was timed since the last one. Buckets go by their index on the kernel's scale. */
export function segmentMessage(segment: Segment): SegmentDeltaMessage {
	const { node, kind, device, group, from, to, count, sumNs, minNs, maxNs, buckets, unmatched } = segment;
	return {
		...{ node, kind, device: device ?? "", group: group ?? "" },
		from: from === null ? null : endMessage(from),
		to: to === null ? null : endMessage(to),
		fromPod: from?.pod ?? "",
		toPod: to?.pod ?? "",
		clockErrorNs: Math.round(segment.clockErrorNs),
		...{ count, sumNs, minNs: minNs ?? 0, maxNs: maxNs ?? 0 },
		bucket: buckets.map(({ fromNs }) => bucketOf(fromNs)),
		bucketCount: buckets.map((bucket) => bucket.count),
		unmatched: Object.entries(unmatched).map(([cause, packets]) => ({ cause, count: packets })),
	};
}

/** What was added to a segment, or the sum of several. */
export class SegmentSum {
	readonly place: SegmentPlace;
	readonly #histogram = new Histogram();
	readonly #unmatched: Record<string, number> = {};
	#clockErrorNs = 0;

	constructor(place: SegmentPlace) {
		this.place = place;
	}

	add({ bucket, bucketCount, sumNs, minNs, maxNs, unmatched, clockErrorNs }: SegmentDeltaMessage): void {
		const counts = new Float64Array(BUCKETS);
		bucket.forEach((index, at) => {
			if (index < BUCKETS) counts[index] = numberOf(bucketCount[at] ?? 0);
		});
		this.#histogram.addCounts(counts, numberOf(sumNs), numberOf(minNs), numberOf(maxNs));
		this.#clockErrorNs = Math.max(this.#clockErrorNs, numberOf(clockErrorNs));
		for (const { cause, count } of unmatched) {
			this.#unmatched[cause] = (this.#unmatched[cause] ?? 0) + numberOf(count);
		}
	}

	addSum(other: SegmentSum): void {
		this.#histogram.add(other.#histogram);
		this.#clockErrorNs = Math.max(this.#clockErrorNs, other.#clockErrorNs);
		for (const [cause, count] of Object.entries(other.#unmatched)) {
			this.#unmatched[cause] = (this.#unmatched[cause] ?? 0) + count;
		}
	}

	/** Packets with a sample. */
	get count(): number {
		return this.#histogram.count;
	}

	segment(): Segment {
		const [clockErrorNs, unmatched] = [this.#clockErrorNs, { ...this.#unmatched }];
		return segmentOf(this.place, this.#histogram, { clockErrorNs, unmatched });
	}
}

/** Which segment a delta is of. */
export function placeOf(delta: SegmentDeltaMessage): SegmentPlace {
	const { node, kind, device, group, from, to, fromPod, toPod } = delta;
	return {
		...{ node, kind: kind as Segment["kind"] },
		device: device || null,
		from: from ? endOf(from, fromPod) : null,
		to: to ? endOf(to, toPod) : null,
		group: group || null,
	};
}

function endMessage({ node, device, direction, role }: SegmentEnd): SegmentEndMessage {
	return { node, device, direction: directionNumber(direction), role: roleNumber(role) };
}

function endOf({ node, device, direction, role }: SegmentEndMessage, pod: string): SegmentEnd {
	return {
		...{ node, device, pod: pod || null },
		direction: DIRECTIONS[direction - 1] ?? "ingress",
		role: ROLES[role - 1] ?? "host",
	};
}
