import { placeKey } from "../kernel/place.js";
import type { TimedHook } from "../latency/timed-hook.js";
import { siteChanges } from "./site-changes.js";
import { TimedClasses } from "./timed-classes.js";
import type { TimedPlace } from "./timed-place.js";

interface Known {
	place: TimedPlace;
	readonly hookSet: number;
	/** By performance.now(); null: it is hooked. */
	goneMs: number | null;
}

/** A note that a hook left on a packet is believed for WEFT_HOP_MAX_NS, 10 s: so long it may still begin a segment. */
const REMEMBERED_MS = 15_000;

/** The hooks of a stopwatch, and for a while those that are gone, by what the kernel calls them. */
export class TimedPlaces {
	readonly #hooked = new Map<string, Known>();
	readonly #known = new Map<string, Known>();
	readonly #classes = new TimedClasses();
	readonly #classify: Classify;

	constructor(classify: Classify) {
		this.#classify = classify;
	}

	/** How many are hooked. */
	get size(): number {
		return this.#hooked.size;
	}

	/** Null: never announced, or forgotten. */
	get(hookSet: number, ifindex: number): TimedPlace | null {
		return this.#known.get(`${hookSet} ${ifindex}`)?.place ?? null;
	}

	/** No hook works there any more. */
	isGone(hookSet: number, ifindex: number): boolean {
		return this.#known.get(`${hookSet} ${ifindex}`)?.goneMs !== null;
	}

	/** What all hooks of a class are; null: there was none for long. */
	ofClass(id: number): TimedHook | null {
		return this.#classes.get(id);
	}

	/** No packet comes from a hook of this class, or to one. */
	isClassGone(): (id: number) => boolean {
		const ids = this.#classIds();
		return (id) => !ids.has(id);
	}

	/** What `wanted` has and is not hooked, and what is hooked and not in `wanted`. */
	compare(wanted: readonly TimedPlace[]): {
		readonly fresh: readonly TimedPlace[];
		readonly gone: readonly TimedPlace[];
	} {
		const hooked = [...this.#hooked.values()].map(({ place }) => place);
		const { leaving, arriving } = siteChanges(hooked, wanted);
		return { fresh: arriving, gone: leaving };
	}

	/** Of what is hooked, what goes by another bridge or role than before: its segments are others from now on. */
	changed(wanted: readonly TimedPlace[]): Changed {
		const changes = wanted.flatMap((place) => {
			const known = this.#hooked.get(placeKey(place.site));
			if (known === undefined || isAlike(known.place, place)) return [];
			return [{ known, place }];
		});
		const names = new Set(changes.map(({ known }) => `${known.hookSet} ${known.place.site.ifindex}`));
		return {
			size: names.size,
			has: (hookSet, ifindex) => names.has(`${hookSet} ${ifindex}`),
			apply: () => {
				for (const { known, place } of changes) {
					known.place = place;
					this.#tellClass(known);
				}
			},
		};
	}

	/** To be called before a hook begins to work. */
	hooked(place: TimedPlace, hookSet: number): void {
		const known: Known = { place, hookSet, goneMs: null };
		this.#hooked.set(placeKey(place.site), known);
		this.#known.set(`${hookSet} ${place.site.ifindex}`, known);
		this.#tellClass(known);
	}

	/** To be called when they have run their last. */
	unhooked(gone: readonly TimedPlace[], nowMs: number): void {
		for (const { site } of gone) {
			const known = this.#hooked.get(placeKey(site));
			if (known !== undefined) known.goneMs = nowMs;
			this.#hooked.delete(placeKey(site));
		}
	}

	/** To be called when no segment of what is gone is left: forgets what no packet can come from any more. */
	forget(nowMs: number): void {
		this.#classes.keep(this.#classIds());
		for (const [name, { goneMs, hookSet, place }] of this.#known) {
			if (goneMs === null || nowMs - goneMs <= REMEMBERED_MS) continue;
			this.#known.delete(name);
			this.#classify(hookSet, place.site.ifindex, null);
		}
	}

	#tellClass({ hookSet, place }: Known): void {
		this.#classify(hookSet, place.site.ifindex, this.#classes.idOf(place));
	}

	#classIds(): ReadonlySet<number> {
		return new Set([...this.#known.values()].map(({ place }) => this.#classes.idOf(place)));
	}
}

/** Tells the kernel the class of a place; null: none any more. */
export type Classify = (hookSet: number, ifindex: number, id: number | null) => void;

export interface Changed {
	readonly size: number;
	has(hookSet: number, ifindex: number): boolean;
	/** From now on they are what they have become. */
	apply(): void;
}

function isAlike(one: TimedPlace, other: TimedPlace): boolean {
	return one.bridge === other.bridge && one.site.role === other.site.role && one.hostIfindex === other.hostIfindex;
}
