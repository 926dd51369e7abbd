import assert from "node:assert/strict";
import { test } from "node:test";
import { Naming } from "../../src/collector/naming.js";
import { type Names, NamesDirectory } from "../../src/identity/names.js";
import type { Owner, Pod } from "../../src/identity/owner.js";
import { turningPoints } from "../../src/identity/owners.js";
import type { PathView } from "../../src/path/path-view.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { PathEncoder } from "../../src/rpc/path-encoder.js";
import { pathMessage } from "../../src/rpc/path-message.js";
import { WireWriter } from "../../src/rpc/wire.js";
import { JOURNEYS } from "../path/journeys.js";
import { run } from "../path/run.js";
import { ICMP, Simulator, TCP, UDP } from "../path/simulator.js";
import { flannelNode } from "../wiring/flannel.js";

const BASE_MS = 1_763_812_800_123;
const BASE = BigInt(BASE_MS) * 1_000_000n + 456_789n;

function pod(name: string, node: string, address: string): Pod {
	return {
		...{ namespace: "default", name, node, addresses: [address], uid: null, sandbox: null, netns: null },
		...{ ifindex: null, device: null, sources: ["cni-cache" as const] },
	};
}

/** The client's address had another holder until 3 ms after the beginning. */
const OWNERS: readonly Owner[] = [
	{ pod: pod("former", "node-a", "10.244.1.2"), fromMs: 0, untilMs: BASE_MS + 3 },
	{ pod: pod("client", "node-a", "10.244.1.2"), fromMs: BASE_MS + 3, untilMs: null },
	{ pod: pod("server", "node-b", "10.244.2.3"), fromMs: 0, untilMs: null },
];
const NAMES: Names = {
	owners: OWNERS,
	services: [
		{
			...{ name: "default/web", ip: "10.96.0.11", port: 80, protocol: "tcp", portName: null, nodePort: 30080 },
			endpoints: [{ ip: "10.244.2.3", port: 8080 }],
		},
	],
	nodes: [],
	local: ["192.168.66.11"],
};

/** Every journey with every protocol, in turns, some cut off on their way. */
function everything() {
	const simulator = new Simulator();
	let n = 0;
	for (let round = 0; round < 4; round++) {
		for (const protocol of [TCP, UDP, ICMP]) {
			for (const legsOf of Object.values(JOURNEYS)) {
				n++;
				const common = { protocol, payload: 10 * n, ipId: n, hash: n, tsval: n, sequence: n << 22, acknowledgement: n };
				const legs = legsOf(40_000 + round);
				const until = n % 7 === 0 ? 1 + (n % legs.length) : legs.length;
				simulator.send({ ...common, tcpFlags: n & 0xff }, legs, 700, until);
				simulator.now += 50_000;
			}
		}
	}
	return simulator;
}

test("a path's message is the one that protobufjs makes of the path as it is shown", () => {
	const simulator = everything();
	const wirings = [1, 2].map((number) => flannelNode({ number, pods: 3, nodes: 2 }));
	const directory = NamesDirectory.of(NAMES);
	const naming = new Naming({ directory, wirings: () => wirings }, BASE, simulator.hooks);
	const encoder = new PathEncoder({ naming, wallClockBase: BASE, turningPoints: turningPoints(OWNERS) });
	const writer = new WireWriter();
	const seen = { former: 0, client: 0, service: 0, outer: 0, blamed: 0 };
	const check = (view: PathView) => {
		const path = view.toPath();
		const named = naming.path(path);
		const expected = decode("TraceResponse", encode("TraceResponse", { paths: [pathMessage(named)] }));
		encoder.encode(view, writer);
		assert.deepEqual(decode("TraceResponse", writer.take()), expected);
		encoder.encodeJoined(path, writer);
		assert.deepEqual(decode("TraceResponse", writer.take()), expected);
		if (named.flow.source.pod === "former") seen.former++;
		if (named.flow.source.pod === "client") seen.client++;
		if (named.flow.service !== null) seen.service++;
		if (named.blame !== null) seen.blamed++;
		if (named.hops.some(({ outer }) => outer?.source != null && outer.destination !== null)) seen.outer++;
	};
	run(simulator, { sink: { path: check, revise: check } });
	for (const [what, count] of Object.entries(seen)) assert.ok(count > 3, `${count} paths with ${what}`);
});
