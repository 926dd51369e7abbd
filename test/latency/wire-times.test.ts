import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Segment } from "../../src/latency/report.js";
import { WireTimes } from "../../src/latency/wire-times.js";
import type { Endpoint, Hop, Path } from "../../src/path/path.js";
import { nextSample } from "../../src/rpc/client/wire-watch.js";

function endpoint(ip: string, node: string | null, port: number): Endpoint {
	return { ip, port, namespace: "default", pod: `pod-${ip}`, node };
}

function nic(node: string, direction: Hop["direction"], sincePreviousNs = 0): Hop {
	return {
		...{ node, device: "eth0", ifindex: 2, direction, role: "nic", first: "", last: "", sincePreviousNs },
		...{ packets: 1, bytes: 100, source: null, destination: null, outer: null, branch: 0 },
	};
}

const CROSSING = [nic("a", "egress"), nic("b", "ingress", 11_000)];

function path(change: Partial<Path> = {}): Path {
	return {
		...{ type: "path", id: "1", revision: 0, verdict: "forwarded", evidence: "exact", blame: null },
		flow: {
			...{ protocol: "udp", service: null },
			source: endpoint("10.0.0.1", "a", 1),
			destination: endpoint("10.0.0.2", "b", 2),
		},
		packet: { ipId: 7, seq: null, ack: null, flags: null, length: 100, payload: 58 },
		hops: CROSSING,
		...{ latencyNs: 11_000, clockErrorNs: 500 },
		...change,
	};
}

function timed(paths: readonly Path[], by: "pod" | "flow" | "port" | "protocol" | null = null): readonly Segment[] {
	const times = new WireTimes(by, (node) => ["a", "b", "c"].includes(node));
	for (const each of paths) times.path(each);
	return times.total();
}

describe("the wire", () => {
	it("is from one node's NIC to another's, by pair and direction, with the error of their clocks", () => {
		const back = { hops: [nic("b", "egress"), nic("a", "ingress", 9000)], clockErrorNs: 600 };
		const wires = timed([path(), path(), path(back)]);
		assert.deepEqual(
			wires.map(({ kind, node, from, to, count, clockErrorNs, device }) => [
				...[kind, node, from?.device, to?.node, count, clockErrorNs, device],
			]),
			[
				["wire", "a", "eth0", "b", 2, 500, null],
				["wire", "b", "eth0", "a", 1, 600, null],
			],
		);
		assert.deepEqual([wires[0]?.minNs, wires[0]?.maxNs], [11_000, 11_000]);
	});

	it("is found in the midst of a whole path, and nowhere inside a node", () => {
		const inside = (device: string, role: Hop["role"], direction: Hop["direction"], node: string): Hop => {
			return { ...nic(node, direction, 500), device, role };
		};
		const hops = [
			inside("v1", "pod", "ingress", "a"),
			inside("flannel.1", "tunnel", "egress", "a"),
			...CROSSING,
			inside("flannel.1", "tunnel", "ingress", "b"),
		];
		const [wire, ...others] = timed([path({ hops })]);
		assert.deepEqual([wire?.count, wire?.minNs, others.length], [1, 11_000, 0]);
	});

	it("has no sample of what only the order of twins decided, whatever else it looks like", () => {
		fc.assert(
			fc.property(
				fc.array(
					fc.record({
						evidence: fc.constantFrom("exact" as const, "order" as const, "ambiguous" as const),
						ipId: fc.constantFrom(null, 0, 7),
						flags: fc.constantFrom(null, ".", "S", "P."),
						payload: fc.constantFrom(0, 58),
						revision: fc.constantFrom(0, 1),
					}),
				),
				(packets) => {
					const paths = packets.map(({ evidence, revision, ...packet }) =>
						path({ evidence, revision, packet: { ...path().packet, ...packet } }),
					);
					const own = packets.filter(
						({ evidence, ipId, flags, payload }) =>
							evidence === "exact" && (ipId === 7 || flags === "S" || (flags !== null && payload > 0)),
					);
					const [wire] = timed(paths);
					const first = (each: readonly { readonly revision: number }[]) =>
						each.filter(({ revision }) => revision === 0).length;
					assert.equal(wire?.count ?? 0, first(own));
					const without = Object.values(wire?.unmatched ?? {}).reduce((a, b) => a + b, 0);
					assert.equal((wire?.count ?? 0) + without, first(packets), "each has a sample or a reason");
				},
			),
		);
	});

	it("counts what left and did not arrive, and what arrived and was not seen to leave", () => {
		const left = [nic("a", "egress")];
		const [wire] = timed([
			path({ hops: left, verdict: "lost" }),
			path({ hops: left, verdict: "dropped" }),
			path({ hops: left, verdict: "incomplete" }),
			path({ hops: [nic("b", "ingress")] }),
		]);
		assert.deepEqual(wire?.unmatched, { lost: 1, dropped: 1, arrivalUnseen: 1, departureUnseen: 1 });
		assert.deepEqual([wire?.count, wire?.from?.node, wire?.to?.node], [0, "a", "b"]);
	});

	it("knows nothing of what goes to, or comes from, where nobody watches", () => {
		const outside = { ...path().flow, destination: endpoint("8.8.8.8", null, 53) };
		const elsewhere = { ...path().flow, source: endpoint("10.0.9.9", "z", 53) };
		const paths = [
			path({ hops: [nic("a", "egress")], flow: outside }),
			path({ hops: [nic("b", "ingress")], flow: elsewhere }),
		];
		assert.deepEqual(timed(paths), []);
	});

	it("tells samples whose clocks were known about as well as the best, and counts the others", () => {
		const errors = [4_000_000, 3_000_000, 30_000, 20_000, 10_000, 9000];
		const [wire] = timed(errors.map((clockErrorNs) => path({ clockErrorNs })));
		assert.equal(wire?.count, 4);
		assert.equal(wire?.clockErrorNs, 30_000);
		assert.deepEqual(wire?.unmatched, { clock: 2 });
	});

	it("takes no time at all rather than less", () => {
		const [wire] = timed([path({ hops: [nic("a", "egress"), nic("b", "ingress", -300)] })]);
		assert.deepEqual([wire?.count, wire?.minNs, wire?.sumNs], [1, 0, 0]);
	});

	it("tells intervals apart, and keeps the whole", () => {
		const times = new WireTimes(null, () => true);
		times.path(path());
		assert.equal(times.interval()[0]?.count, 1);
		assert.deepEqual(times.interval(), []);
		times.path(path());
		assert.equal(times.interval()[0]?.count, 1);
		assert.equal(times.total()[0]?.count, 2);
	});

	it("is bounded: further groups, and further pairs of nodes, are other", () => {
		const flows = Array.from({ length: 300 }, (_, port) =>
			path({ flow: { ...path().flow, source: endpoint("10.0.0.1", "a", port) } }),
		);
		const grouped = timed(flows, "flow");
		assert.equal(grouped.length, 1 + 100 + 1);
		assert.equal(grouped.find(({ group }) => group === "other")?.count, 200);
		assert.equal(
			grouped.slice(1).reduce((sum, { count }) => sum + count, 0),
			grouped[0]?.count,
		);
		const pairs = timed(
			Array.from({ length: 300 }, (_, n) => path({ hops: [nic(`n${n}`, "egress"), nic("b", "ingress", 5)] })),
		);
		assert.equal(pairs.length, 256 + 1);
		assert.equal(pairs.find(({ group }) => group === "other")?.count, 44);
	});

	it("is told apart by pod, port, flow and protocol", () => {
		const group = (by: "pod" | "port" | "flow" | "protocol") => timed([path()], by)[1]?.group;
		assert.equal(group("pod"), "default/pod-10.0.0.1 → default/pod-10.0.0.2");
		assert.equal(group("port"), "eth0 → eth0");
		assert.equal(group("flow"), "udp default/pod-10.0.0.1:1 ↔ default/pod-10.0.0.2:2");
		assert.equal(group("protocol"), "udp");
	});

	it("samples the less the more there is to measure, by powers of two", () => {
		fc.assert(
			fc.property(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 2_000_000 }), (power, rate) => {
				const sample = 2 ** power;
				const next = nextSample(sample, rate);
				const then = (rate * sample) / next;
				assert.ok(Number.isInteger(Math.log2(next)) && next >= 1 && next <= 2 ** 20);
				assert.ok(then <= 5000 || next === 2 ** 20, `${then} a second`);
				assert.ok(then >= 500 || next === 1 || rate === then);
			}),
		);
		assert.equal(nextSample(8, 2000), 8);
	});
});
