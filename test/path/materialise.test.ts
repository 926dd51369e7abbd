import assert from "node:assert/strict";
import { test } from "node:test";
import { flagLetters, materialise, wallClock } from "../../src/path/materialise.js";
import { JOURNEYS } from "./journeys.js";
import { run } from "./run.js";
import { Simulator, TCP, UDP } from "./simulator.js";

const BASE = 1_763_812_800_000_000_000n;

function firstPath(journey: string, protocol: number) {
	const simulator = new Simulator();
	const packet = { protocol, payload: 12, ipId: 4711, sequence: 5, acknowledgement: 6, tsval: 7, tcpFlags: 0x18 };
	simulator.send(packet, JOURNEYS[journey]?.(43_210) ?? []);
	const path = run(simulator).paths[0];
	assert.ok(path !== undefined);
	return materialise(path, {
		idPrefix: "t-",
		wallClockBase: BASE,
		hook: (id) => simulator.hooks[id] ?? assert.fail(),
		tunnelAddress: (hook) => (hook.node === "node-a" ? "192.168.66.11" : "192.168.66.12"),
	});
}

test("a path in JSON has every field, the backend as its end, times to the nanosecond", () => {
	const path = firstPath("ClusterIP, backend elsewhere", TCP);
	const { hops, ...rest } = JSON.parse(JSON.stringify(path));
	assert.deepEqual(rest, {
		type: "path",
		id: "t-1",
		revision: 0,
		flow: {
			protocol: "tcp",
			source: { ip: "10.244.1.2", port: 43210, namespace: null, pod: null, node: null },
			destination: { ip: "10.244.2.3", port: 8080, namespace: null, pod: null, node: null },
			service: null,
		},
		packet: { ...rest.packet, ipId: 4711, seq: 5, ack: 6, flags: "PA", length: 66, payload: 12 },
		verdict: "delivered",
		evidence: "exact",
		blame: null,
		latencyNs: 24_900,
		clockErrorNs: 0,
	});
	assert.deepEqual(hops[0], {
		node: "node-a",
		device: "vA",
		ifindex: 7,
		direction: "ingress",
		role: "pod",
		first: wallClock(BASE, 1000),
		last: wallClock(BASE, 1000),
		sincePreviousNs: 0,
		packets: 1,
		bytes: 66,
		source: "10.244.1.2:43210",
		destination: "10.96.0.11:80",
		outer: null,
		branch: 0,
	});
	assert.deepEqual(hops[3].outer, { source: "192.168.66.11", destination: "192.168.66.12", vni: 1 });
	assert.deepEqual(hops[4].outer, { source: "192.168.66.11", destination: "192.168.66.12", vni: 1 });
	assert.equal(hops[4].sincePreviousNs, 20_700);
});

test("what a protocol does not have is null", () => {
	const { packet, flow } = firstPath("pod to pod, same node", UDP);
	assert.equal(packet.seq, null);
	assert.equal(packet.ack, null);
	assert.equal(packet.flags, null);
	assert.equal(flow.protocol, "udp");
});

test("wall clock times keep their nanoseconds beyond what a double holds", () => {
	assert.equal(wallClock(1_763_812_800_123_456_789n, 0), "2025-11-22T12:00:00.123456789Z");
	assert.equal(wallClock(1_763_812_800_123_456_789n, 8.64e12 + 1), "2025-11-22T14:24:00.123456790Z");
});

test("flags are told in one order", () => {
	assert.equal(flagLetters(0x12), "SA");
	assert.equal(flagLetters(0xff), "SFRPAUEW");
	assert.equal(flagLetters(0), "");
});
