import { addon } from "../kernel/addon.js";
import { LAYOUT, LIMITS } from "../kernel/layout.generated.js";
import type { GroupBy } from "../latency/group.js";

/** Entries of the stopwatch's tables, each a power of two. */
export interface Room {
	/** Pairs of hooks and groups that are told apart; what is more is told as "other". */
	readonly segments: number;
	/** Hooks whose packets without a sample are counted. */
	readonly hooks: number;
}

/** Of memory for histograms: one of each segment on every CPU that there may be. Past 64 CPUs it is more. */
const MOST_BYTES = 64 << 20;
const LEAST_SEGMENTS = 64;
const MOST_SEGMENTS = 8192;
const MOST_HOOKS = 16_384;
/** A pod's two hooks end some six segments (up, down, transit both ways), and one for each pod that it speaks with. */
const SEGMENTS_A_HOOK = 8;
/** Protocols of a segment: TCP, UDP, ICMP, ARP. */
const PROTOCOLS = 4;

/** What a node with so many hooks needs, and more may come; or less, where it has very many CPUs. */
export function roomFor(by: GroupBy | null, hooks: number): Room {
	const needed = hooks * SEGMENTS_A_HOOK * (by === "protocol" ? PROTOCOLS : 1);
	const wanted = by === "flow" ? Math.max(needed, 4 * LIMITS.segments) : Math.max(needed, LIMITS.segments);
	const entries = MOST_BYTES / (LAYOUT.weft_histogram.size * addon().possibleCpus);
	const affordable = Math.max(LEAST_SEGMENTS, entries - LIMITS.rest_segments);
	return {
		segments: Math.min(powerOfTwo(Math.ceil, wanted), MOST_SEGMENTS, powerOfTwo(Math.floor, affordable)),
		hooks: Math.min(MOST_HOOKS, powerOfTwo(Math.ceil, Math.max(4 * hooks, LIMITS.hooks))),
	};
}

function powerOfTwo(round: (exponent: number) => number, least: number): number {
	return 2 ** round(Math.log2(least));
}
