import assert from "node:assert/strict";
import { test } from "node:test";
import type { Role } from "../../src/packet/hook.js";
import { hookPoints } from "../../src/wiring/hookpoints.js";
import type { Wiring } from "../../src/wiring/model.js";
import { tunnelPorts, underlayAddresses } from "../../src/wiring/roles.js";
import { WiringView } from "../../src/wiring/view.js";
import { flannelNode, Index, link, podAddress, route } from "./flannel.js";

const node = flannelNode({ number: 1, pods: 3, nodes: 2 });

function rolesOf(wiring: Wiring): Record<string, Role> {
	const view = new WiringView(wiring);
	return Object.fromEntries(wiring.host.links.map(({ name, ifindex }) => [name, view.role(ifindex)]));
}

test("roles come from kinds, peers and routes", () => {
	assert.deepEqual(rolesOf(node), {
		lo: "host",
		docker0: "bridge",
		eth0: "nic",
		"flannel.1": "tunnel",
		cni0: "bridge",
		vetha1: "pod",
		vetha2: "pod",
		vetha3: "pod",
	});
});

test("names mean nothing", () => {
	const renamed = {
		...node,
		host: { ...node.host, links: node.host.links.map((one) => ({ ...one, name: `x${one.ifindex}` })) },
	};
	assert.deepEqual(Object.values(rolesOf(renamed)), Object.values(rolesOf(node)));
});

test("a node's NIC may be a veth: a lab's underlay is no pod", () => {
	const links = node.host.links.map((one) =>
		one.name === "eth0" ? { ...one, kind: "veth", peer: 2, peerNsid: 99 } : one,
	);
	const lab = { ...node, host: { ...node.host, links } };
	assert.equal(rolesOf(lab)["eth0"], "nic");
	const gateway = { ...lab, host: { ...lab.host, links: links.filter((one) => one.kind !== "vxlan") } };
	assert.equal(rolesOf(gateway)["eth0"], "nic");
});

test("a veth without a bridge is a pod's (ptp), one between two local devices is the host's", () => {
	const ptp = link({ ifindex: 50, name: "cali1", kind: "veth", peer: 3, peerNsid: 7 });
	const local = link({ ifindex: 51, name: "v0", kind: "veth", peer: 52 });
	const routes = [...node.host.routes, route("10.244.1.50/32", 50, {})];
	const roles = rolesOf({ ...node, host: { ...node.host, routes, links: [...node.host.links, ptp, local] } });
	assert.deepEqual([roles["cali1"], roles["v0"]], ["pod", "host"]);
});

test("a bridge that carries the node's own address to the gateway is its NIC", () => {
	const links = node.host.links.map((one) => (one.name === "eth0" ? { ...one, kind: "bridge" } : one));
	assert.equal(rolesOf({ ...node, host: { ...node.host, links } })["eth0"], "nic");
});

const names = (wiring: Wiring, from: string[] | null, to: string[] | null, inside = false) =>
	hookPoints(wiring, {
		from: from === null ? null : { addresses: from },
		to: to === null ? null : { addresses: to },
		inside,
	}).map((site) => `${site.device}→${site.direction === "ingress" ? "i" : "e"}`);

test("a pair of pods of one node needs their veths and the bridge", () => {
	assert.deepEqual(names(node, [podAddress(1, 1)], [podAddress(1, 2)]), [
		"vetha1→i",
		"vetha1→e",
		"vetha2→i",
		"vetha2→e",
		"cni0→i",
		"cni0→e",
	]);
});

test("a pair on two nodes needs the way out as well: eight hooks", () => {
	const way = ["vetha1→i", "vetha1→e", "cni0→i", "cni0→e", "flannel.1→i", "flannel.1→e", "eth0→i", "eth0→e"];
	assert.deepEqual(names(node, [podAddress(1, 1)], [podAddress(2, 1)]), way);
	assert.deepEqual(names(node, [podAddress(2, 1)], [podAddress(1, 1)]), way);
	const gateway = flannelNode({ number: 1, pods: 3, nodes: 2, hostGateway: true });
	assert.deepEqual(
		names(gateway, [podAddress(1, 1)], [podAddress(2, 1)]),
		way.filter((name) => !name.startsWith("flannel")),
	);
});

test("any means every device that carries pods, a prefix those inside it", () => {
	assert.equal(names(node, null, null).length, 2 * 7);
	assert.equal(names(node, ["10.244.1.0/24"], ["10.244.2.0/24"]).length, 2 * 6);
	assert.equal(
		names(node, [podAddress(1, 1)], [podAddress(1, 2)], true).filter((name) => name.startsWith("eth0")).length,
		4,
	);
});

test("tunnel ports and underlay addresses are read from the devices", () => {
	assert.deepEqual(tunnelPorts(node.host), [8472]);
	assert.deepEqual(underlayAddresses(node), ["192.168.66.11"]);
});

test("two ends that do not point at each other are no pair", () => {
	const view = (wiring: Wiring) => {
		const made = new WiringView(wiring);
		const veth = wiring.host.links.find((one) => one.ifindex === Index.firstVeth + 1);
		return veth === undefined ? null : made.peer(veth);
	};
	assert.equal(view(node)?.kind, "paired");
	const [first, ...rest] = node.others;
	assert.ok(first);
	const lying = { ...first, links: first.links.map((one) => (one.loopback ? one : { ...one, peer: 4 })) };
	assert.deepEqual(view({ ...node, others: [lying, ...rest] }), {
		kind: "ambiguous",
		reason: "eth0 there points at 4, not back",
	});
	assert.equal(view({ ...node, others: rest })?.kind, "ambiguous");
	// The same ifindex in another namespace, and one of the host's own, are not looked at.
	assert.ok(node.host.links.some((one) => one.ifindex === 3) && rest[0]?.links.some((one) => one.ifindex === 3));
});
