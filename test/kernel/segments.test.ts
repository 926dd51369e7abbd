import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import type { HookTarget } from "../../src/kernel/place.js";
import type { Segment } from "../../src/kernel/segments.js";
import { Stopwatch } from "../../src/kernel/stopwatch.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { Space } from "../native/space.js";

const PACKETS = 1_000_000;

describe("the table of segments", () => {
	it("gives entries back in the midst of a flood, and no packet is lost, counted twice or in another's", async () => {
		const space = new Space();
		const netns = addon().openNetns(space.path);
		const stopwatch = new Stopwatch({ attach: "auto", groupBy: 0, transit: false });
		try {
			const targets = (["near", "far"] as const).map(
				(device): HookTarget => ({
					...{ netns: netns.cookie as NetnsCookie, netnsPath: space.path, ifindex: space[device], device, l3: false },
					direction: device === "near" ? "egress" : "ingress",
				}),
			);
			await stopwatch.attach(
				targets,
				() => [],
				() => undefined,
			);
			let flooding = true;
			const flood = space.flood({ packets: PACKETS, seconds: 60 }).finally(() => {
				flooding = false;
			});
			const given: Segment[] = [];
			let rounds = 0;
			let most = 0;
			for (; flooding; rounds++) {
				await stopwatch.release(
					() => true,
					() => true,
					(last) => given.push(...last),
				);
				const now = sum([...given, ...stopwatch.segments()]);
				assert.ok(now >= most, `${now} were ${most} before`);
				most = now;
				// With nothing to give back the loop would not let go of the thread, and never hear that the flood is over.
				await setImmediate();
			}
			const sent = await flood;
			await stopwatch.stop();
			await stopwatch.release(
				() => true,
				() => true,
				(last) => given.push(...last),
			);
			assert.ok(rounds > 10 && given.filter(({ count }) => count > 0).length > 20, `precondition: ${rounds} rounds`);
			assert.deepEqual(stopwatch.segments(), []);
			assert.deepEqual(stopwatch.counters(), { seen: 2 * sent, untracked: 0 });
			for (const device of ["near", "far"] as const) {
				assert.equal(sum(given.filter(({ toIfindex }) => toIfindex === space[device])), sent, device);
			}
			for (const { buckets, count, kind } of given) {
				if (kind === 0)
					assert.equal(
						buckets.reduce((a, b) => a + b, 0),
						count,
					);
			}
		} finally {
			await stopwatch.close();
			netns.close();
			space.close();
		}
	});
});

function sum(segments: readonly Segment[]): number {
	return segments.reduce((total, { count }) => total + count, 0);
}
