import { leavesPod, reachesPod } from "../packet/hook.js";
import type { Endpoint, Hop, Path } from "../path/path.js";

/** One of the three promises of the Kubernetes network. */
export type Promised =
	| "pods reach pods without NAT"
	| "nodes reach pods without NAT"
	| "others see a pod's own address";

/** A packet that proves a promise, or breaks it. */
export interface Witness {
	/** When it was seen first, RFC 3339. */
	readonly time: string;
	readonly protocol: string;
	/** default/client (10.244.1.2) → default/server (10.244.2.2). */
	readonly ends: string;
	/** Where it was seen first and last: vethA→i @node-a. */
	readonly first: string;
	readonly last: string;
	/** Its addresses at both, as "source → destination". */
	readonly sent: string;
	readonly arrived: string;
}

export interface Checked {
	readonly promise: Promised;
	/** Packets that prove it. */
	readonly kept: number;
	readonly broken: number;
	/** The first that proves it. */
	readonly proof: Witness | null;
	/** The first few that break it. */
	readonly breaches: readonly Witness[];
}

const BREACHES = 5;

/**
 * Holds paths against the promises. A packet counts when it was seen from its sender to its receiver, both known, so
 * that the addresses at both ends can be compared. Through a service the destination is rewritten by design: such packets
 * count for the third promise only. Pure.
 */
export class ModelCheck {
	readonly #checks: ReadonlyMap<Promised, { kept: number; broken: number; proof: Witness | null; breaches: Witness[] }>;

	constructor() {
		const fresh = () => ({ kept: 0, broken: 0, proof: null, breaches: [] });
		this.#checks = new Map([
			["pods reach pods without NAT", fresh()],
			["nodes reach pods without NAT", fresh()],
			["others see a pod's own address", fresh()],
		]);
	}

	path(path: Path): void {
		const first = path.hops[0];
		const last = path.hops.at(-1);
		if (first === undefined || last === undefined || first === last || path.verdict !== "delivered") return;
		const { source, destination, service, protocol } = path.flow;
		// ARP asks for neighbours: no packet of anybody's.
		if (protocol === "arp") return;
		const same = first.source === last.source && first.destination === last.destination;
		const leftPod = source.pod !== null && leavesPod(first);
		const reachedPod = destination.pod !== null && reachesPod(last);
		if (leftPod && reachedPod && service === null) this.#count("pods reach pods without NAT", same, path, first, last);
		if (isFromNode(source, first) && reachedPod && service === null) {
			this.#count("nodes reach pods without NAT", same, path, first, last);
		}
		// In a service's reply the source becomes the service again, by design.
		const isReply = service !== null && addressOf(last.source) === service.ip;
		if (leftPod && !isReply && (reachedPod || destination.node !== null)) {
			this.#count("others see a pod's own address", first.source === last.source, path, first, last);
		}
	}

	results(): readonly Checked[] {
		return [...this.#checks].map(([promise, { kept, broken, proof, breaches }]) => ({
			promise,
			kept,
			broken,
			proof,
			breaches,
		}));
	}

	#count(promise: Promised, held: boolean, path: Path, first: Hop, last: Hop): void {
		const check = this.#checks.get(promise);
		if (check === undefined) return;
		if (held) check.kept++;
		else check.broken++;
		if (held && check.proof === null) check.proof = witness(path, first, last);
		if (!held && check.breaches.length < BREACHES) check.breaches.push(witness(path, first, last));
	}
}

/** Of "10.244.1.2:80", "[fd00::2]:80" or a bare address. */
function addressOf(face: string | null): string | null {
	return face === null ? null : (/^\[(.*)\]:\d+$/.exec(face)?.[1] ?? /^([^:]+):\d+$/.exec(face)?.[1] ?? face);
}

/** Made by the node itself: it begins at a device that the node sends by. */
function isFromNode(source: Endpoint, { role, direction }: Hop): boolean {
	return source.pod === null && source.node !== null && direction === "egress" && role !== "pod" && role !== "inside";
}

function witness({ flow }: Path, first: Hop, last: Hop): Witness {
	return {
		time: first.first,
		protocol: flow.protocol,
		ends: `${nameOf(flow.source)} → ${nameOf(flow.destination)}`,
		first: placeOf(first),
		last: placeOf(last),
		sent: `${first.source} → ${first.destination}`,
		arrived: `${last.source} → ${last.destination}`,
	};
}

function nameOf({ namespace, pod, node, ip }: Endpoint): string {
	if (pod !== null) return `${namespace}/${pod}`;
	return node === null ? (ip ?? "?") : `node ${node}`;
}

function placeOf({ device, direction, node }: Hop): string {
	return `${device}→${direction === "ingress" ? "i" : "e"} @${node}`;
}
