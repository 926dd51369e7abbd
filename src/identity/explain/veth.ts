import type { Link } from "../../wiring/model.js";
import type { Peer } from "../../wiring/view.js";
import type { ResolvedPod } from "../resolve.js";
import type { Evidence, Explanation, Known } from "./explanation.js";

/** A veth: whose it is, where its other end is, and why the number behind its @ is no interface of this machine. */
export function explainVeth(known: Known, link: Link): Explanation {
	const { view, directory, pasted } = known;
	const peer = view.peer(link);
	const pod = directory.resolved().find((one) => one.ifindex === link.ifindex) ?? null;
	const bridge = view.host.link(link.master);
	const away = link.peerNsid !== null;
	return {
		type: "explanation",
		thing: link.name,
		kind: "veth",
		node: view.wiring.node,
		headline: headline(link, pod, peer, pasted, away),
		words: [
			pair(link, peer, pod, away),
			...(bridge === null
				? []
				: [`It is plugged into ${bridge.name}, as a cable into a switch: what the pod sends comes in here.`]),
			...(away && link.peer !== null ? [aboutTheNumber(known, link, link.peer)] : []),
		],
		evidence: [...evidence(known, link, peer), ...(pod === null ? [] : podEvidence(pod))],
		unknown: unknown(known, peer, pod),
		faults: [
			...(link.up ? [] : [{ reason: `${link.name} is down`, remedy: `ip link set ${link.name} up` }]),
			...(pod?.conflicts ?? []).map((reason) => ({ reason, remedy: null })),
		],
	};
}

function headline(link: Link, pod: ResolvedPod | null, peer: Peer, pasted: boolean, away: boolean): string {
	if (pod !== null) return `${link.name} is the node's end of ${pod.namespace}/${pod.name}'s network cable`;
	if (peer.kind === "paired" && !away) return `${link.name} is one end of a cable between two devices of this node`;
	if (pasted) return `${link.name} is the node's end of a cable into some container or pod`;
	return `${link.name} is the node's end of a cable into a namespace that nobody names`;
}

function pair(link: Link, peer: Peer, pod: ResolvedPod | null, away: boolean): string {
	const begin = "A veth is a pair of devices: what goes into one end comes out of the other.";
	if (peer.kind === "paired" && away) {
		const { name, path } = peer.namespace.namespace;
		const whose = pod === null ? "" : `, which is ${pod.namespace}/${pod.name}'s`;
		return `${begin} The other end is ${peer.link.name} (index ${peer.link.ifindex}) in network namespace ${name ?? path}${whose}.`;
	}
	if (peer.kind === "paired") return `${begin} The other end is ${peer.link.name}, here on the node.`;
	return away
		? `${begin} The other end has index ${link.peer} in another network namespace, and that cannot be seen from here.`
		: `${begin} Where the other end is cannot be told.`;
}

/** The question that weft started from. */
export function aboutTheNumber(known: Known, link: Link, peer: number): string {
	const local = known.view.host.link(peer);
	const coincidence =
		local === null
			? "No interface of this machine is meant."
			: `That interface ${peer} of this machine is ${local.name} is coincidence: the two have nothing to do with each other.`;
	return `ip shows it as ${link.name}@if${peer}. The ${peer} is the number of the other end in its own namespace, where counting begins at 1 again. ${coincidence}${habit(peer)}`;
}

function habit(peer: number): string {
	if (peer === 3) {
		return " It is 3 in every pod where the CNI plugins are older than 1.0: they make both ends inside the pod (lo is 1, the node's end 2, eth0 3) and then move the node's end out.";
	}
	if (peer === 2) {
		return " It is 2 in every pod where the CNI plugins are 1.0 or newer: the node's end is made outside, so the pod has lo as 1 and eth0 as 2.";
	}
	return "";
}

function evidence({ pasted, view }: Known, link: Link, peer: Peer): readonly Evidence[] {
	const source = pasted ? "pasted text" : "rtnetlink";
	const found: Evidence[] = [];
	if (link.peer !== null) {
		const id = link.peerNsid === null || link.peerNsid < 0 ? "" : ` in the namespace with id ${link.peerNsid}`;
		found.push({ fact: `${link.name} (index ${link.ifindex}) points at index ${link.peer}${id}`, source });
	}
	if (peer.kind === "paired") {
		const { path, cookie } = peer.namespace.namespace;
		found.push({ fact: `${peer.link.name} there points back at index ${peer.link.peer}`, source });
		found.push({ fact: `that namespace is ${path}, cookie ${cookie}`, source: "SO_NETNS_COOKIE" });
	} else if (peer.kind === "ambiguous" && !pasted) {
		found.push({ fact: `no pair: ${peer.reason}`, source });
	}
	const master = view.host.link(link.master);
	if (master !== null) found.push({ fact: `its master is ${master.name}`, source });
	return found;
}

/** Which sources say whose it is, and that they agree. */
export function podEvidence(pod: ResolvedPod): readonly Evidence[] {
	const agree = pod.sources.length > 1 && pod.conflicts.length === 0 ? "; the sources agree" : "";
	return [
		{
			fact: `it is ${pod.namespace}/${pod.name}, with ${pod.addresses.join(" and ") || "no address"}${agree}`,
			source: pod.sources.join(", "),
		},
		...(pod.sandbox === null ? [] : [{ fact: `sandbox ${pod.sandbox.slice(0, 12)}`, source: pod.sources[0] ?? "" }]),
		...pod.containers.map(({ name, id, image }) => ({
			fact: `container ${name} (${id.slice(0, 12)}${image === null ? "" : `, ${image}`}) shares its namespace`,
			source: pod.sources[0] ?? "",
		})),
	];
}

function unknown({ pasted }: Known, peer: Peer, pod: ResolvedPod | null): readonly string[] {
	if (pod !== null || (peer.kind === "paired" && peer.namespace.namespace.nsid === null)) return [];
	return [
		pasted
			? "Which pod it is: the text does not say what is in the other namespace. On that machine, weft explain does, or /var/lib/cni/results as root."
			: "Whose it is: neither a runtime nor the CNI cache nor a name of the namespace tells.",
	];
}
