import type { FilterOf, InstanceFilter } from "../../kernel/hooks.js";
import { MOST_TUNNEL_PORTS } from "../../kernel/knobs.js";
import { placeKey } from "../../kernel/place.js";
import type { NetnsCookie } from "../../packet/hook.js";
import type { HookSite } from "../../wiring/model.js";
import type { Subscription } from "./subscription.js";

/** WEFT_MAX_RULES: the kernel's table. */
const MOST_RULES = 16;

/** What one program of a namespace looks for, for all subscribers at once; each rule says for whom it stands. */
export function sharedFilter(subscriptions: readonly Subscription[]): FilterOf {
	// As many as the one who asks for most; the others' share of them is taken when they are given theirs.
	const sample = Math.min(...subscriptions.map((one) => one.sample));
	return (netns) => {
		const parts = subscriptions.flatMap((one) => (one.plan === null ? [] : [part(one, one.plan.filterOf, netns)]));
		// Those with most rules give them up first, and get every packet: the exact filter runs where paths are joined.
		parts.sort((a, b) => a.filter.rules.length - b.filter.rules.length);
		const rules: InstanceFilter["rules"][number][] = [];
		const ports = new Set<number>();
		let matchAll = 0;
		for (const { bit, filter } of parts) {
			for (const port of filter.tunnelPorts) ports.add(port);
			if (rules.length + filter.rules.length > MOST_RULES) matchAll |= 2 ** bit;
			else rules.push(...filter.rules.map((rule) => ({ ...rule, subscribers: 2 ** bit })));
		}
		return { rules, matchAll: matchAll >>> 0, tunnelPorts: [...ports].slice(0, MOST_TUNNEL_PORTS), sample };
	};
}

/** The devices that any of them asks for, each once. */
export function sharedSites(subscriptions: readonly Subscription[]): readonly HookSite[] {
	const sites = new Map<string, HookSite>();
	for (const { plan } of subscriptions) for (const site of plan?.sites ?? []) sites.set(placeKey(site), site);
	return [...sites.values()];
}

function part({ bit }: Subscription, filterOf: FilterOf, netns: NetnsCookie): { bit: number; filter: InstanceFilter } {
	return { bit, filter: filterOf(netns) };
}
