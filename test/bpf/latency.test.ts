/** The stopwatch through BPF_PROG_TEST_RUN, whose runs share one skb pointer: see follow.test.ts. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { type PacketBuilder, packet } from "./packet.js";
import { persistently } from "./persistently.js";
import { bucketBounds, type CountedSegment, KIND, Stopwatch } from "./stopwatch.js";
import type { Knobs } from "./tracer.js";

const PORT = 5;

function udp(id: number, content = "0123456789abcdef0123456789abcdef", destination = "10.0.0.2"): PacketBuilder {
	return packet().ethernet().ipv4({ id, destination }).udp({ source: 1000, destination: 53 }).payload(content);
}

/** See persistently. */
function again(attempt: () => void): () => Promise<void> {
	return () => persistently(attempt);
}

interface Hooks {
	readonly in: (bytes: Uint8Array, ingressIfindex?: number) => void;
	readonly out: (bytes: Uint8Array, ingressIfindex?: number) => void;
	readonly watch: Stopwatch;
}

/** A port's ingress (hook set 1) and another's egress (hook set 2). */
function measure(script: (hooks: Hooks) => void, knobs: Knobs = {}, entries?: number): readonly CountedSegment[] {
	execFileSync("taskset", ["-acp", "0", String(process.pid)]);
	const watch = new Stopwatch(entries);
	try {
		const first = watch.load({ hookSet: 1, netns: 3, ...knobs });
		const second = watch.load({ hookSet: 2, netns: 3, egress: true, ...knobs });
		// Which device a test run has is the kernel's to say.
		for (const hookSet of [1, 2, 3]) {
			for (let ifindex = 0; ifindex < 8; ifindex++) watch.classify(hookSet, ifindex, classOf(hookSet));
		}
		script({
			in: (bytes, ingressIfindex = PORT) => first.run(bytes, { ingressIfindex }),
			out: (bytes, ingressIfindex = PORT) => second.run(bytes, { ingressIfindex }),
			watch,
		});
		const segments = watch.segments();
		for (const hookSet of [1, 2]) {
			const [seen, untracked] = watch.counters(hookSet);
			const counted = segments
				.filter((segment) => endsAt(segment, hookSet) && segment.kind !== KIND.transit)
				.reduce((sum, segment) => sum + segment.count, 0);
			assert.equal(counted + untracked, seen, "every packet is a sample, or has a reason");
		}
		return segments;
	} finally {
		watch.close();
	}
}

const REST = 0xffffffff;

function classOf(hookSet: number): number {
	return 10 * hookSet;
}

function endsAt({ group, toHookSet, toIfindex }: CountedSegment, hookSet: number): boolean {
	return group === REST ? toIfindex === classOf(hookSet) : toHookSet === hookSet;
}

/** Kind → count of what arrived at a hook set. */
function arrived(segments: readonly CountedSegment[], hookSet: number): Record<number, number> {
	const counts: Record<number, number> = {};
	for (const segment of segments.filter((each) => each.toHookSet === hookSet)) {
		counts[segment.kind] = (counts[segment.kind] ?? 0) + segment.count;
	}
	return counts;
}

describe("the stopwatch", () => {
	it(
		"takes a sample from hook to hook, in the right bucket",
		again(() => {
			const segments = measure((hooks) => {
				for (let id = 1; id <= 50; id++) {
					hooks.in(udp(id).build());
					hooks.out(udp(id).build());
				}
			});
			const [hop, ...others] = segments.filter((segment) => segment.kind === KIND.hop);
			assert.ok(hop !== undefined && others.length === 0);
			assert.deepEqual([hop.fromHookSet, hop.toHookSet, hop.count], [1, 2, 50]);
			assert.equal(
				[...hop.buckets.values()].reduce((sum, count) => sum + count, 0),
				50,
			);
			let least = 0;
			let most = 0;
			for (const [index, count] of hop.buckets) {
				const [from, to] = bucketBounds(index);
				least += from * count;
				most += to * count;
			}
			assert.ok(least <= hop.sumNs && hop.sumNs < most, "the sum lies within the buckets' bounds");
			assert.ok(most / least < 1.04, "which are 3 % wide");
			const indices = [...hop.buckets.keys()];
			const [minFrom, minTo] = bucketBounds(Math.min(...indices));
			const [maxFrom, maxTo] = bucketBounds(Math.max(...indices));
			assert.ok(minFrom <= hop.minNs && hop.minNs < minTo);
			assert.ok(maxFrom <= hop.maxNs && hop.maxNs < maxTo);
		}),
	);

	it(
		"knows a packet behind NAT and a tunnel",
		again(() => {
			const inner = packet()
				.ethernet()
				.ipv4({ id: 7, destination: "10.0.9.9", ttl: 62 })
				.udp({ source: 9 })
				.payload(40);
			const segments = measure(
				(hooks) => {
					hooks.in(packet().ethernet().ipv4({ id: 7 }).udp().payload(40).build());
					hooks.out(packet().ethernet().ipv4().udp({ destination: 8472 }).vxlan().payload(inner.build()).build());
				},
				{ tunnelPorts: [8472] },
			);
			assert.deepEqual(arrived(segments, 2), { [KIND.hop]: 1 });
		}),
	);

	for (const [what, other] of [
		["of another IP ID", udp(2)],
		["of another payload", udp(1, "0123456789abcdef0123456789abcdeF")],
		["of another protocol", packet().ethernet().ipv4({ id: 1 }).icmp().payload(32)],
	] as const) {
		it(
			`takes none of a packet ${what} that reuses the pointer`,
			again(() => {
				const rounds = 20;
				const segments = measure((hooks) => {
					for (let i = 0; i < rounds; i++) {
						hooks.in(udp(1).build());
						hooks.out(other.build());
						hooks.in(udp(9).build());
						hooks.out(udp(9).build());
					}
				});
				const samples = arrived(segments, 2)[KIND.hop] ?? 0;
				assert.ok(samples > rounds / 2, "pointers were meant to be reused");
				assert.ok(samples <= rounds, "only the packets that are the same");
			}),
		);
	}

	it(
		"takes none where the packet cannot have come from there",
		again(() => {
			const segments = measure((hooks) => {
				hooks.in(udp(1).build());
				hooks.out(udp(1).build(), PORT + 1);
				hooks.in(udp(2).build());
				hooks.in(udp(2).build());
			});
			assert.deepEqual(arrived(segments, 2), { [KIND.transition]: 1 });
			assert.deepEqual(arrived(segments, 1), { [KIND.unseen]: 2, [KIND.transition]: 1 });
		}),
	);

	it(
		"says why a packet has none: merged, segmented, cloned",
		again(() => {
			const part = (size: number) => packet().ethernet().ipv4({ id: 1 }).tcp({ seq: 10 }).payload(size).build();
			const broadcast = packet().ethernet({ destination: "ff:ff:ff:ff:ff:ff" }).arp().build();
			const segments = measure((hooks) => {
				hooks.in(part(100));
				hooks.out(part(200));
				hooks.in(part(200));
				hooks.out(part(100));
				hooks.in(broadcast);
			});
			assert.deepEqual(arrived(segments, 2), { [KIND.merged]: 1, [KIND.segmented]: 1 });
			assert.equal(arrived(segments, 1)[KIND.cloned], 1);
		}),
	);

	it(
		"groups by protocol",
		again(() => {
			const segments = measure(
				(hooks) => {
					for (const builder of [udp(1), packet().ethernet().ipv4({ id: 9 }).tcp()]) {
						hooks.in(builder.build());
						hooks.out(builder.build());
					}
				},
				{ groupBy: 1 },
			);
			assert.deepEqual(
				segments
					.filter((segment) => segment.kind === KIND.hop)
					.map((segment) => segment.group - 1)
					.toSorted((a, b) => a - b),
				[6, 17],
			);
		}),
	);

	it(
		"groups by flow, both directions in one, and counts the rest as other when the table is full",
		again(() => {
			const flow = (port: number) =>
				packet().ethernet().ipv4({ id: port }).udp({ source: port, destination: 53 }).payload(9);
			const segments = measure(
				(hooks) => {
					for (let port = 1; port <= 100; port++) {
						hooks.in(flow(port).build());
						hooks.out(flow(port).build());
					}
					const reply = packet()
						.ethernet()
						.ipv4({ id: 5555, source: "10.0.0.2", destination: "10.0.0.1" })
						.udp({ source: 53, destination: 1 })
						.payload(9);
					hooks.in(reply.build());
					hooks.out(reply.build());
				},
				{ groupBy: 2 },
				64,
			);
			const hops = segments.filter((segment) => segment.kind === KIND.hop);
			const other = hops.filter((segment) => segment.group === REST);
			assert.equal(other.length, 1);
			assert.deepEqual([other[0]?.fromIfindex, other[0]?.toIfindex], [10, 20], "between classes of hooks");
			assert.ok((other[0]?.count ?? 0) > 0, "the table was meant to be full");
			assert.equal(
				hops.reduce((sum, segment) => sum + segment.count, 0),
				101,
			);
			const first = hops.find((segment) => segment.sourcePort === 1 && segment.destinationPort === 53);
			if (first !== undefined) {
				assert.equal(first.count, 2, "with its reply");
			}
		}),
	);

	it(
		"on request counts from the packet's first hook as well",
		again(() => {
			const segments = measure(
				(hooks) => {
					const third = hooks.watch.load({ hookSet: 3, netns: 3, egress: true, transit: true });
					hooks.in(udp(1).build());
					hooks.out(udp(1).build());
					third.run(udp(1).build(), { ingressIfindex: PORT });
				},
				{ transit: true },
			);
			const transit = segments.filter((segment) => segment.kind === KIND.transit);
			assert.deepEqual(
				transit.map((segment) => [segment.fromHookSet, segment.toHookSet]),
				[[1, 3]],
			);
			const sum = segments
				.filter((segment) => segment.kind === KIND.hop)
				.reduce((total, segment) => total + segment.sumNs, 0);
			assert.equal(transit[0]?.sumNs, sum);
		}),
	);
});

describe("buckets", () => {
	it("cover every ns once, 1/32 wide", () => {
		for (let i = 1; i < 960; i++) {
			assert.equal(bucketBounds(i)[0], bucketBounds(i - 1)[1]);
		}
		assert.equal(bucketBounds(959)[1], 2 ** 34);
	});
});
