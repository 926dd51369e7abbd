import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEnd } from "../../src/filter/end.js";
import { parseFilter } from "../../src/filter/grammar.js";
import { pathTest } from "../../src/filter/path.js";
import { resolveEnd } from "../../src/filter/resolve.js";
import { parseAddress } from "../../src/packet/addresses.js";
import type { Hook, HookId, NetnsCookie } from "../../src/packet/hook.js";
import { Family } from "../../src/packet/sightings.js";
import { DIRECTORY, resolve } from "./directory.js";
import { facesOf, type Packet } from "./packet.js";

const HOOKS: readonly Hook[] = [
	hook(0, "node-a", 7, "ingress", "pod"),
	hook(1, "node-a", 5, "ingress", "bridge"),
	hook(2, "node-b", 7, "egress", "pod"),
	hook(3, "node-a", 7, "egress", "pod"),
	hook(4, "node-a", 2, "egress", "inside", "700"),
	hook(5, "node-b", 7, "ingress", "nic"),
];

function hook(
	id: number,
	node: string,
	ifindex: number,
	direction: Hook["direction"],
	role: Hook["role"],
	netns = "1",
): Hook {
	return {
		id: id as HookId,
		node,
		netns: netns as NetnsCookie,
		ifindex,
		device: `d${ifindex}`,
		direction,
		role,
		l3: false,
		master: 0,
		hookSet: 0,
	};
}

function tcp(source: string, sourcePort: number, destination: string, destinationPort: number): Packet {
	return {
		ifindex: 0,
		family: Family.ipv4,
		protocol: 6,
		source: parseAddress(source) ?? new Uint8Array(16),
		destination: parseAddress(destination) ?? new Uint8Array(16),
		sourcePort,
		destinationPort,
		hasPorts: true,
		laterFragment: false,
		moreFragments: false,
		length: 66,
		vlan: null,
		tcpFlags: 2,
		ttl: 64,
		sequence: 1,
		acknowledgement: 0,
		window: 100,
		ipId: 1,
	};
}

/** client → ClusterIP:80, which the bridge turns into server:8080. */
const SERVICE = facesOf(
	[
		tcp("10.244.1.2", 4000, "10.96.0.11", 80),
		tcp("10.244.1.2", 4000, "10.244.2.3", 8080),
		tcp("10.244.1.2", 4000, "10.244.2.3", 8080),
	],
	[0, 1, 2],
);
const DIRECT = facesOf(
	[tcp("10.244.1.2", 4001, "10.244.2.3", 8080), tcp("10.244.1.2", 4001, "10.244.2.3", 8080)],
	[0, 2],
);
/** The client's packet under a source address that is not its own, seen at its veth alone. */
const SPOOFED = facesOf([tcp("172.16.0.1", 1, "8.8.8.8", 53)], [0]);

function passes(path: typeof SERVICE, filter: string, from = "any", to = "any"): boolean {
	const ends = { from: resolveEnd(parseEnd(from), DIRECTORY), to: resolveEnd(parseEnd(to), DIRECTORY) };
	return pathTest(parseFilter(filter), { ...ends, resolve, hook: (id) => HOOKS[id] ?? null })(path);
}

describe("a filter on a path", () => {
	it("holds when one hop satisfies all of it", () => {
		assert.ok(passes(SERVICE, "port 80"));
		assert.ok(passes(SERVICE, "dst host 10.244.2.3 and dst port 8080"));
		assert.ok(passes(SERVICE, "svc default/web"));
		assert.ok(passes(SERVICE, "src pod client and dst pod server"));
	});

	it("is never put together from two faces", () => {
		assert.ok(!passes(SERVICE, "dst host 10.96.0.11 and dst port 8080"));
		assert.ok(passes(SERVICE, "dst host 10.96.0.11 or dst port 8080"));
	});

	it("negates for all hops: what went to a service's port is not `not port 80`", () => {
		assert.ok(!passes(SERVICE, "not port 80"));
		assert.ok(!passes(SERVICE, "tcp and not host 10.96.0.11"));
		assert.ok(passes(SERVICE, "not port 443"));
		assert.ok(passes(DIRECT, "port 8080 and not port 80"));
		assert.ok(!passes(SERVICE, "port 8080 and not port 80"));
		assert.ok(!passes(DIRECT, "svc web"));
	});

	it("negates what stands in parentheses as a whole", () => {
		assert.ok(!passes(SERVICE, "not (port 80 and dst host 10.96.0.11)"));
		assert.ok(passes(SERVICE, "not (port 8080 and dst host 10.96.0.11)"));
		assert.ok(passes(SERVICE, "not not port 80"));
		assert.ok(!passes(SERVICE, "not (port 80 or port 443)"));
	});
});

describe("a pair of ends on a path", () => {
	it("holds in both directions", () => {
		assert.ok(passes(SERVICE, "", "client", "server"));
		assert.ok(passes(SERVICE, "", "server", "client"));
		assert.ok(!passes(SERVICE, "", "client", "neighbor"));
		assert.ok(!passes(SERVICE, "", "client", "client"));
	});

	it("takes services, prefixes, nodes and any", () => {
		assert.ok(passes(SERVICE, "", "client", "svc:web"));
		assert.ok(!passes(DIRECT, "", "client", "svc:web"));
		assert.ok(passes(DIRECT, "", "10.244.1.0/24", "10.244.2.0/24"));
		assert.ok(!passes(DIRECT, "", "node:node-a", "any"));
		assert.ok(passes(DIRECT, "", "any", "server"));
	});

	it("knows a pod by its veth, whatever the addresses", () => {
		assert.ok(passes(SPOOFED, "", "client", "any"));
		assert.ok(passes(SPOOFED, "", "any", "client"));
		assert.ok(!passes(SPOOFED, "", "server", "any"));
		assert.ok(passes(SPOOFED, "", "client", "8.8.8.8"));
		assert.ok(!passes(facesOf([tcp("172.16.0.1", 1, "8.8.8.8", 53)], [3]), "", "client", "8.8.8.8"));
		assert.ok(passes(facesOf([tcp("172.16.0.1", 1, "8.8.8.8", 53)], [4]), "", "client", "8.8.8.8"));
	});

	it("does not take another node's device of the same number, nor a NIC, for the pod's", () => {
		assert.ok(!passes(facesOf([tcp("172.16.0.1", 1, "8.8.8.8", 53)], [5]), "", "server", "any"));
	});
});
