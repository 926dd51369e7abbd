import type { KernelDrop } from "../kernel/drops.js";
import { type DropHop, lastHop } from "../latency/last-hop.js";
import type { Hook, HookId, NetnsCookie } from "../packet/hook.js";
import { EventFlag } from "../packet/sightings.js";
import { WiringExpectation } from "../wiring/expectation.js";
import type { Due, Wiring } from "../wiring/model.js";
import { WiringView } from "../wiring/view.js";

/** Where the hook of a hook set on a device is; null: not known. */
export type SeenAt = (hookSet: number, ifindex: number) => DropHop | null;

/** One node as its drops are looked at: which namespaces are its own, and where its tables would send a packet. */
export class DropNode {
	readonly #expectation: WiringExpectation;
	readonly #seenAt: SeenAt;
	#view: WiringView;
	#asked: Hook | null = null;

	/** @param seenAt the place of a hook; absent: no hook notes where packets are */
	constructor(wiring: Wiring, seenAt: SeenAt = () => null) {
		this.#seenAt = seenAt;
		this.#view = new WiringView(wiring);
		this.#expectation = new WiringExpectation(wiring, {
			hook: () => this.#asked,
			at: () => null,
			nodeName: () => null,
		});
	}

	get view(): WiringView {
		return this.#view;
	}

	/** Entries that are gone are remembered: they are what a remedy needs. */
	update(wiring: Wiring): void {
		if (wiring === this.#view.wiring) return;
		this.#view = new WiringView(wiring);
		this.#expectation.update(wiring);
	}

	/** The node's own namespace and those of its pods; not what is at the other end of its NIC. */
	namespaces(): readonly NetnsCookie[] {
		const { host } = this.#view;
		const pods = host.namespace.links.flatMap((link) => {
			const peer = this.#view.role(link.ifindex) === "pod" ? this.#view.peer(link) : null;
			return peer?.kind === "paired" ? [peer.namespace.namespace.cookie] : [];
		});
		return [...new Set([host.namespace.cookie, ...pods])];
	}

	/** Path that opens a namespace of the node; null: our own. */
	pathOf(netns: NetnsCookie): string | null {
		const path = this.#view.namespace(netns)?.namespace.path ?? null;
		return path === "/proc/self/ns/net" ? null : path;
	}

	/**
	 * Where a packet was last: where a hook saw it, else as concluded. A copy that a bridge flooded to a pod stands for its
	 * original, which was last where it came into the bridge.
	 */
	hopOf(drop: KernelDrop): DropHop | null {
		if (drop.reason === "OTHERHOST" && drop.source !== null) {
			const [veth] = this.#view.vethsByAddress(drop.source);
			const bridge = this.#view.host.link(this.#view.vethsInto(drop.netns)[0]?.master ?? null);
			const link = veth ?? bridge;
			if (link !== null && link !== undefined) {
				const direction = veth === undefined ? "egress" : "ingress";
				const { cookie: netns } = this.#view.wiring.host;
				return { netns, ifindex: link.ifindex, device: link.name, direction, seen: false };
			}
		}
		const seen = drop.hop === null ? null : this.#seenAt(drop.hop.hookSet, drop.hop.ifindex);
		return seen ?? lastHop(drop, this.#view);
	}

	/** Where the node's tables would send it from there. */
	due(drop: KernelDrop, hop: DropHop | null): Due {
		if (hop === null) return { kind: "unknown" };
		const { flags, protocol, source, destination, sourcePort, destinationPort } = drop;
		const family = flags & EventFlag.familyMask;
		const id = 0 as HookId;
		this.#asked = { ...hop, id, node: this.#view.wiring.node, role: "host", l3: false, master: 0, hookSet: 0 };
		return this.#expectation.due(id, { family, protocol, source, destination, sourcePort, destinationPort });
	}
}
