import type { Link, Route } from "../../wiring/model.js";
import type { Container } from "../claim.js";
import { DOCKER } from "../runtime/docker.js";
import { counted, type Evidence, type Explanation, type Known, listed } from "./explanation.js";

/** A bridge: who is plugged in, and when nobody is, how one can see that it is idle and why. */
export function explainBridge(known: Known, link: Link): Explanation {
	const ports = known.view.host.ports(link.ifindex);
	return ports.length > 0 ? inUse(known, link, ports) : idle(known, link);
}

function inUse(known: Known, link: Link, ports: readonly Link[]): Explanation {
	const { view, directory, pasted } = known;
	const pods = directory.resolved().filter((pod) => ports.some((port) => port.ifindex === pod.ifindex));
	const docker = pods.filter((pod) => pod.namespace === DOCKER);
	const addresses = addressesOf(known, link);
	const who =
		pods.length > 0
			? `Plugged in: ${listed(pods.map((pod) => `${pod.namespace}/${pod.name} by ${pod.device}`))}.`
			: `Plugged in: ${listed(ports.map((port) => port.name))}${pasted ? "; each leads into another namespace, a pod's as a rule" : ""}.`;
	const users = docker.length === pods.length && docker.length > 0 ? "containers'" : "pods'";
	const gateway =
		addresses.length === 0
			? "It has no address of its own: it only switches."
			: `Its own address ${listed(addresses)} is the ${users} gateway: what they send to anybody who is not on this bridge goes up to the node by it, and is routed from there.`;
	return {
		...frame(known, link),
		headline: `${link.name} is a bridge, a switch in the kernel, with ${counted(ports.length, "port")}`,
		words: [
			who,
			...docker.map(({ name, containers }) => whatDockerRuns(name, containers)),
			gateway,
			"A packet from one port to another is switched: it passes both ports, and not the bridge device itself.",
		],
		evidence: [
			{
				fact: `${ports.map((port) => port.name).join(", ")} ${ports.length === 1 ? "has" : "have"} ${link.name} as master`,
				source: source(known),
			},
			...addresses.map((address) => ({ fact: `${link.name} has ${address}`, source: source(known) })),
			...counters(known, link),
		],
		unknown: pasted ? ["Which pod is behind which port: the text does not look into other namespaces."] : [],
		faults: link.up
			? []
			: [{ reason: `${link.name} is down: its pods reach nobody`, remedy: `ip link set ${link.name} up` }],
		node: view.wiring.node,
	};
}

function idle(known: Known, link: Link): Explanation {
	const { view, pasted } = known;
	const others = view.host.namespace.links.filter(
		(one) => one.kind === "bridge" && one !== link && view.host.ports(one.ifindex).length > 0,
	);
	const docker = isDockers(known, link);
	const busy = others[0];
	const still = movedBy(known, link) === 0 && (known.hooked?.get(link.ifindex) ?? 0) === 0;
	const since =
		known.window === null || !still
			? "Nothing is plugged into it now."
			: `Nothing is plugged into it, and it was idle for the last ${known.window.seconds} s.`;
	return {
		...frame(known, link),
		headline: `${link.name} is a bridge with nothing plugged in${docker ? `: Docker's own${still || known.window === null ? ", and idle here" : ""}` : ""}`,
		words: [
			since,
			...(docker ? [whyDockersIsIdle(busy ?? null)] : []),
			...(busy === undefined
				? []
				: [`The pods of this node are on ${busy.name}: ${counted(view.host.ports(busy.ifindex).length, "port")}.`]),
		],
		evidence: [
			{ fact: `no link has ${link.name} (index ${link.ifindex}) as its master`, source: source(known) },
			...routeEvidence(known, link),
			...fdbEvidence(known, link),
			...counters(known, link),
		],
		unknown: pasted
			? ["Whether packets pass it: the text has no counters over time. On that machine, weft explain watches them."]
			: [],
		faults: [],
		node: view.wiring.node,
	};
}

function whyDockersIsIdle(busy: Link | null): string {
	const cni =
		busy === null
			? ""
			: " Kubernetes with CNI does not use it: a pod's pause container is started without a Docker network, the CNI plugin makes its veth, and the pod's other containers join its namespace.";
	return `Docker makes it for containers of a plain docker run.${cni} It is not useless: the next docker run would be plugged in here.`;
}

/** A plain container, and those that share its namespace. */
function whatDockerRuns(name: string, containers: readonly Container[]): string {
	const guests = containers.map((one) => one.name).filter((one) => one !== name);
	const shared =
		guests.length === 0 ? "" : `; ${listed(guests)} ${guests.length === 1 ? "shares" : "share"} its network`;
	return `${name} is a container of a plain docker run, no pod${shared}.`;
}

/** By its address range and name, neither of which is proof: it is said as a habit, not as a fact. */
function isDockers({ directory }: Known, link: Link): boolean {
	return (
		link.name === "docker0" ||
		directory.resolved().some((pod) => pod.namespace === "docker" && pod.device === link.name)
	);
}

function frame({ view }: Known, link: Link): Pick<Explanation, "type" | "thing" | "kind" | "node"> {
	return { type: "explanation", thing: link.name, kind: "bridge", node: view.wiring.node };
}

function source({ pasted }: Known): string {
	return pasted ? "pasted text" : "rtnetlink";
}

/** Of a device, with prefix, link-local ones left out. */
export function addressesOf({ view }: Known, link: Link): readonly string[] {
	return view.host.namespace.addresses
		.filter(({ ifindex, address }) => ifindex === link.ifindex && !/^fe[89ab]/i.test(address))
		.map(({ address, prefix }) => `${address}/${prefix}`);
}

function routeEvidence(known: Known, link: Link): readonly Evidence[] {
	const routes = known.view.host.namespace.routes.filter((route) => route.ifindex === link.ifindex && isMain(route));
	if (routes.length === 0) return [];
	const dead = routes.every((route) => route.linkdown);
	const shown = listed(routes.map((route) => `${route.destination}${route.linkdown ? " linkdown" : ""}`));
	return [
		{
			fact: `its only ${routes.length === 1 ? "route is" : "routes are"} ${shown}${dead ? ": the kernel has no carrier on it" : ""}`,
			source: source(known),
		},
	];
}

const MAIN_TABLE = 254;
const UNICAST = 1;

function isMain({ table, type, destination }: Route): boolean {
	return table === MAIN_TABLE && type === UNICAST && !destination.startsWith("fe80");
}

/** Learned entries are those of ports: the bridge's own addresses are always there. */
function fdbEvidence(known: Known, link: Link): readonly Evidence[] {
	const { fdb } = known.view.host.namespace;
	if (fdb.length === 0) return [];
	const learned = fdb.filter((entry) => entry.master === link.ifindex && entry.ifindex !== link.ifindex);
	return [
		{
			fact: `its forwarding table has ${learned.length === 0 ? "no" : learned.length} learned addresses`,
			source: source(known),
		},
	];
}

/** Packets in the window, by its counters; null: it was not watched. */
function movedBy({ window }: Known, link: Link): number | null {
	const before = window?.before.get(link.ifindex);
	const after = window?.after.get(link.ifindex);
	if (before === undefined || after === undefined) return null;
	return after.rxPackets + after.txPackets - before.rxPackets - before.txPackets;
}

/** What its counters did in the window, and what hooks saw. */
export function counters({ window, hooked, pasted }: Known, link: Link): readonly Evidence[] {
	const found: Evidence[] = [];
	const before = window?.before.get(link.ifindex);
	const after = window?.after.get(link.ifindex);
	if (window !== null && before !== undefined && after !== undefined) {
		const [rx, tx] = [after.rxPackets - before.rxPackets, after.txPackets - before.txPackets];
		const total = `${after.rxPackets} in and ${after.txPackets} out in all`;
		const moved =
			rx === 0 && tx === 0
				? `its counters did not move in ${window.seconds} s (${total})`
				: `${rx} packets came in and ${tx} went out by it in ${window.seconds} s (${total})`;
		found.push({ fact: moved, source: "counters" });
	} else if (!pasted) {
		const { rxPackets, txPackets } = link.statistics;
		found.push({
			fact: `${rxPackets} packets came in and ${txPackets} went out by it since it was made`,
			source: "counters",
		});
	}
	const seen = hooked?.get(link.ifindex);
	if (seen !== undefined && window !== null) {
		found.push({ fact: `hooks on it saw ${counted(seen, "packet")} in ${window.seconds} s`, source: "tc hooks" });
	}
	return found;
}
