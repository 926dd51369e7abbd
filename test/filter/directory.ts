import type { NameResolver } from "../../src/filter/evaluate.js";
import { globMatches } from "../../src/filter/pattern.js";
import {
	type EndLookup,
	type EndPod,
	type EndService,
	type ResolvedEnd,
	resolveEnd,
	resolveName,
} from "../../src/filter/resolve.js";
import type { NetnsCookie } from "../../src/packet/hook.js";

const pod = (name: string, node: string, address: string, ifindex: number): EndPod => ({
	namespace: "default",
	name,
	node,
	addresses: [address],
	netns: `${ifindex}00` as NetnsCookie,
	ifindex,
});

const PODS: readonly EndPod[] = [
	pod("client", "node-a", "10.244.1.2", 7),
	pod("neighbor", "node-a", "10.244.1.3", 8),
	pod("server", "node-b", "10.244.2.3", 7),
	{ ...pod("web-1", "node-b", "10.244.2.4", 9), namespace: "shop" },
	{ ...pod("web-2", "node-b", "10.244.2.5", 10), namespace: "shop" },
];
const SERVICES: readonly EndService[] = [
	{
		name: "default/web",
		ip: "10.96.0.11",
		port: 80,
		protocol: "tcp",
		nodePort: 30080,
		endpoints: [{ ip: "10.244.2.3", port: 8080 }],
	},
];

/** The lab's cluster, as issue 2 names it. */
export const DIRECTORY: EndLookup = {
	pods: (glob) => PODS.filter(({ namespace, name }) => globMatches(glob, `${namespace}/${name}`)),
	services: (name) => SERVICES.filter((service) => globMatches(name, service.name)),
	nodes: () => [
		{ name: "node-a", address: "192.168.66.11", subnets: ["10.244.1.0/24"] },
		{ name: "node-b", address: "192.168.66.12", subnets: ["10.244.2.0/24"] },
	],
};

export const ANY: ResolvedEnd = resolveEnd({ kind: "any" }, DIRECTORY);
export const resolve: NameResolver = ({ what, name }) => resolveName(what, name, DIRECTORY);
