import type { LossCause } from "../packet/source.js";
import { VERDICTS } from "./judgement.js";
import type { Verdict } from "./path.js";

/** In sightings unless said otherwise: seen = joined + unjoined + lost + queued. */
export interface Counters {
	/** Rows that belong to a path that was given or is open. */
	joined: number;
	/** Rows at a hook that was never announced. */
	unknownHook: number;
	/** Rows whose tuple had no room in the table. */
	noTuple: number;
	/** Paths given up for want of room. */
	evicted: number;
	/** Revisions given. */
	revised: number;
	/** Drop reports that ended a path or a part of one; and those whose packet was not traced. */
	drops: number;
	strayDrops: number;
	/** Paths given, by their newest verdict: an index into VERDICTS. */
	readonly verdicts: Float64Array;
}

export function zeroCounters(): Counters {
	return {
		joined: 0,
		unknownHook: 0,
		noTuple: 0,
		evicted: 0,
		revised: 0,
		drops: 0,
		strayDrops: 0,
		verdicts: new Float64Array(VERDICTS.length),
	};
}

export function byVerdict(counts: Float64Array): Record<Verdict, number> {
	const [delivered = 0, forwarded = 0, dropped = 0, lost = 0, incomplete = 0] = counts;
	return { delivered, forwarded, dropped, lost, incomplete };
}

/** What a Joiner says of itself: seen = joined + Σ unjoined + Σ lost + queued. */
export interface Accounts {
	readonly seen: number;
	readonly joined: number;
	readonly unjoined: { readonly unknownHook: number; readonly noTuple: number };
	readonly lost: Readonly<Partial<Record<LossCause, number>>>;
	/** Given to the Joiner, but not yet below every watermark. */
	readonly queued: number;
	readonly paths: Readonly<Record<Verdict, number>>;
	readonly openPaths: number;
	readonly evicted: number;
	readonly revised: number;
	readonly drops: number;
	readonly strayDrops: number;
}
