import assert from "node:assert/strict";
import { test } from "node:test";
import { type Claim, UNCLAIMED } from "../../src/identity/claim.js";
import { type Evidence, NodeDirectory } from "../../src/identity/directory.js";
import { flannelNodes } from "../../src/identity/flannel.js";
import { NO_PORTALS } from "../../src/identity/kube-proxy.js";
import { MergedDirectory } from "../../src/identity/merged.js";
import { resolvePods } from "../../src/identity/resolve.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { WiringView } from "../../src/wiring/view.js";
import { flannelNode, podAddress, vethName } from "../wiring/flannel.js";

const wiring = flannelNode({ number: 1, pods: 2, nodes: 3 });
const view = new WiringView(wiring);
const SANDBOX = "a".repeat(64);
const NO_LEASES = new Map<string, string>();

/** The first pod's veth leads into this namespace, which no mount names. */
function firstIn(cookie: string, claims: readonly Claim[]): Evidence {
	const moved = { name: null, path: "/proc/500/ns/net", cookie: cookie as NetnsCookie };
	return {
		...{ claims, leases: NO_LEASES, subnetEnv: null, portals: NO_PORTALS, nodeNames: new Map(), warnings: [] },
		wiring: { ...wiring, others: wiring.others.map((one, n) => (n === 0 ? { ...one, ...moved } : one)) },
	};
}

function cache(name: string, pod: number, some: Partial<Claim> = {}): Claim {
	return {
		...UNCLAIMED,
		source: "cni-cache",
		pod: { namespace: "default", name },
		sandbox: SANDBOX,
		netnsPath: `/var/run/netns/node-a-pod${pod}`,
		device: vethName(1, pod),
		addresses: [podAddress(1, pod)],
		...some,
	};
}

test("a claim and the kernel agree: a pod with its sources; the other veth has its namespace's name", () => {
	const { pods, unexplained, stale } = resolvePods(view, [cache("client", 1)], new Map([[podAddress(1, 1), SANDBOX]]));
	assert.deepEqual([unexplained.length, stale.length], [0, 0]);
	assert.deepEqual(
		pods.map(({ namespace, name, addresses, device, sources, conflicts }) => [
			`${namespace}/${name}`,
			addresses[0],
			device,
			sources,
			conflicts.length,
		]),
		[
			["default/client", "10.244.1.2", "vetha1", ["cni-cache", "host-local"], 0],
			["netns/node-a-pod2", "10.244.1.3", "vetha2", ["netns-name"], 0],
		],
	);
});

test("flannel's delegate file supports who has the sandbox, and names nobody by itself", () => {
	const delegates = new Set([SANDBOX]);
	const { pods } = resolvePods(view, [cache("client", 1)], NO_LEASES, delegates);
	assert.deepEqual(
		pods.map(({ name, sources }) => [name, sources]),
		[
			["client", ["cni-cache", "flannel"]],
			["node-a-pod2", ["netns-name"]],
		],
	);
});

test("a file of a sandbox that is gone gives its name to nobody, though address and veth's name are used again", () => {
	const gone = cache("old", 9, { device: vethName(1, 1), addresses: [podAddress(1, 5)] });
	const reused = cache("older", 9, { device: null, addresses: [podAddress(1, 1)] });
	const { pods, stale } = resolvePods(view, [gone, reused, cache("client", 1)], NO_LEASES);
	assert.deepEqual(pods.map((pod) => pod.name).sort(), ["client", "node-a-pod2"]);
	assert.equal(stale.length, 2);
});

test("what was said of a sandbox that is gone is not said of the next one, with its address and its inode", () => {
	const directory = new NodeDirectory();
	const name = () => directory.resolved().find(({ device }) => device === vethName(1, 1))?.name ?? null;
	const inode = wiring.others[0]?.inode ?? null;
	const told = { sandbox: "b".repeat(64), netnsPath: "/run/netns/cni-old", device: null, inode };
	const old = cache("old", 1, { ...told, source: "cri", pid: 500 });
	directory.update(firstIn("1000", [old]), 1000);
	assert.equal(name(), "old", "precondition");
	directory.update(firstIn("1001", [old]), 2000);
	assert.equal(name(), null, "its runtime has not been asked again");
	const next = cache("next", 1, { ...told, source: "cni-cache", sandbox: SANDBOX, netnsPath: "/run/netns/cni-next" });
	directory.update(firstIn("1001", [old, next]), 2001);
	assert.equal(name(), "next");
	directory.update(firstIn("1001", [next, { ...old, pid: 501 }]), 2002);
	assert.equal(name(), "old", "started again: the more trusted word is about another namespace");
});

test("a veth whose pod nobody names has its address for itself: the pod that had it before is not named by it", () => {
	const directory = new NodeDirectory();
	directory.update(firstIn("1000", [cache("old", 1)]), 1000);
	directory.update(firstIn("1001", []), 2000);
	const name = (atMs: number) => directory.podByAddress(podAddress(1, 1), atMs)?.name ?? null;
	assert.deepEqual([name(1500), name(2500)], ["old", null]);
});

test("sources that contradict each other are shown, the more trusted one is believed", () => {
	const cri: Claim = { ...cache("web", 1), source: "cri", uid: "u1", device: null, addresses: ["10.244.1.99"] };
	const [pod] = resolvePods(view, [cache("client", 1), cri], new Map([[podAddress(1, 1), "b".repeat(64)]])).pods;
	assert.equal(pod?.name, "web");
	assert.deepEqual(pod?.sources, ["cri", "cni-cache"]);
	assert.deepEqual(pod?.addresses, [podAddress(1, 1)], "the kernel's, not what is said");
	assert.deepEqual(pod?.conflicts, [
		"cri gives it 10.244.1.99, which it does not have",
		"host-local has leased 10.244.1.2 to sandbox bbbbbbbbbbbb",
		"cni-cache calls it default/client",
	]);
});

test("without a view into namespaces the veth's name has to do", () => {
	const blind = new WiringView(flannelNode({ number: 1, pods: 2, nodes: 2, podsVisible: false }));
	const { pods, unexplained } = resolvePods(blind, [cache("client", 1)], NO_LEASES);
	assert.deepEqual([pods[0]?.name, pods[0]?.netns, pods[0]?.addresses], ["client", null, ["10.244.1.2"]]);
	assert.deepEqual(
		unexplained.map((link) => link.name),
		["vetha2"],
	);
});

test("a pod in the node's own network is none of the veths' and names no address", () => {
	const claim: Claim = {
		...UNCLAIMED,
		source: "cri",
		pod: { namespace: "kube-system", name: "kube-proxy" },
		inode: wiring.host.inode,
		addresses: ["192.168.66.11"],
	};
	const { pods, onHost } = resolvePods(view, [claim], NO_LEASES);
	assert.deepEqual(
		onHost.map(({ name, ifindex, addresses }) => [name, ifindex, addresses]),
		[["kube-proxy", null, []]],
	);
	assert.ok(pods.every((pod) => pod.name !== "kube-proxy"));
});

test("the old format is joined with whoever knows its sandbox's name", () => {
	const old = cache("", 1, { pod: null });
	const docker: Claim = {
		...UNCLAIMED,
		source: "docker",
		pod: { namespace: "default", name: "seed" },
		sandbox: SANDBOX,
	};
	const [pod] = resolvePods(view, [old, docker], NO_LEASES).pods;
	assert.deepEqual([pod?.name, pod?.sources], ["seed", ["cni-cache", "docker"]]);
});

test("nodes by flannel's tables, called by their addresses until they have a name", () => {
	const nodes = flannelNodes(view, null, new Map([["192.168.66.13", "node-c"]]));
	assert.deepEqual(
		nodes.map(({ name, address, subnets, vtepMac }) => [name, address, subnets, vtepMac]),
		[
			["node-a", "192.168.66.11", ["10.244.1.0/24"], "8e:01:00:00:00:01"],
			["192.168.66.12", "192.168.66.12", ["10.244.2.0/24"], "8e:02:00:00:00:02"],
			["node-c", "192.168.66.13", ["10.244.3.0/24"], "8e:03:00:00:00:03"],
		],
	);
	const gateway = new WiringView(flannelNode({ number: 1, pods: 1, nodes: 2, hostGateway: true }));
	const env = { networks: ["10.244.0.0/16"], subnets: ["10.244.1.0/24"], mtu: 1450 };
	assert.deepEqual(
		flannelNodes(gateway, env, new Map()).map(({ name, subnets }) => [name, subnets]),
		[
			["node-a", ["10.244.1.0/24"]],
			["192.168.66.12", ["10.244.2.0/24"]],
		],
	);
});

function directory(number: number): NodeDirectory {
	const made = new NodeDirectory();
	made.update(
		{
			wiring: flannelNode({ number, pods: 2, nodes: 3 }),
			claims: number === 1 ? [cache("client", 1)] : [],
			leases: NO_LEASES,
			subnetEnv: null,
			portals: {
				...NO_PORTALS,
				services: [
					{
						name: "default/web",
						ip: "10.96.0.11",
						port: 80,
						protocol: "tcp",
						portName: null,
						nodePort: 30080,
						endpoints: [],
					},
				],
			},
			nodeNames: new Map(),
			warnings: [],
		},
		1_000,
	);
	return made;
}

test("a directory answers by address, namespace, device, glob, service and node", () => {
	const one = directory(1);
	assert.equal(one.podByAddress("10.244.1.2", 2_000)?.name, "client");
	assert.equal(one.podByDevice("node-a", 11, 2_000)?.name, "client");
	assert.equal(one.podByDevice("node-b", 11, 2_000), null);
	assert.deepEqual(
		one.pods("default/cl*").map((pod) => pod.name),
		["client"],
	);
	assert.equal(one.service("10.96.0.11", 80, "tcp")?.name, "default/web");
	assert.equal(one.service("192.168.66.11", 30080, "tcp")?.name, "default/web");
	assert.equal(one.service("192.168.66.12", 30080, "tcp"), null);
	assert.equal(one.nodeByAddress("192.168.66.12")?.name, "192.168.66.12");
	assert.equal(one.nodeByAddress("10.244.2.77")?.name, "192.168.66.12");
	assert.equal(one.nodeByAddress("203.0.113.1"), null);
});

function told(claims: readonly Claim[], warnings: readonly string[] = []): Evidence {
	return {
		...{ wiring, claims, warnings, leases: NO_LEASES, subnetEnv: null, portals: NO_PORTALS, nodeNames: new Map() },
		isWhole: true,
	};
}

test("a source that tells of a pod that is gone is told of, once it is no passing moment", () => {
	const made = new NodeDirectory();
	const old = cache("old", 9, { device: "vethgone", addresses: ["10.244.1.99"] });
	const claims = [cache("client", 1), old];
	made.update(told(claims), 10_000);
	assert.deepEqual(made.warnings, [], "it may be being deleted");
	made.update(told(claims), 16_000);
	assert.deepEqual(made.warnings, ["default/old (cni-cache): no pod here is it; it is gone, or out of sight"]);
	assert.equal(made.podByAddress("10.244.1.99", 16_000), null);
	made.update(told([cache("client", 1)]), 17_000);
	assert.deepEqual(made.warnings, []);
	made.update(told(claims), 18_000);
	assert.deepEqual(made.warnings, [], "another time begins anew");
});

test("a pod in the node's own network is not missed", () => {
	const made = new NodeDirectory();
	const claim: Claim = {
		...{ ...UNCLAIMED, source: "cri", sandbox: "b".repeat(64), addresses: ["192.168.66.11"] },
		pod: { namespace: "kube-system", name: "kube-proxy" },
	};
	for (const now of [10_000, 20_000]) made.update(told([cache("client", 1), claim]), now);
	assert.deepEqual(made.warnings, []);
});

test("pods, and nobody who knows them: that is said, with where to look", () => {
	const made = new NodeDirectory();
	made.update(told([], ["/run/containerd/containerd.sock: no answer; pods are named without it"]), 10_000);
	assert.match(made.warnings.join("\n"), /^\/run\/containerd.*\nno container runtime answers.*--host-root/);
	made.update(told([cache("client", 1)]), 11_000);
	assert.deepEqual(made.warnings, []);
});

test("several nodes' directories: each node knows its own name", () => {
	const both = new MergedDirectory(() => [directory(1), directory(2)]);
	assert.deepEqual(
		both.nodes().map((node) => node.name),
		["node-a", "node-b", "192.168.66.13"],
	);
	assert.equal(both.nodeByAddress("192.168.66.12")?.name, "node-b");
	assert.equal(both.nodeByAddress("10.244.2.9")?.name, "node-b");
	assert.equal(both.podByAddress(podAddress(2, 1), 2_000)?.node, "node-b");
	assert.equal(both.services("*/*").length, 1);
});
