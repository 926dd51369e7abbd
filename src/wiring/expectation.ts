import type { Direction, Hook, HookId, NetnsCookie } from "../packet/hook.js";
import type { Tuple } from "../packet/tuple.js";
import { Encapsulation, TunnelMemory } from "./encapsulation.js";
import type { Due, Link, Wiring } from "./model.js";
import { wireNarrow } from "./mtu.js";
import type { Place, Step } from "./step.js";
import { Steps } from "./steps.js";
import { NO_TRANSLATION, type Translation } from "./translation.js";
import { WiringView } from "./view.js";

/** What an expectation needs to know of a node besides its wiring. */
export interface ExpectationOptions {
	/** A hook that is watched; null when it never was. */
	readonly hook: (id: HookId) => Hook | null;
	/** The watched hook at a place; null: nobody watches there. */
	readonly at: (netns: NetnsCookie, ifindex: number, direction: Direction) => HookId | null;
	/** Name of the node that has an underlay address. */
	readonly nodeName: (address: string) => string | null;
	/** The NIC of another node that has an underlay address; null or absent: not known. */
	readonly nic?: (address: string) => Link | null;
	/** What is known of NAT; nothing by default. */
	readonly translation?: Translation;
}

/**
 * Says where a packet is due next on one node, from the node's own tables (see path's Expectation, which this is).
 * Answers depend on the whole tuple: a reply's source decides whether it came through a tunnel. Places that nobody
 * watches are walked through, so that `hooks` are always watched ones.
 */
export class WiringExpectation {
	readonly #options: ExpectationOptions;
	/** Outlives updates: the entry that is gone is the one that a remedy needs. */
	readonly #memory = new TunnelMemory();
	#translation: Translation;
	#view: WiringView;
	#steps: Steps;
	#generation = 0;

	constructor(wiring: Wiring, options: ExpectationOptions) {
		this.#options = options;
		this.#translation = options.translation ?? NO_TRANSLATION;
		this.#view = new WiringView(wiring);
		this.#steps = this.#stepsOver(this.#view);
	}

	get generation(): number {
		return this.#generation;
	}

	/** The wiring, the hooks or what is known of NAT have changed: earlier answers no longer hold. */
	update(wiring: Wiring, translation: Translation = this.#translation): void {
		this.#translation = translation;
		this.#view = new WiringView(wiring);
		this.#steps = this.#stepsOver(this.#view);
		this.#generation++;
	}

	due(id: HookId, tuple: Tuple): Due {
		const hook = this.#options.hook(id);
		if (hook === null) return { kind: "unknown" };
		return this.#watched(this.#steps.from(hook, tuple), tuple, WALK_LIMIT);
	}

	#watched(step: Step, tuple: Tuple, limit: number): Due {
		if (step.kind === "leaves") return this.#leaves(step);
		if (step.kind !== "next") return step;
		const hooks: HookId[] = [];
		const beyond: Due[] = [];
		for (const place of step.places) {
			const id = this.#hookAt(place);
			if (id !== null) hooks.push(id);
			else beyond.push(this.#unwatched(place, tuple, limit - 1));
		}
		const optional = step.optional.flatMap((place) => this.#hookAt(place) ?? []);
		const expected = step.places.map((place) => this.#name(place)).join(" or ");
		if (beyond.length === 0) {
			const due = asNext(hooks, optional, expected, step.mayEnd);
			return step.narrow == null ? due : { ...due, narrow: step.narrow };
		}
		if (hooks.length === 0 && beyond.length === 1) return beyond[0] ?? { kind: "unknown" };
		const further = beyond.filter((due) => due.kind === "next");
		// It may have gone where nobody looks: then not seeing it proves nothing.
		if (further.length < beyond.length) return { kind: "unknown" };
		return asNext(
			[...hooks, ...further.flatMap((due) => due.hooks)],
			[...optional, ...further.flatMap((due) => due.optional)],
			expected,
			step.mayEnd || further.some((due) => due.mayEnd === true),
		);
	}

	/** What comes after a place where nobody looks. */
	#unwatched(place: Place, tuple: Tuple, limit: number): Due {
		if (limit === 0) return { kind: "unknown" };
		const step = this.#steps.from(place, tuple);
		// A pod that is reached out of sight has taken the packet from this node's watched part; a pod's own end is
		// seldom watched, and its veth has already shown the packet.
		const inside = place.netns !== this.#view.wiring.host.cookie;
		if (step.kind === "terminal" && !inside) return { kind: "leaves", node: this.#view.wiring.node, address: null };
		const due = this.#watched(step, tuple, limit);
		const pod = this.#view.role(place.ifindex) === "pod" && place.direction === "egress" && !inside;
		return pod && due.kind === "terminal"
			? { kind: "leaves", node: this.#view.wiring.node, address: tuple.destination }
			: due;
	}

	#leaves({ address, outerBytes }: Step & { readonly kind: "leaves" }): Due {
		if (address === null) return { kind: "leaves", node: null, address };
		const node = this.#options.nodeName(address);
		const ours = this.#view.host.link(this.#view.host.lookup(address)?.ifindex ?? null);
		const theirs = this.#options.nic?.(address) ?? null;
		const isKnown = ours !== null && theirs !== null && node !== null && outerBytes !== undefined;
		const narrow = isKnown ? wireNarrow(ours, theirs, node, outerBytes) : null;
		return narrow === null ? { kind: "leaves", node, address } : { kind: "leaves", node, address, narrow };
	}

	#hookAt(place: Place): HookId | null {
		return this.#options.at(place.netns, place.ifindex, place.direction);
	}

	#name(place: Place): string {
		const link = this.#view.namespace(place.netns)?.link(place.ifindex);
		return `${link?.name ?? `link ${place.ifindex}`}→${place.direction === "ingress" ? "i" : "e"}`;
	}

	#stepsOver(view: WiringView): Steps {
		return new Steps(view, this.#translation, new Encapsulation(view, this.#memory));
	}
}

/** Hops that nobody watches in a row; more than any path on a node has. */
const WALK_LIMIT = 8;

function asNext(
	hooks: readonly HookId[],
	optional: readonly HookId[],
	expected: string,
	mayEnd: boolean,
): Due & { readonly kind: "next" } {
	const distinct = [...new Set(hooks)];
	return mayEnd
		? { kind: "next", hooks: distinct, optional, expected, mayEnd }
		: { kind: "next", hooks: distinct, optional, expected };
}
