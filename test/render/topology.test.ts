import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device, NodeTopology, PodAttachment } from "../../src/identity/topology.js";
import { topologyLines } from "../../src/render/text/topology.js";

const PLAIN = { colour: false, width: Number.POSITIVE_INFINITY };

const DEVICE: Device = {
	...{ ifindex: 0, name: "", kind: "veth", role: "pod", mtu: 1450, up: true, operstate: "up", master: null },
	...{ addresses: [], peer: null, tunnel: null, unexplained: null },
};
const CABLE = { device: "eth0", ifindex: 3, netns: "77", path: "/run/netns/x", paired: true };
const POD: PodAttachment = {
	...{ namespace: "default", name: "client", uid: "u", addresses: ["10.244.1.2"], ifindex: 7, device: "veth61dfc48a" },
	...{ netns: "77", sandbox: "f00d", containers: [], sources: ["cri", "cni-cache"], conflicts: [] },
};

function node(some: Partial<NodeTopology>): NodeTopology {
	return {
		type: "topology",
		...{ node: "node-a", address: "192.168.66.11", subnets: ["10.244.1.0/24"] },
		...{ devices: [], pods: [], remotes: [], warnings: [] },
		...some,
	};
}

test("a node as a tree: bridge, veth, pod and its containers; the idle bridge; the tunnel and who is behind it", () => {
	const lines = topologyLines(
		node({
			devices: [
				{ ...DEVICE, ifindex: 3, name: "docker0", kind: "bridge", role: "bridge", addresses: ["172.17.0.1/16"] },
				{ ...DEVICE, ifindex: 5, name: "cni0", kind: "bridge", role: "bridge", addresses: ["10.244.1.1/24"] },
				{ ...DEVICE, ifindex: 7, name: "veth61dfc48a", master: "cni0", peer: CABLE },
				{
					...{ ...DEVICE, ifindex: 4, name: "flannel.1", kind: "vxlan", role: "tunnel" },
					tunnel: { vni: 1, port: 8472, local: "192.168.66.11", underlay: "eth0" },
				},
			],
			pods: [{ ...POD, containers: [{ id: "c0ffee".padEnd(64, "0"), name: "main", image: "busybox", running: true }] }],
			remotes: [{ name: "node-b", address: "192.168.66.12", subnets: ["10.244.2.0/24"], vtepMac: "8e:02:00:00:00:02" }],
		}),
		PLAIN,
	);
	assert.deepEqual(lines, [
		"node-a  192.168.66.11  pods 10.244.1.0/24",
		"├─ docker0 (3)  bridge, 172.17.0.1/16, MTU 1450, nothing plugged in",
		"├─ cni0 (5)  bridge, 10.244.1.1/24, MTU 1450, 1 port",
		"│  └─ veth61dfc48a (7) ↔ eth0  default/client  10.244.1.2  cri, cni-cache agree  netns x",
		"│     └─ container main  c0ffee000000  busybox",
		"└─ flannel.1 (4)  VXLAN 1, UDP port 8472, MTU 1450 over eth0",
		"   └─ node-b  192.168.66.12  pods 10.244.2.0/24  VTEP 8e:02:00:00:00:02",
	]);
});

test("sources that disagree are shown to, with what each says; so is a link that nobody explains", () => {
	const lines = topologyLines(
		node({
			devices: [
				{ ...DEVICE, ifindex: 7, name: "veth61dfc48a", peer: CABLE },
				{ ...DEVICE, ifindex: 9, name: "veth9", unexplained: "its other end cannot be told" },
			],
			pods: [{ ...POD, conflicts: ["cni-cache calls it default/old"] }],
			warnings: ["/run/docker.sock: did not answer within 2 s"],
		}),
		PLAIN,
	).join("\n");
	assert.match(
		lines,
		/default\/client {2}10\.244\.1\.2 {2}cri, cni-cache disagree {2}netns x\n.*! cni-cache calls it default\/old/,
	);
	assert.match(lines, /links that nobody explains\n.*veth9 \(9\) {2}its other end cannot be told/);
	assert.match(lines, /! \/run\/docker\.sock: did not answer within 2 s$/);
});

test("no name that somebody else chose reaches the terminal raw", () => {
	const evil = "\u001b[2J\u0007";
	const lines = topologyLines(
		node({
			node: `n${evil}`,
			devices: [{ ...DEVICE, ifindex: 7, name: `v${evil}`, peer: CABLE }],
			pods: [
				{
					...POD,
					name: `p${evil}`,
					conflicts: [evil],
					containers: [{ id: evil, name: evil, image: evil, running: true }],
				},
			],
			remotes: [],
			warnings: [evil],
		}),
		PLAIN,
	);
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
	assert.doesNotMatch(lines.join("\n"), /[\u0000-\u0009\u000b-\u001f]/);
});
