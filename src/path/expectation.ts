import type { HookId } from "../packet/hook.js";
import type { Tuple } from "../packet/tuple.js";
import type { Due } from "../wiring/model.js";

/**
 * Says where a packet seen at a hook is due next. Asked when a path is closed or may be whole, not per sighting:
 * answers may be cached per (hook, destination) until the wiring changes.
 */
export interface Expectation {
	due(hook: HookId, tuple: Tuple): Due;
	/** Counts up when earlier answers no longer hold. */
	readonly generation: number;
}
