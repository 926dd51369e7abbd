import { Encapsulation } from "../../wiring/encapsulation.js";
import type { Link } from "../../wiring/model.js";
import { tunnelNarrow } from "../../wiring/mtu.js";
import { counters } from "./bridge.js";
import { counted, type Evidence, type Explanation, type Fault, type Known, listed } from "./explanation.js";

/** A tunnel: to which nodes it leads, by which three tables, and what is missing in them. */
export function explainTunnel(known: Known, link: Link): Explanation {
	const { view, directory, pasted } = known;
	const source = pasted ? "pasted text" : "rtnetlink";
	const { vxlan } = link;
	const underlay = view.host.link(vxlan?.underlay ?? null);
	const routes = view.host.namespace.routes.filter((route) => route.ifindex === link.ifindex && route.gateway !== null);
	const encapsulation = new Encapsulation(view);
	const evidence: Evidence[] = [];
	const faults: Fault[] = link.up ? [] : [{ reason: `${link.name} is down`, remedy: `ip link set ${link.name} up` }];
	const narrow = tunnelNarrow(link, underlay);
	if (narrow !== null) faults.push({ reason: narrow.reason, remedy: narrow.remedy });
	const nodes: string[] = [];
	for (const route of routes) {
		const way = encapsulation.encapsulate(link, route.destination.split("/")[0] ?? "");
		if (way.kind === "underlay" && way.vtep !== null) {
			const node = directory.nodeByAddress(way.vtep)?.name ?? way.vtep;
			nodes.push(node === way.vtep ? node : `${node} (${way.vtep})`);
			const mac = view.host.neighbour(link.ifindex, route.gateway ?? "")?.mac;
			evidence.push({
				fact: `${route.destination} → ${route.gateway} → ${mac} → ${way.vtep}`,
				source: `${source}: route, neighbour, FDB`,
			});
		} else if (way.kind === "nowhere" && !(pasted && lacksTable(known, link))) {
			faults.push({ reason: `${route.destination}: ${way.reason}`, remedy: way.remedy });
		}
	}
	const kind = vxlan === null ? (link.kind ?? "tunnel") : "VXLAN";
	const how =
		vxlan === null
			? `It wraps packets for other nodes (${kind}).`
			: `It wraps each pod's packet whole into a UDP packet to port ${vxlan.port} with network number (VNI) ${vxlan.vni}, ${underlay === null ? "" : `sends it through ${underlay.name} `}and unwraps what comes back. That takes 50 bytes (70 over IPv6), so its MTU is ${link.mtu}${underlay === null ? "" : ` where ${underlay.name} has ${underlay.mtu}`}.`;
	return {
		type: "explanation",
		thing: link.name,
		kind: "tunnel",
		node: view.wiring.node,
		headline: `${link.name} is the tunnel to the pods of other nodes${nodes.length === 0 ? "" : `: ${counted(new Set(nodes).size, "node")}`}`,
		words: [
			how,
			nodes.length === 0
				? "No other node's subnet is routed into it."
				: `It leads to ${listed([...new Set(nodes)])}. For each, flannel has set a route to its pods' subnet, the neighbour that the route goes by, and the FDB entry that says at which machine that neighbour is.`,
		],
		evidence: [
			...(vxlan === null
				? []
				: [
						{
							fact: `vxlan id ${vxlan.vni} local ${vxlan.local ?? "?"} port ${vxlan.port}${vxlan.learning ? "" : " nolearning"}`,
							source,
						},
					]),
			...evidence,
			...counters(known, link),
		],
		unknown:
			pasted && lacksTable(known, link)
				? ["At which machines its far ends are: that takes `ip route`, `ip neigh` and `bridge fdb`."]
				: [],
		faults,
	};
}

/** Pasted text may have the routes and not the other two tables: then nothing is missing but the paste. */
function lacksTable({ view }: Known, link: Link): boolean {
	const { fdb, neighbours } = view.host.namespace;
	return !fdb.some((one) => one.ifindex === link.ifindex) || !neighbours.some((one) => one.ifindex === link.ifindex);
}

/** A NIC: what leaves the machine by it. */
export function explainNic(known: Known, link: Link): Explanation {
	const { view } = known;
	const addresses = view.host.namespace.addresses.filter(({ ifindex }) => ifindex === link.ifindex);
	const own = addresses.map(({ address }) => address).filter((address) => !/^fe[89ab]/i.test(address));
	const tunnels = view.host.namespace.links.filter((one) => one.vxlan?.underlay === link.ifindex);
	const gateways = view.host.namespace.routes.filter(
		(route) => route.ifindex === link.ifindex && route.destination.endsWith("/0"),
	);
	return {
		type: "explanation",
		thing: link.name,
		kind: "nic",
		node: view.wiring.node,
		headline: `${link.name} is this node's way to other machines${own.length === 0 ? "" : `, with ${listed(own)}`}`,
		words: [
			...(tunnels.length === 0
				? []
				: [
						`${listed(tunnels.map((one) => one.name))} ${tunnels.length === 1 ? "sends" : "send"} through it: pods' packets for other nodes pass it wrapped.`,
					]),
			...(gateways.length === 0
				? []
				: [
						`What is for nobody nearer goes to ${listed(gateways.flatMap((route) => route.gateway ?? []))}, the default gateway, behind it.`,
					]),
		],
		evidence: counters(known, link),
		unknown: [],
		faults: [
			...(link.up
				? []
				: [{ reason: `${link.name} is down: no other machine can be reached`, remedy: `ip link set ${link.name} up` }]),
			...tunnels.flatMap((one) => {
				const narrow = tunnelNarrow(one, link);
				return narrow === null ? [] : [{ reason: narrow.reason, remedy: narrow.remedy }];
			}),
		],
	};
}

/** Anything else: what the kernel says of it. */
export function explainDevice(known: Known, link: Link): Explanation {
	return {
		type: "explanation",
		thing: link.name,
		kind: "device",
		node: known.view.wiring.node,
		headline: link.loopback
			? `${link.name} is the loopback: what the node says to itself`
			: `${link.name} is a ${link.kind ?? "network"} device that carries no pods' packets as far as can be told`,
		words: [],
		evidence: counters(known, link),
		unknown: [],
		faults: [],
	};
}
