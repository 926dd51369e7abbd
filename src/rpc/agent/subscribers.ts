import { placeKey } from "../../kernel/place.js";
import type { Hook } from "../../packet/hook.js";
import { encode, word64 } from "../codec.js";
import { hookMessage } from "../hook-message.js";
import type { StreamSightingsResponse } from "../messages.js";
import { MOST_SUBSCRIBERS, type SubscribeOrder } from "./protocol.js";
import { Subscription } from "./subscription.js";

/** Who asks an agent's node: each has a bit of its own in the kernel's rules. */
export class Subscribers implements Iterable<Subscription> {
	readonly #node: string;
	readonly #byId = new Map<number, Subscription>();
	/** Bits given back, the longest ago first: late records may still carry them. */
	readonly #bits = Array.from({ length: MOST_SUBSCRIBERS }, (_, bit) => bit);

	constructor(node: string) {
		this.#node = node;
	}

	/** Null: there are as many as there are bits. */
	add(order: SubscribeOrder, send: (bytes: Uint8Array<ArrayBuffer>) => void): Subscription | null {
		const bit = this.#bits.shift();
		if (bit === undefined) return null;
		const { id, question, cluster, sample, roles } = order;
		const subscription = new Subscription({ id, bit, question, sample, roles, send }, cluster);
		this.#byId.set(id, subscription);
		return subscription;
	}

	remove({ id, bit }: Subscription): void {
		if (this.#byId.delete(id)) this.#bits.push(bit);
	}

	get(id: number): Subscription | null {
		return this.#byId.get(id) ?? null;
	}

	get size(): number {
		return this.#byId.size;
	}

	[Symbol.iterator](): Iterator<Subscription> {
		return this.#byId.values();
	}

	/** Those whose hooks are on. */
	get served(): readonly Subscription[] {
		return [...this].filter(({ sinceNs }) => sinceNs < Number.POSITIVE_INFINITY);
	}

	/**
	 * Tells everybody who is served of a hook that came or went.
	 * @param sinceNs from when it can have seen packets, ns since 1970
	 */
	announce(hook: Hook, added: boolean, sinceNs = 0n): void {
		for (const one of this.served) this.introduce(one, hook, added, sinceNs);
	}

	/** Tells one of a hook, unless it did not ask for it. */
	introduce(subscription: Subscription, hook: Hook, added: boolean, sinceNs = 0n): void {
		const wanted = subscription.plan?.sites.some((site) => placeKey(site) === placeKey(hook)) ?? false;
		if (added && !wanted) return;
		subscription.tell(
			encode("StreamSightingsResponse", {
				hook: { hook: hookMessage(hook), added, sinceNs: word64(sinceNs) },
				node: this.#node,
			}),
			true,
		);
	}

	/** Tells everybody who is told of drops. */
	tellOfDrops(message: Pick<StreamSightingsResponse, "drop" | "words">): void {
		const bytes = encode("StreamSightingsResponse", { ...message, node: this.#node });
		for (const one of this.served) if (one.wantsDrops) one.tell(bytes, false);
	}
}
