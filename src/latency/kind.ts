import type { SegmentKind } from "./report.js";
import type { TimedHook } from "./timed-hook.js";

/** What a packet does between two hooks, and the bridge or tunnel that holds it meanwhile. */
export interface Named {
	readonly kind: SegmentKind;
	readonly device: string | null;
}

/**
 * Between two hooks that a packet met one after the other. In a path's order:
 *
 *     inside→e  port→i  bridge→i  tunnel→e  nic→e ‖ nic→i  tunnel→i  bridge→e  port→e  inside→i
 *         out of pod   up     route   encapsulate     decapsulate  route    down   into pod
 */
export function kindBetween(from: TimedHook, to: TimedHook): Named {
	const passage = `${stationOf(from)} ${stationOf(to)}`;
	const kind = KINDS[passage] ?? (from.direction === "ingress" && to.direction === "egress" ? "route" : "other");
	switch (kind) {
		case "bridge-forward":
			// Ports of two bridges: it went up, was routed and came down where nobody watched.
			return from.bridge === to.bridge ? { kind, device: from.bridge } : { kind: "route", device: null };
		case "bridge-up":
			return { kind, device: to.device };
		case "bridge-down":
			return { kind, device: from.device };
		case "encapsulate":
			return { kind, device: from.device };
		case "decapsulate":
			return { kind, device: to.device };
		case "into-pod":
			return { kind, device: from.bridge };
		case "out-of-pod":
			return { kind, device: to.bridge };
		default:
			return { kind, device: null };
	}
}

/** What a packet would have been timed as, had it been known when it came to a hook. */
export function kindUpTo(to: TimedHook): Named {
	switch (`${stationOf(to)}`) {
		case "port→e":
			return { kind: "bridge-forward", device: to.bridge };
		case "bridge→i":
			return { kind: "bridge-up", device: to.device };
		case "tunnel→i":
			return { kind: "decapsulate", device: to.device };
		case "inside→i":
			return { kind: "into-pod", device: to.bridge };
		case "port→i":
			return { kind: "out-of-pod", device: to.bridge };
		default:
			return { kind: "route", device: null };
	}
}

/** Packets come into being at this hook, as far as the node can see: what is not known there is new. */
export function begins(hook: TimedHook, insideWatched: boolean): boolean {
	const station = stationOf(hook);
	return station === "nic→i" || station === "inside→e" || (station === "port→i" && !(insideWatched && isPod(hook)));
}

/** The last hook of a node that a packet can meet. */
export function ends(hook: TimedHook): boolean {
	const station = stationOf(hook);
	return station === "nic→e" || station === "port→e";
}

type Station = `${"port" | "inside" | "bridge" | "tunnel" | "nic" | "host"}→${"i" | "e"}`;

/** A pod's veth is a port also where there is no bridge. */
function stationOf({ role, bridge, direction }: TimedHook): Station {
	const place = role === "inside" ? role : role === "pod" || bridge !== null ? "port" : role;
	return `${place}→${direction === "ingress" ? "i" : "e"}`;
}

function isPod({ role }: TimedHook): boolean {
	return role === "pod";
}

const KINDS: Readonly<Record<string, SegmentKind>> = {
	"port→i port→e": "bridge-forward",
	"port→i bridge→i": "bridge-up",
	"bridge→e port→e": "bridge-down",
	"tunnel→e nic→e": "encapsulate",
	"nic→i tunnel→i": "decapsulate",
	"port→e inside→i": "into-pod",
	"inside→e port→i": "out-of-pod",
	// A service's backend on the same bridge, whose neighbour entry is stale: it is sent down without having come up.
	"port→i bridge→e": "other",
};
