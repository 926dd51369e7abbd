import { Encapsulation } from "../../wiring/encapsulation.js";
import type { Link, Route } from "../../wiring/model.js";
import { contains } from "../../wiring/namespace.js";
import type { Service } from "../owner.js";
import type { ResolvedPod } from "../resolve.js";
import { addressesOf } from "./bridge.js";
import { type Evidence, type Explanation, type Fault, type Known, listed } from "./explanation.js";
import { podEvidence } from "./veth.js";

/** A pod of this node: its cable, its bridge, its addresses and containers. */
export function explainPod(known: Known, pod: ResolvedPod, thing: string): Explanation {
	const { view } = known;
	const veth = view.host.link(pod.ifindex);
	const bridge = view.host.link(veth?.master ?? null);
	const peer = veth === null ? null : view.peer(veth);
	const inside = peer?.kind === "paired" ? peer : null;
	const gateways = bridge === null ? [] : addressesOf(known, bridge);
	return {
		...frame(known, thing, "pod"),
		headline: `${pod.namespace}/${pod.name} runs here, on ${pod.node}, with ${listed(pod.addresses) || "no address yet"}`,
		words: [
			veth === null
				? "It has no network cable of its own that can be seen."
				: `Its network cable goes from ${inside === null ? "its namespace" : `${inside.link.name} inside`} to ${veth.name} (index ${veth.ifindex}) here${bridge === null ? "" : `, which is plugged into ${bridge.name}`}.`,
			...(bridge === null || gateways.length === 0
				? []
				: [
						`What it sends to anybody beyond this bridge goes up to the node by ${bridge.name}, its gateway (${listed(gateways)}).`,
					]),
			...(pod.containers.length === 0
				? []
				: [`One network namespace for all of its containers: ${listed(pod.containers.map((one) => one.name))}.`]),
		],
		evidence: [
			...podEvidence(pod),
			...(inside === null || veth === null
				? []
				: [
						{
							fact: `${veth.name} and ${inside.link.name} in ${inside.namespace.namespace.path} point at each other`,
							source: "rtnetlink",
						},
					]),
		],
		unknown: [],
		faults: [
			...(veth !== null && !veth.up ? [{ reason: `${veth.name} is down`, remedy: `ip link set ${veth.name} up` }] : []),
			...(inside !== null && !inside.link.up
				? [{ reason: `${inside.link.name} inside the pod is down`, remedy: null }]
				: []),
			...pod.conflicts.map((reason) => ({ reason, remedy: null })),
		],
	};
}

/** Any address: whose it is, and the way there. */
export function explainAddress(known: Known, address: string): Explanation {
	const { view, directory } = known;
	const pod = directory.resolved().find((one) => one.addresses.includes(address));
	if (pod !== undefined) return explainPod(known, pod, address);
	const service = directory.services("*/*").filter((one) => one.ip === address);
	if (service.length > 0) return explainService(known, service, address);
	const device = view.host.localDevice(address);
	if (device !== null) {
		return {
			...frame(known, address, "address"),
			headline: `${address} is this node's own, on ${device.name}`,
			words: [role(known, device.ifindex, device.name)],
			evidence: [{ fact: `${device.name} has ${address}`, source: "rtnetlink" }],
			unknown: [],
			faults: [],
		};
	}
	return explainRemote(known, address);
}

function role(known: Known, ifindex: number, name: string): string {
	switch (known.view.role(ifindex)) {
		case "bridge":
			return `${name} is a bridge: the address is the gateway of whoever is plugged in.`;
		case "tunnel":
			return `${name} is the tunnel to other nodes: what this node itself sends to pods elsewhere comes from this address.`;
		case "nic":
			return `${name} is this node's way to other machines: they know the node by this address.`;
		default:
			return "Packets for it end here.";
	}
}

/** Not on this node: the route, and through a tunnel the neighbour, the FDB entry and the VTEP. */
function explainRemote(known: Known, address: string): Explanation {
	const { view, directory } = known;
	const route = view.host.lookup(address);
	const link = view.host.link(route?.ifindex ?? null);
	const node = directory.nodes().find((one) => one.subnets.some((subnet) => contains(subnet, address)));
	const machine = directory.nodes().find((one) => one.addresses.includes(address));
	const evidence: Evidence[] = [];
	const faults: Fault[] = [];
	const astray = missingRoute(known, address, route);
	if (route === null || link === null || astray !== null) {
		return {
			...frame(known, address, "address"),
			headline:
				route === null || link === null
					? `${address} cannot be reached from here: no route leads there`
					: `${address} is a pod's on another node, and no route leads there: its packets leave by ${link.name}, to nobody who knows it`,
			words: [],
			evidence:
				astray === null || link === null
					? evidence
					: [{ fact: `route ${route?.destination} dev ${link.name} is all there is`, source: "rtnetlink" }],
			unknown: ["Whose it is."],
			faults: astray === null ? faults : [...tunnelsDown(known), astray],
		};
	}
	const by = route.gateway === null ? "" : ` via ${route.gateway}`;
	evidence.push({ fact: `route ${route.destination}${by} dev ${link.name}`, source: "rtnetlink" });
	const kind = view.role(link.ifindex);
	if (kind === "tunnel") return throughTunnel(known, address, evidence, faults);
	if (kind === "bridge") {
		const neighbour = view.host.neighbour(link.ifindex, address);
		return {
			...frame(known, address, "address"),
			headline: `${address} is of this node's own pods' network, and nobody has it now`,
			words: [`Packets for it would be switched by ${link.name}, but no pod that is plugged in has the address.`],
			evidence: [
				...evidence,
				{
					fact: neighbour?.mac == null ? `no neighbour answers for it on ${link.name}` : `neighbour ${neighbour.mac}`,
					source: "rtnetlink",
				},
			],
			unknown: [],
			faults,
		};
	}
	const whose =
		machine !== undefined
			? `node ${machine.name}`
			: node !== undefined
				? `a pod's, on ${node.name}`
				: "somewhere outside of the cluster";
	return {
		...frame(known, address, "address"),
		headline: `${address} is ${whose}`,
		words: [
			`Packets for it leave by ${link.name}${route.gateway === null ? ", on whose network it is" : ` to ${route.gateway}`}.`,
		],
		evidence,
		unknown: machine === undefined && node === undefined ? ["Whose it is: no source on this node names it."] : [],
		faults,
	};
}

/** A pod's address for which there is nothing better than the default route, or not even that. */
function missingRoute({ view, directory }: Known, address: string, route: Route | null): Fault | null {
	if (route !== null && route.ifindex !== null && !route.destination.endsWith("/0")) return null;
	const step = new Encapsulation(view).unroutable(address, route);
	if (step.kind === "nowhere" && step.remedy !== null) return { reason: step.reason, remedy: step.remedy };
	const network = directory.testimony().subnetEnv?.networks.find((one) => contains(one, address));
	if (network !== undefined)
		return { reason: `no route to ${address}, which is in the pods' network ${network}`, remedy: null };
	return step.kind === "nowhere" ? { reason: step.reason, remedy: null } : null;
}

function whatIsDown({ name }: Link): Fault {
	return { reason: `${name} is down`, remedy: `ip link set ${name} up` };
}

/** A device that goes down takes its routes with it. */
function tunnelsDown({ view }: Known): readonly Fault[] {
	return view.host.namespace.links.filter((link) => !link.up && view.role(link.ifindex) === "tunnel").map(whatIsDown);
}

function throughTunnel(known: Known, address: string, evidence: Evidence[], faults: Fault[]): Explanation {
	const { view, directory } = known;
	const route = view.host.lookup(address);
	const link = view.host.link(route?.ifindex ?? null);
	const encapsulation = new Encapsulation(view);
	if (route === null || link === null) throw new TypeError("the caller has found the tunnel");
	const resolved = encapsulation.resolve(link, route, address);
	if (resolved.kind === "resolved") {
		evidence.push({ fact: `neighbour ${resolved.gateway} is ${resolved.mac} on ${link.name}`, source: "rtnetlink" });
	}
	if (!link.up) faults.push(whatIsDown(link));
	const way = encapsulation.encapsulate(link, address);
	if (way.kind === "nowhere") faults.push({ reason: way.reason, remedy: way.remedy });
	const vtep = way.kind === "underlay" ? way.vtep : null;
	if (vtep !== null && resolved.kind === "resolved") {
		evidence.push({ fact: `FDB: ${resolved.mac} is behind the VTEP ${vtep}`, source: "rtnetlink" });
	}
	const node = vtep === null ? null : directory.nodeByAddress(vtep);
	const where = node?.name ?? vtep ?? "a node that cannot be told";
	const pod = known.elsewhere?.podByAddress(address, Date.now()) ?? null;
	if (pod !== null) {
		evidence.push({
			fact: `${pod.node} says that it is ${pod.namespace}/${pod.name}'s`,
			source: pod.sources.join(", "),
		});
	}
	const whole = way.kind === "underlay" ? `out by ${way.link.name} to ${vtep ?? "its peer"}` : "and no further";
	return {
		...frame(known, address, "address"),
		headline:
			pod === null
				? `${address} is a pod's on another node: ${where}`
				: `${address} is ${pod.namespace}/${pod.name}'s, on another node: ${pod.node}`,
		words: [`Packets for it go by the route to ${route.destination} into ${link.name}, which wraps them; ${whole}.`],
		evidence,
		unknown: [
			...(pod !== null ? [] : [`Which pod it is: only ${where} knows. An agent there, or weft explain there, tells.`]),
			...(node !== null && node.name === node.address ? ["The node's name: put it into /etc/hosts to see it."] : []),
		],
		faults,
	};
}

/** A service: an address that no device has, and who answers for it. */
export function explainService(known: Known, rows: readonly Service[], thing: string): Explanation {
	const { directory } = known;
	const [first] = rows;
	const name = first?.name ?? thing;
	const ports = rows.map(
		({ ip, port, protocol, portName, nodePort }) =>
			`${protocol} ${ip.includes(":") ? `[${ip}]` : ip}:${port}${portName === null ? "" : ` (${portName})`}${nodePort === null ? "" : `, node port ${nodePort}`}`,
	);
	const endpoints = rows.flatMap((row) => row.endpoints);
	return {
		...frame(known, thing, "service"),
		headline: `${thing === name ? name : `${thing} is the service ${name}`}: ${listed(ports)}`,
		words: [
			"No device has its address. Rules of kube-proxy rewrite a packet for it on the node that it comes from: its destination becomes one of the endpoints, and in the replies the source becomes the service again.",
		],
		evidence: endpoints.map(({ ip, port }) => {
			const pod = directory.resolved().find((one) => one.addresses.includes(ip));
			const node = directory.nodeByAddress(ip);
			const whose =
				pod !== undefined ? `${pod.namespace}/${pod.name}` : node === null ? "unknown" : `a pod on ${node.name}`;
			return { fact: `endpoint ${ip.includes(":") ? `[${ip}]` : ip}:${port}, ${whose}`, source: "kube-proxy" };
		}),
		unknown: [],
		faults: endpoints.length === 0 ? [{ reason: "it has no endpoint: packets for it are refused", remedy: null }] : [],
	};
}

function frame(
	{ view }: Known,
	thing: string,
	kind: Explanation["kind"],
): Pick<Explanation, "type" | "thing" | "kind" | "node"> {
	return { type: "explanation", thing, kind, node: view.wiring.node };
}
