import { LIMITS } from "./layout.generated.js";

/**
 * Numbers of hook sets, fewer than WEFT_MAX_HOOK_SETS. One that was given back is used again as late as possible: its
 * last records may still lie in a ring.
 */
export class HookSetIds {
	#next = 0;
	readonly #free: number[] = [];

	/** @throws RangeError when all are in use */
	take(): number {
		if (this.#next < LIMITS.max_hook_sets) return this.#next++;
		const id = this.#free.shift();
		if (id === undefined) {
			throw new RangeError(`more than ${LIMITS.max_hook_sets} hook sets: trace fewer namespaces`);
		}
		return id;
	}

	giveBack(id: number): void {
		this.#free.push(id);
	}
}
