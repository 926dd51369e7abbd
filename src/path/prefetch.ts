import type { Sightings } from "../packet/sightings.js";
import { CarrierAt } from "./carrier-table.js";
import { HopAt } from "./hop-table.js";
import { PathAt } from "./path-table.js";
import { TupleAt, TupleSize } from "./tuple-facts.js";
import type { Workshop } from "./workshop.js";

const MOST = 64;

/**
 * Reads what the next rows will lead to, level by level: misses of one level overlap, where a row that is worked on
 * waits for each of its own.
 */
export class Prefetch {
	readonly #shop: Workshop;
	readonly #ids = new Uint32Array(MOST);
	/** Keeps the compiler from leaving reads out. */
	#sum = 0;

	constructor(shop: Workshop) {
		this.#shop = shop;
	}

	rows(source: number, rows: Sightings, from: number, to: number): void {
		const { carriers, paths, hops, facts, closed } = this.#shop;
		const ids = this.#ids;
		const { skbLow, skbHigh, tuple } = rows;
		const tupleWords = facts.words;
		const count = to - from;
		let sum = 0;
		const { hook, ingress, length, sequence, acknowledgement, tsval, ipId, payload, hash, outer, subscribers } = rows;
		const { gsoSize, segments, window, flags, vlan, tcpFlags, ttl, time } = rows;
		sum += (tcpFlags[from] as number) + (ttl[from] as number);
		for (let i = from; i < to; i += 32) {
			sum += (hook[i] as number) + (gsoSize[i] as number) + (segments[i] as number) + (window[i] as number);
			sum += (flags[i] as number) + (vlan[i] as number);
		}
		for (let i = from; i < to; i += 16) {
			sum += (ingress[i] as number) + (length[i] as number) + (sequence[i] as number) + (acknowledgement[i] as number);
			sum += (tsval[i] as number) + (ipId[i] as number) + (payload[i] as number) + (hash[i] as number);
			sum += (outer[i] as number) + (subscribers[i] as number) + (tuple[i] as number) + (skbLow[i] as number);
			sum += (skbHigh[i] as number) + (time[i] as number) + (time[i + 8] ?? 0);
		}
		for (let n = 0; n < count; n++) {
			ids[n] = carriers.likely(source, skbLow[from + n] as number, skbHigh[from + n] as number);
			sum = (sum + (tupleWords[((tuple[from + n] as number) << TupleSize.shift) | TupleAt.kind] as number)) | 0;
		}
		const carrierWords = carriers.words;
		for (let n = 0; n < count; n++) ids[n] = carrierWords[(ids[n] as number) | CarrierAt.path] as number;
		const pathWords = paths.words;
		for (let n = 0; n < count; n++) {
			const path = ids[n] as number;
			sum = (sum + closed.peek(pathWords[path | PathAt.closedAt] as number)) | 0;
			ids[n] = pathWords[path | PathAt.firstHop] as number;
		}
		const hopWords = hops.words;
		for (let n = 0; n < count; n++) ids[n] = hopWords[(ids[n] as number) | HopAt.next] as number;
		for (let n = 0; n < count; n++) sum = (sum + (hopWords[(ids[n] as number) | HopAt.next] as number)) | 0;
		this.#sum = sum;
	}

	get sum(): number {
		return this.#sum;
	}
}
