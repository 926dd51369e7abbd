import type { TimedHook } from "../latency/timed-hook.js";
import type { TimedPlace } from "./timed-place.js";

/** What hooks have in common between which packets go by one name: the ports of a bridge, one way, are all alike. */
export class TimedClasses {
	readonly #ids = new Map<string, number>();
	readonly #hooks = new Map<number, TimedHook>();
	#next = 1;

	/** Not 0. */
	idOf(place: TimedPlace): number {
		const hook = classOf(place);
		const key = [hook.node, hook.role, hook.direction, hook.bridge, hook.device].join("\n");
		const known = this.#ids.get(key);
		if (known !== undefined) return known;
		const id = this.#next++;
		this.#ids.set(key, id);
		this.#hooks.set(id, hook);
		return id;
	}

	/** Any hook of it; null: forgotten. */
	get(id: number): TimedHook | null {
		return this.#hooks.get(id) ?? null;
	}

	/** Forgets all others. */
	keep(ids: ReadonlySet<number>): void {
		for (const [key, id] of this.#ids) {
			if (ids.has(id)) continue;
			this.#ids.delete(key);
			this.#hooks.delete(id);
		}
	}
}

function classOf({ node, site, bridge }: TimedPlace): TimedHook {
	const { netns, role, direction } = site;
	// A bridge's and a tunnel's passages are called by the device, a port's by its bridge, all others by none.
	const device = role === "bridge" || role === "tunnel" ? site.device : "";
	return { node, netns, ifindex: 0, device, direction, role, bridge, pod: null };
}
