import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeTopology } from "../../src/identity/topology.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { topologyMessage, topologyOf } from "../../src/rpc/topology-message.js";

const TOPOLOGY: NodeTopology = {
	type: "topology",
	node: "node-a",
	address: "192.168.66.11",
	subnets: ["10.244.1.0/24", "fd00:10:244:1::/64"],
	devices: [
		{
			...{ ifindex: 7, name: "veth61dfc48a", kind: "veth", role: "pod", mtu: 1450, up: true, operstate: "up" },
			...{ master: "cni0", addresses: [], tunnel: null, unexplained: null },
			peer: { device: "eth0", ifindex: 3, netns: "4026532", path: "/run/netns/cni-1", paired: true },
		},
		{
			...{ ifindex: 8, name: "veth0", kind: "veth", role: "pod", mtu: 1500, up: false, operstate: "down" },
			...{ master: null, addresses: [], tunnel: null, unexplained: "its other end cannot be told" },
			peer: { device: null, ifindex: 2, netns: null, path: null, paired: false },
		},
		{
			...{ ifindex: 4, name: "flannel.1", kind: "vxlan", role: "tunnel", mtu: 1450, up: true, operstate: "unknown" },
			...{ master: null, addresses: ["10.244.1.0/32"], peer: null, unexplained: null },
			tunnel: { vni: 1, port: 8472, local: "192.168.66.11", underlay: "eth0" },
		},
		{
			...{ ifindex: 2, name: "eth0", kind: null, role: "nic", mtu: 1500, up: true, operstate: "up" },
			...{ master: null, addresses: ["192.168.66.11/24"], peer: null, tunnel: null, unexplained: null },
		},
	],
	pods: [
		{
			...{ namespace: "default", name: "client", uid: "u-1", addresses: ["10.244.1.2"], ifindex: 7 },
			...{ device: "veth61dfc48a", netns: "4026532", sandbox: "f00d", sources: ["cri", "cni-cache"] },
			containers: [
				{ id: "c0", name: "main", image: "busybox:1", running: true },
				{ id: "c1", name: "side", image: null, running: false },
			],
			conflicts: ["cri says 10.244.1.2, cni-cache says 10.244.1.9"],
		},
		{
			...{ namespace: "kube-system", name: "kube-proxy", uid: null, addresses: [], ifindex: null },
			...{ device: null, netns: null, sandbox: null, sources: ["cri"], containers: [], conflicts: [] },
		},
	],
	remotes: [
		{ name: "node-b", address: "192.168.66.12", subnets: ["10.244.2.0/24"], vtepMac: "8e:02:00:00:00:02" },
		{ name: "elsewhere", address: null, subnets: [], vtepMac: null },
	],
	warnings: ["/run/containerd/containerd.sock: no answer; pods are named without it"],
};

test("a node comes out of its bytes as it went in: peers, containers, conflicts and all", () => {
	const bytes = encode("WatchTopologyResponse", {
		snapshot: { nodes: [topologyMessage(TOPOLOGY, "i-1", new Uint8Array(0))] },
	});
	const [told] = decode("WatchTopologyResponse", bytes).snapshot?.nodes ?? [];
	assert.ok(told !== undefined);
	assert.equal(told.instance, "i-1");
	assert.deepEqual(JSON.parse(JSON.stringify(topologyOf(told))), TOPOLOGY);
});
