import type { Hook } from "../packet/hook.js";
import type { Alarm } from "./alarm.js";
import type { CarrierTable } from "./carrier-table.js";
import type { ClosedRing } from "./closed-ring.js";
import type { Closing } from "./closing.js";
import type { Counters } from "./counters.js";
import type { Crossings } from "./crossings.js";
import type { DatagramIndex } from "./datagram-index.js";
import type { PendingDrops } from "./drops.js";
import type { DueCache } from "./due-cache.js";
import type { DropReport } from "./judgement.js";
import type { KeyIndex } from "./key-index.js";
import type { Losses } from "./losses.js";
import type { Limits } from "./options.js";
import type { PathSink, PathView, Tables } from "./path-view.js";
import type { PointerIndex } from "./pointer-index.js";
import type { RangeIndex } from "./range-index.js";
import type { RecentKeys } from "./recent-keys.js";
import type { RecentPaths } from "./recent-paths.js";
import type { Sight } from "./sight.js";
import type { TupleFacts } from "./tuple-facts.js";
import type { WaitingList } from "./waiting-list.js";

/**
 * All that joining works on; the Joiner makes and owns it.
 *
 * Whatever works here is made by a function that takes what it needs of it once, by name, and gives back what others may
 * call. A thread has one Joiner, so each of these names means one object for as long as the thread lives, and V8 compiles
 * it as a constant: a look at a table is a bound and a load, where a member of `this` takes three more loads and as many
 * checks. It holds for whatever is written once: a table that grows, or a second Joiner, is as right and slower.
 */
export interface Workshop extends Tables {
	readonly sight: Sight;
	/** Of all that waits here. */
	readonly alarm: Alarm;
	readonly carriers: CarrierTable;
	readonly pointers: PointerIndex;
	readonly facts: TupleFacts;
	readonly keys: KeyIndex;
	readonly ranges: RangeIndex;
	readonly recent: RecentKeys;
	readonly recentAt: RecentPaths;
	readonly datagrams: DatagramIndex;
	readonly suspects: WaitingList;
	readonly flooded: WaitingList;
	readonly orphans: WaitingList;
	readonly closed: ClosedRing;
	/** Of them, those that were joined by order: whether or not anything still carries them. */
	readonly ordered: ClosedRing;
	/** Of them, those that were called lost. */
	readonly lost: ClosedRing;
	/** These three, by their numbers. */
	readonly rings: readonly ClosedRing[];
	readonly dues: DueCache;
	readonly closing: Closing;
	readonly losses: Losses;
	readonly drops: PendingDrops;
	/** Open paths of which a part was dropped, while the rest may go on; or all, of one that waits for its sender. */
	readonly dropped: Map<number, { readonly report: DropReport; readonly hook: Hook; readonly isAll: boolean }>;
	readonly crossings: Crossings;
	readonly counters: Counters;
	readonly limits: Limits;
	readonly view: PathView;
	readonly sink: PathSink;
}
