import assert from "node:assert/strict";
import type { Lab } from "../../src/lab/lab.js";
import type { DualStack } from "../../src/lab/plan.js";

/**
 * The hop table of a flannel node: what the tracer is built on. `cA` is the host end of default/client's
 * veth, `nA` of neighbor's, `sB` of server's. A path is "on node-a ‖ on node-b".
 */
export type Family = keyof DualStack;
export type Protocol = "icmp" | "udp" | "tcp";

export interface Case {
	readonly name: string;
	readonly from: string;
	/** Address and, for TCP and UDP, port. */
	readonly to: (lab: Lab, family: Family) => string;
	readonly ports?: { readonly tcp?: number; readonly udp?: number };
	readonly protocols: readonly Protocol[];
	readonly families?: readonly Family[];
	readonly request: string;
	readonly reply: string;
}

/** Ports tell a datagram from its answer. */
export const CLIENT_PORT = 40123;

const pod = (name: string) => (lab: Lab, family: Family) => lab.pod(name).pod.address[family];
const node = (name: string) => (lab: Lab, family: Family) => lab.node(name).node.address[family];
const bridge = (name: string) => (lab: Lab, family: Family) =>
	lab.node(name).node.vtep[family].replace(/(0|::)$/, family === "ipv4" ? "1" : "::1");
const service = (name: string) => (lab: Lab, family: Family) => lab.service(name).clusterIp[family];
const ALL: readonly Protocol[] = ["icmp", "udp", "tcp"];

export const HOP_TABLE: readonly Case[] = [
	{
		name: "pod to pod on the same node is bridged: cni0 sees nothing",
		from: "default/client",
		to: pod("default/neighbor"),
		protocols: ALL,
		request: "cA→i nA→e",
		reply: "nA→i cA→e",
	},
	{
		name: "pod to pod on the other node",
		from: "default/client",
		to: pod("default/server"),
		protocols: ALL,
		request: "cA→i cni0→i flannel→e eth0→e ‖ eth0→i flannel→i cni0→e sB→e",
		reply: "eth0→i flannel→i cni0→e cA→e ‖ sB→i cni0→i flannel→e eth0→e",
	},
	{
		name: "pod to its own node",
		from: "default/client",
		to: bridge("node-a"),
		protocols: ALL,
		request: "cA→i cni0→i",
		reply: "cni0→e cA→e",
	},
	{
		name: "pod to the other node",
		from: "default/client",
		to: node("node-b"),
		protocols: ALL,
		request: "cA→i cni0→i eth0→e ‖ eth0→i",
		reply: "eth0→i cni0→e cA→e ‖ eth0→e",
	},
	{
		name: "node to its own pod",
		from: "node:node-a",
		to: pod("default/client"),
		protocols: ALL,
		request: "cni0→e cA→e",
		reply: "cA→i cni0→i",
	},
	{
		name: "node to a pod on the other node",
		from: "node:node-a",
		to: pod("default/server"),
		protocols: ALL,
		request: "flannel→e eth0→e ‖ eth0→i flannel→i cni0→e sB→e",
		reply: "eth0→i flannel→i ‖ sB→i cni0→i flannel→e eth0→e",
	},
	{
		name: "pod to a service with its backend on the other node",
		from: "default/client",
		to: service("default/web"),
		protocols: ["tcp"],
		ports: { tcp: 80 },
		request: "cA→i cni0→i flannel→e eth0→e ‖ eth0→i flannel→i cni0→e sB→e",
		reply: "eth0→i flannel→i cni0→e cA→e ‖ sB→i cni0→i flannel→e eth0→e",
	},
	{
		name: "pod to a UDP service with its backend on the other node",
		from: "default/client",
		to: service("default/dns"),
		protocols: ["udp"],
		ports: { udp: 53 },
		request: "cA→i cni0→i flannel→e eth0→e ‖ eth0→i flannel→i cni0→e sB→e",
		reply: "eth0→i flannel→i cni0→e cA→e ‖ sB→i cni0→i flannel→e eth0→e",
	},
	{
		name: "pod to a service with its backend on the same node is bridged too",
		from: "default/client",
		to: service("default/near"),
		protocols: ["tcp"],
		ports: { tcp: 80 },
		request: "cA→i nA→e",
		reply: "nA→i cA→e",
	},
	{
		name: "pod to a UDP service with its backend on the same node",
		from: "default/client",
		to: service("default/neardns"),
		protocols: ["udp"],
		ports: { udp: 53 },
		request: "cA→i nA→e",
		reply: "nA→i cA→e",
	},
	{
		name: "pod to a service that leads back to itself (hairpin)",
		from: "default/neighbor",
		to: service("default/near"),
		protocols: ["tcp"],
		ports: { tcp: 80 },
		request: "nA→i nA→e",
		reply: "nA→i nA→e",
	},
	{
		name: "outside to a hostPort",
		from: "outside",
		to: node("node-b"),
		protocols: ["tcp"],
		ports: { tcp: 18080 },
		request: "‖ eth0→i cni0→e sB→e",
		reply: "‖ sB→i cni0→i eth0→e",
	},
	{
		name: "127.0.0.1 to a hostPort",
		from: "node:node-b",
		to: () => "127.0.0.1",
		families: ["ipv4"],
		protocols: ["tcp"],
		ports: { tcp: 18080 },
		request: "‖ cni0→e sB→e",
		reply: "‖ sB→i cni0→i",
	},
	{
		name: "outside to a NodePort, backend on the other node",
		from: "outside",
		to: node("node-a"),
		protocols: ["tcp"],
		ports: { tcp: 30080 },
		request: "eth0→i flannel→e eth0→e ‖ eth0→i flannel→i cni0→e sB→e",
		reply: "eth0→i flannel→i eth0→e ‖ sB→i cni0→i flannel→e eth0→e",
	},
];

/** What answers in the lab: TCP echo on 8080 and UDP echo on 5353, wherever the table goes. */
export async function serveTable(lab: Lab): Promise<void> {
	const listeners = [
		{ protocol: "tcp", port: 8080, as: "echo" },
		{ protocol: "udp", port: 5353, as: "echo" },
	] as const;
	const places = ["default/client", "default/neighbor", "default/server", "node:node-a", "node:node-b"];
	await Promise.all(places.map((where) => lab.serve(where, ...listeners)));
}

/** One request and its answer, which is checked to arrive. */
export async function exchange(lab: Lab, each: Case, family: Family, protocol: Protocol): Promise<void> {
	const address = each.to(lab, family);
	if (protocol === "icmp") {
		assert.equal(await lab.ping(each.from, address), 1, "the ping is answered");
		return;
	}
	const port = each.ports?.[protocol] ?? (protocol === "tcp" ? 8080 : 5353);
	const order =
		protocol === "tcp"
			? ({ protocol, address, port, bytes: 100 } as const)
			: ({ protocol, address, port, size: 100, count: 1, answers: true, from: CLIENT_PORT } as const);
	const sent = await lab.send(each.from, order);
	assert.equal(sent.error, null);
	assert.equal(sent.receivedBytes, 100, "every byte comes back");
}

/** A device as the table calls it. */
export function shortName(lab: Lab, node: string, device: string): string {
	if (device.startsWith("flannel")) return "flannel";
	const pod = lab.pods.find((each) => each.pod.node === node && each.pod.device === device);
	return pod === undefined ? device : `${pod.pod.name[0]}${node === "node-a" ? "A" : "B"}`;
}

/** A path of the table with both halves written out: "a ‖ b". */
export function whole(path: string): string {
	const [a = "", b = ""] = path.split("‖").map((half) => half.trim());
	return `${a} ‖ ${b}`;
}
