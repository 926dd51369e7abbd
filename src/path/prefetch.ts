import type { Sightings } from "../packet/sightings.js";
import { CarrierAt } from "./carrier-table.js";
import { HopAt } from "./hop-table.js";
import { WARM_ROWS } from "./merge.js";
import { PathAt } from "./path-table.js";
import { TupleAt, TupleSize } from "./tuple-facts.js";
import type { Workshop } from "./workshop.js";

/** Of a column: what lies in one cache line of 64 bytes. */
const OF_4_BYTES = 16;
const OF_2_BYTES = 32;
const LAST = WARM_ROWS - 1;
/** With so few, paths and hops and all stay in the processor's cache by themselves. */
const FEW_CARRIERS = 256;
const FEW_TUPLES = 1024;

/**
 * Reads what the next rows will lead to, level by level: misses of one level overlap, where a row that is worked on waits
 * for each of its own. Nothing follows from what is read.
 */
export type Prefetch = ReturnType<typeof makePrefetch>;

export function makePrefetch(shop: Workshop) {
	const { carriers, facts, hops, paths, tuples } = shop;
	const ids = new Uint32Array(WARM_ROWS);
	/** Of all that was read: without a use the compiler would leave the reads out. */
	let mixed = 0;
	return { warm };

	/** The rows [from, to), at most WARM_ROWS. */
	function warm(source: number, rows: Sightings, from: number, to: number): void {
		mixed ^= columns(rows, from, to);
		if (carriers.last > FEW_CARRIERS * carriers.size || tuples.used > FEW_TUPLES)
			mixed ^= records(source, rows, from, to);
	}

	/** The rows themselves: more columns than the processor follows on its own. */
	function columns(rows: Sightings, from: number, to: number): number {
		const { ingress, length, sequence, acknowledgement, tsval, ipId, payload, hash, outer, subscribers } = rows;
		const { hook, gsoSize, segments, window, flags, vlan, tcpFlags, ttl, time, tuple, skbLow, skbHigh } = rows;
		let mixed = (tcpFlags[from] as number) ^ (ttl[from] as number);
		for (let i = from; i < to; i += OF_2_BYTES) {
			mixed ^= (hook[i] as number) ^ (gsoSize[i] as number) ^ (segments[i] as number) ^ (window[i] as number);
			mixed ^= (flags[i] as number) ^ (vlan[i] as number);
		}
		for (let i = from; i < to; i += OF_4_BYTES) {
			mixed ^= (ingress[i] as number) ^ (length[i] as number) ^ (sequence[i] as number);
			mixed ^= (acknowledgement[i] as number) ^ (tsval[i] as number) ^ (ipId[i] as number) ^ (payload[i] as number);
			mixed ^= (hash[i] as number) ^ (outer[i] as number) ^ (subscribers[i] as number) ^ (tuple[i] as number);
			mixed ^= (skbLow[i] as number) ^ (skbHigh[i] as number) ^ (time[i] as number);
		}
		return mixed;
	}

	/** The tuple of each, and carrier → path → newest hop of the packet that its pointer carried last. */
	function records(source: number, { skbLow, skbHigh, tuple }: Sightings, from: number, to: number): number {
		const [tupleWords, carrierWords, pathWords, hopWords] = [facts.words, carriers.words, paths.words, hops.words];
		let mixed = 0;
		for (let i = from; i < to; i++) {
			ids[i & LAST] = carriers.likely(source, skbLow[i] as number, skbHigh[i] as number);
			mixed ^= tupleWords[((tuple[i] as number) << TupleSize.shift) | TupleAt.kind] as number;
		}
		for (let i = from; i < to; i++) ids[i & LAST] = carrierWords[(ids[i & LAST] as number) | CarrierAt.path] as number;
		for (let i = from; i < to; i++) {
			const path = ids[i & LAST] as number;
			mixed ^= pathWords[path | PathAt.ipId] as number;
			ids[i & LAST] = pathWords[path | PathAt.lastHop] as number;
		}
		for (let i = from; i < to; i++) mixed ^= hopWords[(ids[i & LAST] as number) | HopAt.next] as number;
		return mixed;
	}
}
