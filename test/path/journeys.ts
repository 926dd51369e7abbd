import type { Leg } from "./simulator.js";

/** The rows of the hook-order table of facts/datapath, as legs. `→` is the request's direction; all ends address:port. */

type NodeName = "node-a" | "node-b";
const NODE_A = "192.168.66.11";
const OUTSIDE = "192.168.66.1";
const CLUSTER_IP = "10.96.0.11:80";

function legs(node: NodeName, source: string, destination: string, ...hooks: string[]): Leg[] {
	return hooks.map((hook) => ({ node, hook, source, destination }));
}

export const JOURNEYS: Readonly<Record<string, (port: number) => Leg[]>> = {
	"pod to pod, same node": (port) => legs("node-a", `10.244.1.2:${port}`, "10.244.1.3:9000", "vA→i", "vB→e"),
	"reply, same node": (port) => legs("node-a", "10.244.1.3:9000", `10.244.1.2:${port}`, "vB→i", "vA→e"),
	"pod to pod, other node": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, "10.244.2.3:8080", "vA→i", "cni0→i", "flannel.1→e", "eth0→e"),
		...legs("node-b", `10.244.1.2:${port}`, "10.244.2.3:8080", "eth0→i", "flannel.1→i", "cni0→e", "vB→e"),
	],
	"reply, other node": (port) => [
		...legs("node-b", "10.244.2.3:8080", `10.244.1.2:${port}`, "vB→i", "cni0→i", "flannel.1→e", "eth0→e"),
		...legs("node-a", "10.244.2.3:8080", `10.244.1.2:${port}`, "eth0→i", "flannel.1→i", "cni0→e", "vA→e"),
	],
	"pod to own node": (port) => legs("node-a", `10.244.1.2:${port}`, `${NODE_A}:22`, "vA→i", "cni0→i"),
	"node to own pod": (port) => legs("node-a", `10.244.1.1:${port}`, "10.244.1.2:8080", "cni0→e", "vA→e"),
	"own pod to node": (port) => legs("node-a", "10.244.1.2:8080", `10.244.1.1:${port}`, "vA→i", "cni0→i"),
	"pod to outside": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, `${OUTSIDE}:53`, "vA→i", "cni0→i"),
		...legs("node-a", `${NODE_A}:${port}`, `${OUTSIDE}:53`, "eth0→e"),
	],
	"node to pod on another node": (port) => [
		...legs("node-a", `10.244.1.0:${port}`, "10.244.2.3:8080", "flannel.1→e", "eth0→e"),
		...legs("node-b", `10.244.1.0:${port}`, "10.244.2.3:8080", "eth0→i", "flannel.1→i", "cni0→e", "vB→e"),
	],
	"ClusterIP, backend elsewhere": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, CLUSTER_IP, "vA→i"),
		...legs("node-a", `10.244.1.2:${port}`, "10.244.2.3:8080", "cni0→i", "flannel.1→e", "eth0→e"),
		...legs("node-b", `10.244.1.2:${port}`, "10.244.2.3:8080", "eth0→i", "flannel.1→i", "cni0→e", "vB→e"),
	],
	"reply of a ClusterIP, backend elsewhere": (port) => [
		...legs("node-b", "10.244.2.3:8080", `10.244.1.2:${port}`, "vB→i", "cni0→i", "flannel.1→e", "eth0→e"),
		...legs("node-a", "10.244.2.3:8080", `10.244.1.2:${port}`, "eth0→i", "flannel.1→i"),
		...legs("node-a", CLUSTER_IP, `10.244.1.2:${port}`, "cni0→e", "vA→e"),
	],
	"ClusterIP, backend on the same node": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, CLUSTER_IP, "vA→i"),
		...legs("node-a", `10.244.1.2:${port}`, "10.244.1.3:8080", "vB→e"),
	],
	"the same with a stale neighbour": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, CLUSTER_IP, "vA→i"),
		...legs("node-a", `10.244.1.2:${port}`, "10.244.1.4:8080", "cni0→e", "vC→e"),
	],
	"ClusterIP on the same node, bridge-nf off": (port) => [
		...legs("node-a", `10.244.1.2:${port}`, "10.96.0.12:80", "vA→i", "cni0→i"),
		...legs("node-a", `10.244.1.2:${port}`, "10.244.1.3:8080", "cni0→e", "vB→e"),
	],
	hairpin: (port) => [
		...legs("node-a", `10.244.1.2:${port}`, CLUSTER_IP, "vA→i"),
		...legs("node-a", `10.244.1.1:${port}`, "10.244.1.2:8080", "vA→e"),
	],
	"outside to hostPort": (port) => [
		...legs("node-a", `${OUTSIDE}:${port}`, `${NODE_A}:18080`, "eth0→i"),
		...legs("node-a", `${OUTSIDE}:${port}`, "10.244.1.2:8080", "cni0→e", "vA→e"),
	],
	"reply of a hostPort": (port) => [
		...legs("node-a", "10.244.1.2:8080", `${OUTSIDE}:${port}`, "vA→i", "cni0→i"),
		...legs("node-a", `${NODE_A}:18080`, `${OUTSIDE}:${port}`, "eth0→e"),
	],
	"NodePort, backend elsewhere": (port) => [
		...legs("node-a", `${OUTSIDE}:${port}`, `${NODE_A}:30080`, "eth0→i"),
		...legs("node-a", `10.244.1.0:${port}`, "10.244.2.3:8080", "flannel.1→e", "eth0→e"),
		...legs("node-b", `10.244.1.0:${port}`, "10.244.2.3:8080", "eth0→i", "flannel.1→i", "cni0→e", "vB→e"),
	],
};
