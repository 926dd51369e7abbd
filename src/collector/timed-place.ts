import type { HookSite, Wiring } from "../wiring/model.js";
import { bridgeOf } from "./latency-sites.js";

/** Where the stopwatch has, or had, a hook: with what names the segments that begin or end there. */
export interface TimedPlace {
	readonly node: string;
	readonly site: HookSite;
	/** The bridge that the device, or its other end on the host, is a port of; null: of none. */
	readonly bridge: string | null;
	/** The device that tells whose it is, in the host's namespace; null: not known. */
	readonly hostIfindex: number | null;
}

/** A hook site of a node, with what its wiring says of it. */
export function timedPlace(wiring: Wiring, site: HookSite): TimedPlace {
	const { node } = wiring;
	const host = site.role === "inside" ? vethOf(wiring, site) : { ifindex: site.ifindex, master: site.master };
	return {
		...{ node, site, hostIfindex: host?.ifindex ?? null },
		bridge: host === null ? null : bridgeOf(wiring, { master: host.master }),
	};
}

/** The host's end of a pod's own device. */
function vethOf(wiring: Wiring, site: HookSite): { readonly ifindex: number; readonly master: number | null } | null {
	const inside = wiring.others.find(({ cookie }) => cookie === site.netns);
	const peer = inside?.links.find(({ ifindex }) => ifindex === site.ifindex)?.peer ?? null;
	return wiring.host.links.find(({ ifindex, peer: back }) => ifindex === peer && back === site.ifindex) ?? null;
}
