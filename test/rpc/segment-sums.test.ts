import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Histogram } from "../../src/latency/histogram.js";
import { type SegmentPlace, segmentOf } from "../../src/latency/segment.js";
import { SegmentSums } from "../../src/rpc/client/segment-sums.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { segmentMessage } from "../../src/rpc/watch-message.js";

const UP: SegmentPlace = { kind: "bridge-up", node: "a", device: "cni0", from: null, to: null, group: null };

describe("deltas of WatchLatency", () => {
	it("add up, and of pods that come and go every packet and the most of their names are kept", () => {
		const sums = new SegmentSums();
		const tell = (place: SegmentPlace, packets: number) => {
			const histogram = new Histogram();
			for (let i = 0; i < packets; i++) histogram.record(1000);
			const segment = segmentOf(place, histogram, { clockErrorNs: 0, unmatched: { cloned: 1 } });
			const { delta } = decode(
				"WatchLatencyResponse",
				encode("WatchLatencyResponse", { delta: segmentMessage(segment) }),
			);
			assert.ok(delta);
			sums.add(delta);
		};
		for (let pod = 0; pod < 5000; pod++) {
			const packets = pod % 1000 === 0 ? 3 : 1;
			tell(UP, packets);
			tell({ ...UP, group: `default/p${pod}` }, packets);
		}
		const [whole, ...parts] = sums.segments();
		assert.deepEqual([whole?.group, whole?.count, whole?.unmatched], [null, 5010, { cloned: 5000 }]);
		assert.ok(parts.length <= 1001, `${parts.length} are kept`);
		assert.equal(
			parts.reduce((all, { count }) => all + count, 0),
			5010,
		);
		assert.equal(parts.filter(({ group }) => group === "other").length, 1);
		for (const pod of [0, 1000, 4000]) {
			assert.equal(parts.find(({ group }) => group === `default/p${pod}`)?.count, 3);
		}
		sums.clear();
		assert.deepEqual(sums.segments(), []);
	});
});
