import { placeKey } from "../kernel/place.js";
import type { HookSite } from "../wiring/model.js";

interface AtSite {
	readonly site: HookSite;
}

/**
 * What is to be unhooked and hooked, so that what is wanted is hooked. A device that was made anew in another's place is
 * both.
 */
export function siteChanges<Held extends AtSite, Wanted extends AtSite>(
	held: Iterable<Held>,
	wanted: readonly Wanted[],
): { readonly leaving: readonly Held[]; readonly arriving: readonly Wanted[] } {
	const arriving = new Map(wanted.map((one) => [placeKey(one.site), one]));
	const leaving: Held[] = [];
	for (const one of held) {
		const place = placeKey(one.site);
		if (arriving.get(place)?.site.device === one.site.device) arriving.delete(place);
		else leaving.push(one);
	}
	return { leaving, arriving: [...arriving.values()] };
}
