import { isIP } from "node:net";
import type { Link } from "../../wiring/model.js";
import { explainAddress, explainPod, explainService } from "./address.js";
import { explainBridge } from "./bridge.js";
import { type Explanation, type Known, NothingToExplain } from "./explanation.js";
import { explainDevice, explainNic, explainTunnel } from "./uplink.js";
import { explainVeth } from "./veth.js";

/**
 * Explains a device, an address, a pod (`namespace/name`, or a name in `namespace`) or a service. Pure.
 * Throws NothingToExplain when it is none of these.
 */
export function explain(known: Known, thing: string, namespace: string): Explanation {
	const { view, directory } = known;
	if (isIP(thing) !== 0) return explainAddress(known, thing);
	// As ip(8) prints it, veth61dfc48a@if3 is meant as well.
	const device = /^(.+)@if\d+$/.exec(thing)?.[1] ?? thing;
	const link = view.host.namespace.links.find((one) => one.name === device || one.altnames.includes(device));
	if (link !== undefined) return explainLink(known, link);
	const full = thing.includes("/") ? thing : `${namespace}/${thing}`;
	const service = directory.services("*/*").filter((one) => thing === `svc:${one.name}`);
	if (service.length > 0) return explainService(known, service, thing.slice("svc:".length));
	const pod = directory.resolved().find((one) => `${one.namespace}/${one.name}` === full);
	if (pod !== undefined) return explainPod(known, pod, thing);
	const [away] = known.elsewhere?.pods(full) ?? [];
	const address = away?.addresses[0];
	if (address !== undefined) return { ...explainAddress(known, address), thing };
	const unmarked = directory.services("*/*").filter((one) => one.name === full);
	if (unmarked.length > 0) return explainService(known, unmarked, full);
	throw new NothingToExplain(thing, [
		...view.host.namespace.links.filter((one) => !one.loopback).map((one) => one.name),
		...directory.resolved().map((one) => `${one.namespace}/${one.name}`),
	]);
}

export function explainLink(known: Known, link: Link): Explanation {
	switch (known.view.role(link.ifindex)) {
		case "tunnel":
			return explainTunnel(known, link);
		case "nic":
			return explainNic(known, link);
		case "bridge":
			return explainBridge(known, link);
		case "pod":
			return explainVeth(known, link);
		default:
			return link.kind === "veth" ? explainVeth(known, link) : explainDevice(known, link);
	}
}
