import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import { ENUMS } from "../../src/kernel/layout.generated.js";
import type { HookTarget } from "../../src/kernel/place.js";
import { Stopwatch } from "../../src/kernel/stopwatch.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { Space } from "../native/space.js";

describe("stopwatch", () => {
	for (const attach of ["tcx", "clsact"] as const) {
		it(`has a sample or a reason for every packet, by ${attach}`, async () => {
			const space = new Space();
			const netns = addon().openNetns(space.path);
			const stopwatch = new Stopwatch({ attach, groupBy: 0, transit: false });
			try {
				const targets = (["near", "far"] as const).map(
					(device): HookTarget => ({
						netns: netns.cookie as NetnsCookie,
						netnsPath: space.path,
						ifindex: space[device],
						device,
						direction: device === "near" ? "egress" : "ingress",
						l3: false,
					}),
				);
				const sets = new Map<string, number>();
				assert.deepEqual(
					await stopwatch.attach(
						targets,
						() => [],
						({ device }, hookSet) => sets.set(device, hookSet),
					),
					[],
				);
				const sent = await space.flood({ packets: 10_000 });
				await stopwatch.stop();
				assert.deepEqual(stopwatch.counters(), { seen: 2 * sent, untracked: 0 });
				const kinds = ENUMS.weft_segment_kind;
				const at = (device: "near" | "far") =>
					stopwatch
						.segments()
						.filter(({ toIfindex, toHookSet }) => toIfindex === space[device] && toHookSet === sets.get(device));
				for (const device of ["near", "far"] as const) {
					assert.equal(
						at(device).reduce((sum, { count }) => sum + count, 0),
						sent,
						device,
					);
				}
				const hop = at("far").find(({ kind }) => kind === kinds.WEFT_SEGMENT_HOP);
				assert.ok(hop !== undefined && hop.count > 0, "no packet was timed from near to far");
				assert.deepEqual([hop.fromIfindex, hop.fromHookSet], [space.near, sets.get("near")]);
				assert.equal(
					hop.buckets.reduce((sum, count) => sum + count, 0),
					hop.count,
				);
				assert.ok(hop.minNs > 0 && hop.minNs <= hop.sumNs / hop.count && hop.sumNs / hop.count <= hop.maxNs);
			} finally {
				await stopwatch.close();
				netns.close();
				space.close();
			}
		});
	}
});
