import assert from "node:assert/strict";
import { test } from "node:test";
import { nameEnds } from "../../src/collector/names.js";
import type { Directory, Pod } from "../../src/identity/owner.js";
import type { Blame, Hop, Path } from "../../src/path/path.js";

const CLIENT = pod("client", "node-a", "10.244.1.2", 7);
const SERVER = pod("server", "node-b", "10.244.2.3", 9);
const STRANGER = pod("stranger", "node-a", "10.244.1.9", 8);

/** Who held what at any time. */
const directory: Directory = {
	podByAddress: (address) => [CLIENT, SERVER, STRANGER].find(({ addresses }) => addresses.includes(address)) ?? null,
	podByNetns: () => null,
	podByDevice: (node, ifindex) =>
		[CLIENT, SERVER, STRANGER].find((one) => one.node === node && one.ifindex === ifindex) ?? null,
	pods: () => [],
	service: (ip, port, protocol) =>
		ip === "10.96.0.11" && port === 80 && protocol === "tcp"
			? { name: "default/web", ip, port, protocol, portName: null, nodePort: null, endpoints: [] }
			: null,
	services: () => [],
	nodeByAddress: (address) =>
		address === "192.168.66.12" ? { name: "node-b", address, subnets: [], vtepMac: null, sources: ["flannel"] } : null,
	nodes: () => [],
};

test("a pod is known by the veth its packet left, whatever source address it used", () => {
	const spoofed = named([hop("node-a", 7, "ingress", "10.244.1.9:1000", "10.244.2.3:80")]);
	assert.equal(spoofed.flow.source.pod, "client");
	assert.equal(spoofed.flow.destination.pod, "server", "by its address: no hop of its own was seen");
});

test("an unknown veth is a new pod's, who may have got the address of one that weft still takes to be there", () => {
	const fresh = named([hop("node-a", 70, "ingress", "10.244.1.2:1000", "10.244.2.3:80")]);
	assert.deepEqual([fresh.flow.source.pod, fresh.flow.destination.pod], [null, "server"]);
	const reached = named([
		hop("node-b", 9, "ingress", "10.244.2.3:80", "10.244.1.2:1000"),
		hop("node-a", 70, "egress", "10.244.2.3:80", "10.244.1.2:1000"),
	]);
	assert.deepEqual([reached.flow.source.pod, reached.flow.destination.pod], ["server", null]);
	const forwarded = named([hop("node-c", 70, "ingress", "10.244.1.2:1000", "10.244.2.3:80")]);
	assert.equal(forwarded.flow.source.pod, "client", "a veth of another node says nothing against it");
});

test("a copy that a bridge flooded to a pod is not that pod's: there the address counts", () => {
	const path = pathOf([
		hop("node-a", 7, "ingress", "10.244.1.2:1000", "10.244.1.9:80"),
		hop("node-a", 7, "egress", "10.244.1.2:1000", "10.244.1.9:80"),
	]);
	assert.equal(nameEnds(path, directory).flow.destination.pod, "client");
	const dropped = { ...path, verdict: "dropped" as const, blame: { kernelReason: "OTHERHOST" } as Blame };
	assert.equal(nameEnds(dropped, directory).flow.destination.pod, "stranger");
});

test("a bridge or tunnel says nothing of who sent: there the address counts", () => {
	const path = named([{ ...hop("node-a", 7, "ingress", "10.244.1.9:1000", "192.168.66.12:80"), role: "bridge" }]);
	assert.equal(path.flow.source.pod, "stranger");
	assert.deepEqual([path.flow.destination.pod, path.flow.destination.node], [null, "node-b"], "a node is no pod");
});

test("a request's service is the face at its first hop, a reply's the face at its last", () => {
	const request = named([
		hop("node-a", 7, "ingress", "10.244.1.2:1000", "10.96.0.11:80"),
		hop("node-b", 9, "egress", "10.244.1.2:1000", "10.244.2.3:8080"),
	]);
	const reply = named([
		hop("node-b", 9, "ingress", "10.244.2.3:8080", "10.244.1.2:1000"),
		hop("node-a", 7, "egress", "10.96.0.11:80", "10.244.1.2:1000"),
	]);
	for (const { flow } of [request, reply]) {
		assert.deepEqual(flow.service, { ip: "10.96.0.11", port: 80, name: "default/web" });
	}
	assert.deepEqual([reply.flow.source.pod, reply.flow.destination.pod], ["server", "client"]);
});

test("what is published without a service keeps its face and has no name", () => {
	const path = named([
		hop("node-b", 2, "ingress", "192.168.66.1:1000", "192.168.66.12:18080"),
		hop("node-b", 9, "egress", "192.168.66.1:1000", "10.244.2.3:8080"),
	]);
	assert.deepEqual(path.flow.service, { ip: "192.168.66.12", port: 18080, name: null });
});

test("masquerading makes no service", () => {
	const out = named([
		hop("node-a", 7, "ingress", "10.244.1.2:1000", "192.168.66.12:80"),
		hop("node-a", 2, "egress", "192.168.66.11:2000", "192.168.66.12:80"),
	]);
	assert.equal(out.flow.service, null);
	const throughThird = named([
		hop("node-b", 9, "ingress", "10.244.2.3:8080", "10.244.1.0:15837"),
		hop("node-a", 7, "egress", "10.96.0.11:80", "10.244.1.2:1000"),
	]);
	assert.equal(throughThird.flow.service?.name, "default/web", "both were rewritten: the service is the known one");
});

test("IPv6 faces and faces without ports", () => {
	assert.deepEqual(
		named([
			hop("node-a", 7, "ingress", "[fd00::2]:1000", "[fd00:96::11]:80"),
			hop("node-a", 8, "egress", "[fd00::2]:1000", "[fd00::9]:8080"),
		]).flow.service,
		{ ip: "fd00:96::11", port: 80, name: null },
	);
	assert.equal(named([hop("node-a", 7, "ingress", "10.244.1.2", "10.244.2.3")]).flow.service, null);
	assert.equal(named([]).flow.source.pod, null);
});

function named(hops: readonly Hop[]): Path {
	return nameEnds(pathOf(hops), directory);
}

function pod(name: string, node: string, address: string, ifindex: number): Pod {
	return {
		...{ namespace: "default", name, node, addresses: [address], ifindex, device: `veth${ifindex}` },
		...{ uid: null, sandbox: null, netns: null, sources: ["cni-cache"] },
	};
}

function hop(node: string, ifindex: number, direction: Hop["direction"], source: string, destination: string): Hop {
	const time = "2026-11-22T12:00:00.000000001Z";
	return {
		...{ node, ifindex, direction, source, destination, device: `veth${ifindex}`, role: "pod" },
		...{ first: time, last: time, sincePreviousNs: 0, packets: 1, bytes: 66, outer: null, branch: 0 },
	};
}

function pathOf(hops: readonly Hop[]): Path {
	const end = (face: string | null | undefined) => ({
		...{ ip: face?.replace(/^\[?(.*?)\]?(:\d+)?$/, "$1") ?? null, port: null },
		...{ namespace: null, pod: null, node: null },
	});
	return {
		...{ type: "path", id: "x", revision: 0, hops, verdict: "delivered", evidence: "exact", blame: null },
		...{ latencyNs: 0, clockErrorNs: 0 },
		flow: {
			protocol: "tcp",
			source: end(hops[0]?.source),
			destination: end(hops.at(-1)?.destination),
			service: null,
		},
		packet: { ipId: 1, seq: 1, ack: null, flags: "S", length: 66, payload: 0 },
	} as Path;
}
