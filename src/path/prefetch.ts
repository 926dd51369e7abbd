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

/**
 * Reads what the next rows will lead to, level by level: misses of one level overlap, where a row that is worked on waits
 * for each of its own. Nothing follows from what is read.
 */
export class Prefetch {
	readonly #shop: Workshop;
	readonly #ids = new Uint32Array(WARM_ROWS);
	/** Of all that was read: without a use the compiler would leave the reads out. */
	#sum = 0;

	constructor(shop: Workshop) {
		this.#shop = shop;
	}

	/** The rows [from, to), at most WARM_ROWS. */
	rows(source: number, rows: Sightings, from: number, to: number): void {
		this.#sum += this.#columns(rows, from, to) + this.#records(source, rows, from, to);
		if (this.#sum > Number.MAX_SAFE_INTEGER) this.#sum = 0;
	}

	/** The rows themselves: more columns than the processor follows on its own. */
	#columns(rows: Sightings, from: number, to: number): number {
		const { ingress, length, sequence, acknowledgement, tsval, ipId, payload, hash, outer, subscribers } = rows;
		const { hook, gsoSize, segments, window, flags, vlan, tcpFlags, ttl, time, tuple, skbLow, skbHigh } = rows;
		let sum = (tcpFlags[from] as number) + (ttl[from] as number);
		for (let i = from; i < to; i += OF_2_BYTES) {
			sum += (hook[i] as number) + (gsoSize[i] as number) + (segments[i] as number) + (window[i] as number);
			sum += (flags[i] as number) + (vlan[i] as number);
		}
		for (let i = from; i < to; i += OF_4_BYTES) {
			sum += (ingress[i] as number) + (length[i] as number) + (sequence[i] as number) + (acknowledgement[i] as number);
			sum += (tsval[i] as number) + (ipId[i] as number) + (payload[i] as number) + (hash[i] as number);
			sum += (outer[i] as number) + (subscribers[i] as number) + (tuple[i] as number) + (skbLow[i] as number);
			sum += (skbHigh[i] as number) + (time[i] as number);
		}
		return sum;
	}

	/** The tuple of each, and carrier → path → hops of the packet that its pointer carried last. */
	#records(source: number, { skbLow, skbHigh, tuple }: Sightings, from: number, to: number): number {
		const { carriers, paths, hops, facts, closed } = this.#shop;
		const [tupleWords, carrierWords, pathWords, hopWords] = [facts.words, carriers.words, paths.words, hops.words];
		const ids = this.#ids;
		const count = to - from;
		let sum = 0;
		for (let n = 0; n < count; n++) {
			ids[n] = carriers.likely(source, skbLow[from + n] as number, skbHigh[from + n] as number);
			sum += tupleWords[((tuple[from + n] as number) << TupleSize.shift) | TupleAt.kind] as number;
		}
		for (let n = 0; n < count; n++) ids[n] = carrierWords[(ids[n] as number) | CarrierAt.path] as number;
		for (let n = 0; n < count; n++) {
			const path = ids[n] as number;
			sum += closed.peek(pathWords[path | PathAt.closedAt] as number);
			ids[n] = pathWords[path | PathAt.firstHop] as number;
		}
		for (let n = 0; n < count; n++) ids[n] = hopWords[(ids[n] as number) | HopAt.next] as number;
		for (let n = 0; n < count; n++) sum += hopWords[(ids[n] as number) | HopAt.next] as number;
		return sum;
	}
}
