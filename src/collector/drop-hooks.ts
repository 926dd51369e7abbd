import { placeKey } from "../kernel/place.js";
import { Whereabouts } from "../kernel/whereabouts.js";
import type { DropHop } from "../latency/last-hop.js";
import type { HookSite, Wiring } from "../wiring/model.js";
import { latencySites } from "./latency-sites.js";
import { nodeOf, tunnelPortsIn } from "./realm.js";
import { siteChanges } from "./site-changes.js";

/** Hooks that are gone keep their names for drops that are told late: so many. */
const MOST_GONE = 1024;

/** The hooks that note where each packet was seen last, on every device of the nodes and their pods, as these come and go. */
export class DropHooks {
	readonly #whereabouts: Whereabouts;
	readonly #warn: (line: string) => void;
	readonly #hooked = new Map<string, { readonly site: HookSite; readonly name: string }>();
	/** Also of hooks that are gone, the oldest first. */
	readonly #hops = new Map<string, DropHop>();
	readonly #gone = new Set<string>();
	#wirings: readonly Wiring[] = [];
	#turn: Promise<void> = Promise.resolve();
	#stopped = false;

	/** @throws KernelError when nothing can be hooked */
	constructor(attach: "tcx" | "clsact" | "auto", warn: (line: string) => void) {
		this.#warn = warn;
		this.#whereabouts = new Whereabouts({
			attach,
			realmOf: (netns) => nodeOf(this.#wirings, netns)?.host.cookie ?? netns,
		});
	}

	get slotAccess(): Whereabouts["slotAccess"] {
		return this.#whereabouts.slotAccess;
	}

	/** Makes the devices of these nodes the hooked ones. Resolves when they are. */
	follow(wirings: readonly Wiring[]): Promise<void> {
		this.#wirings = wirings;
		this.#turn = this.#turn
			.then(() => this.#follow())
			.catch((cause: unknown) => this.#warn(cause instanceof Error ? cause.message : String(cause)));
		return this.#turn;
	}

	/** Where the hook of a hook set on a device is, or was. */
	readonly seenAt = (hookSet: number, ifindex: number): DropHop | null =>
		this.#hops.get(`${hookSet} ${ifindex}`) ?? null;

	/** No device is followed any more; the hooks stay, doing nothing, until `close`. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await this.#turn;
		await this.#whereabouts.stop();
	}

	/** Takes the hooks away one by one; a process that ends does without. */
	async close(): Promise<void> {
		await this.stop();
		await this.#whereabouts.close();
	}

	async #follow(): Promise<void> {
		if (this.#stopped) return;
		const sites = this.#wirings.flatMap((wiring) => latencySites(wiring, null, true));
		const { leaving, arriving } = siteChanges(
			this.#hooked.values(),
			sites.map((site) => ({ site })),
		);
		if (leaving.length > 0) await this.#whereabouts.detach(leaving.map(({ site }) => site));
		for (const { site, name } of leaving) {
			this.#hooked.delete(placeKey(site));
			this.#gone.add(name);
		}
		this.#forget();
		if (arriving.length === 0) return;
		const failures = await this.#whereabouts.attach(
			arriving.map(({ site }) => site),
			(netns) => tunnelPortsIn(this.#wirings, netns),
			(site, hookSet) => this.#announce(site, hookSet),
		);
		for (const { error } of failures) this.#warn(error.message);
	}

	#announce(site: HookSite, hookSet: number): void {
		const { netns, ifindex, device, direction } = site;
		const name = `${hookSet} ${ifindex}`;
		this.#gone.delete(name);
		this.#hops.set(name, { netns, ifindex, device, direction, seen: true });
		this.#hooked.set(placeKey(site), { site, name });
	}

	#forget(): void {
		for (const name of this.#gone) {
			if (this.#gone.size <= MOST_GONE) return;
			this.#gone.delete(name);
			this.#hops.delete(name);
		}
	}
}
