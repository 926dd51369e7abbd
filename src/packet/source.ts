import type { Hook } from "./hook.js";
import type { Sightings } from "./sightings.js";

/** Where sightings come from: this machine's rings, an agent, a recording. Named by node and epoch. */
export type SourceId = string & { readonly __brand: "SourceId" };

/** Why records that matched did not arrive; one counter each, nothing is lost without one. */
export type LossCause =
	| "ringFull" /* the kernel found the ring full */
	| "queueFull" /* a bounded queue in user space */
	| "subscriberSlow" /* a subscriber's own queue */
	| "unknownHook" /* a record of a device that is gone and was never announced */
	| "tupleTableFull"
	| "agentGone"; /* an epoch ended without a final count */

/** ns on the Joiner's time line = ns of the source + offset, give or take error. A local source: 0 and 0. */
export interface SourceClock {
	readonly offsetNs: number;
	readonly errorNs: number;
}

/**
 * What a Source calls, in order. A hook is announced before its first sighting. `watermark(t)` promises that every
 * sighting before t has been given, or counted with `lost`; it comes at least every 100 ms, also when idle.
 */
export interface SourceSink {
	/** @param sinceNs from when it can have seen packets; by default, from the watermark on */
	hook(source: SourceId, hook: Hook, sinceNs?: number): void;
	/** The device is gone; late rows may still come. */
	unhook(source: SourceId, hook: Hook): void;
	batch(source: SourceId, rows: Sightings): void;
	lost(source: SourceId, cause: LossCause, count: number): void;
	watermark(source: SourceId, timeNs: number): void;
	clock(source: SourceId, clock: SourceClock): void;
	end(source: SourceId): void;
}
