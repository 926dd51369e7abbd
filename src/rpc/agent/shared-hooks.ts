import type { LocalSource } from "../../collector/local-source.js";
import { placeKey } from "../../kernel/place.js";
import { sharedFilter, sharedSites } from "./shared-filter.js";
import type { Subscription } from "./subscription.js";

/** What all subscribers want as one set of hooks, and who wants which of them. */
export class SharedHooks {
	/** By hook id: bits of those who asked for it. */
	readonly wanted = new Uint32Array(2 ** 16);
	readonly #source: LocalSource;
	/** Of the filters that the programs were loaded with. */
	#fingerprint = "";

	constructor(source: LocalSource) {
		this.#source = source;
	}

	/**
	 * Makes hooks and filters what the subscribers' plans want. Returns what could not be hooked.
	 * @param why "left": somebody has gone, and takes the hooks along at once; to load other filters takes longer
	 */
	async fit(subscriptions: readonly Subscription[], why: "left" | "changed"): Promise<readonly string[]> {
		const source = this.#source;
		const filterOf = sharedFilter(subscriptions);
		const fingerprint = subscriptions
			.map(({ bit, sample, plan }) => `${bit} ${sample} ${plan?.fingerprint ?? ""}`)
			.join("\n");
		if (why === "left") await source.watch(sharedSites(subscriptions), filterOf);
		if (this.#fingerprint !== fingerprint) await source.refilter(filterOf);
		this.#fingerprint = fingerprint;
		const failures = await source.watch(sharedSites(subscriptions), filterOf);
		this.#want(subscriptions);
		return failures;
	}

	#want(subscriptions: readonly Subscription[]): void {
		this.wanted.fill(0);
		const ids = new Map(this.#source.hooks.map((hook) => [placeKey(hook), hook.id]));
		for (const { bit, plan } of subscriptions) {
			for (const site of plan?.sites ?? []) {
				const id = ids.get(placeKey(site));
				if (id !== undefined) this.wanted[id] = (this.wanted[id] as number) | (2 ** bit);
			}
		}
	}
}
