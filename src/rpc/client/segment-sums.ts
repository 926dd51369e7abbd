import { OTHER } from "../../latency/group.js";
import type { Segment } from "../../latency/report.js";
import type { SegmentPlace } from "../../latency/segment.js";
import type { SegmentDeltaMessage } from "../messages.js";
import { placeOf, SegmentSum } from "../watch-message.js";

/** Parts of segments (port pairs, groups) that are told apart at the least, and twice as many at the most. */
const PARTS = 500;

/** Deltas of WatchLatency, added up. Pods come and go: of their parts those of the fewest packets become "other". */
export class SegmentSums {
	readonly #wholes = new Map<string, SegmentSum>();
	readonly #parts = new Map<string, SegmentSum>();

	add(delta: SegmentDeltaMessage): void {
		this.#sum(placeOf(delta)).add(delta);
		if (this.#parts.size > 2 * PARTS) this.#bound();
	}

	clear(): void {
		this.#wholes.clear();
		this.#parts.clear();
	}

	segments(): readonly Segment[] {
		return [...this.#wholes.values(), ...this.#parts.values()].map((sum) => sum.segment());
	}

	#sum(place: SegmentPlace): SegmentSum {
		// The rest of a segment's parts is one for each segment, as wholes are.
		const isPart = place.from !== null || (place.group !== null && place.group !== OTHER);
		const sums = isPart ? this.#parts : this.#wholes;
		const key = JSON.stringify(place);
		const sum = sums.get(key) ?? new SegmentSum(place);
		sums.set(key, sum);
		return sum;
	}

	#bound(): void {
		const byPackets = [...this.#parts].sort(([, a], [, b]) => b.count - a.count);
		for (const [key, part] of byPackets.slice(PARTS)) {
			this.#parts.delete(key);
			this.#sum({ ...part.place, from: null, to: null, group: OTHER }).addSum(part);
		}
	}
}
