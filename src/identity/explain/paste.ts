import type { Link } from "../../wiring/model.js";
import { WiringView } from "../../wiring/view.js";
import { NodeDirectory } from "../directory.js";
import { NO_PORTALS } from "../kube-proxy.js";
import { explainLink } from "./explain.js";
import { counted, type Explanation, type Known } from "./explanation.js";
import type { Pasted } from "./pasted.js";

/** What explanations of pasted text are made of: its wiring, and no names. */
export function knownFromPaste(pasted: Pasted): Known {
	const directory = new NodeDirectory();
	directory.update(
		{
			wiring: pasted.wiring,
			claims: [],
			leases: new Map(),
			subnetEnv: null,
			portals: NO_PORTALS,
			nodeNames: new Map(),
			warnings: [],
		},
		0,
	);
	return { view: new WiringView(pasted.wiring), directory, window: null, hooked: null, pasted: true };
}

/** Everything in a paste, bridges first; of veths that differ in nothing but their names, one for all. */
export function explainPaste(known: Known): readonly Explanation[] {
	const { view } = known;
	const links = view.host.namespace.links.filter((link) => !link.loopback);
	const alike = new Map<string, Link[]>();
	const veths = new Set<Link>();
	for (const link of links) {
		if (link.kind !== "veth") continue;
		veths.add(link);
		const key = `${link.master} ${link.peer} ${link.up}`;
		alike.set(key, [...(alike.get(key) ?? []), link]);
	}
	const bridges = links.filter((link) => link.kind === "bridge");
	const rest = links.filter((link) => link.kind !== "bridge" && !veths.has(link));
	return [
		...bridges.map((link) => explainLink(known, link)),
		...[...alike.values()].flatMap((group) => asGroup(known, group)),
		...rest.map((link) => explainLink(known, link)),
	];
}

function asGroup(known: Known, group: readonly Link[]): readonly Explanation[] {
	const [first, ...others] = group;
	if (first === undefined) return [];
	const one = explainLink(known, first);
	if (others.length === 0) return [one];
	const same = first.peer === null ? "" : `, all of them @if${first.peer}`;
	const [pair = "", ...words] = one.words;
	return [
		{
			...one,
			headline: `${counted(group.length, "veth")}${same}: ${group.map((link) => link.name).join(", ")}`,
			words: [`Each is the node's end of a cable into some container or pod. ${pair}`, ...words],
		},
	];
}
