import { capacityOf } from "../packet/columns.js";
import type { OuterTable } from "../packet/outers.js";
import { EventFlag, type Sightings } from "../packet/sightings.js";
import type { TupleTable } from "../packet/tuples.js";
import type { HookIndex } from "./hookindex.js";

/** What decoding needs and what it counts; one per ring set, kept from batch to batch. */
export class DecodeContext {
	readonly hooks: HookIndex;
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	/** Records left out because no hook has their hook set and ifindex. */
	unknownHook = 0;
	/** Records left out because the tuple table or the table of outer headers was full. */
	tupleTableFull = 0;
	/** `lost` of records that were left out, for the next row. */
	carriedLost = 0;
	readonly baseLow: number;
	readonly baseHigh: number;

	/** @param baseNs CLOCK_MONOTONIC, ns: what Sightings.time counts from */
	constructor(hooks: HookIndex, tuples: TupleTable, outers: OuterTable, baseNs: bigint) {
		this.hooks = hooks;
		this.tuples = tuples;
		this.outers = outers;
		this.baseLow = Number(BigInt.asUintN(32, baseNs));
		this.baseHigh = Number(BigInt.asUintN(32, baseNs >> 32n));
	}

	/** ns since the base, of a CLOCK_MONOTONIC time: for watermarks. */
	timeOf(monotonicNs: bigint): number {
		const high = Number(BigInt.asUintN(32, monotonicNs >> 32n)) - this.baseHigh;
		return high * 2 ** 32 + (Number(BigInt.asUintN(32, monotonicNs)) - this.baseLow);
	}
}

/*
 * Where struct weft_event (bpf/event.h) has its members, in 32-bit words. Small members share a word and are shifted out
 * of it, as a little-endian machine loads them: one view instead of three is a third less time. Literals, so that the
 * compiler folds them; test/kernel/decode.test.ts holds them against a record by hand and the generated layout.
 */
const RECORD_WORDS = 32;
const RECORD_BYTES = RECORD_WORDS * 4;
const TIME_LOW = 0;
const TIME_HIGH = 1;
const SKB_LOW = 2;
const SKB_HIGH = 3;
const ADDRESSES = 4; /* source, destination */
const OUTER_PEER = 12;
const IFINDEX = 16;
const INGRESS_IFINDEX = 17;
const LENGTH = 18;
const SUBSCRIBERS = 19;
const SEQUENCE = 20;
const ACKNOWLEDGEMENT = 21;
const TSVAL = 22;
const IP_ID = 23;
const PAYLOAD_LENGTH = 24;
const PAYLOAD_HASH = 25;
const VNI = 26;
const PORTS = 27; /* source | destination << 16 */
const GSO_WINDOW = 28; /* gso_size | window << 16 */
const VLAN_LOST = 29; /* vlan | lost << 16 */
const FLAGS_HOOK_SET = 30; /* flags | hook_set << 16 */
const BYTES = 31; /* tcp_flags | protocol << 8 | ttl << 16 | generation << 24 */

/**
 * Appends `records` records of struct weft_event, merged by time, to the rows of `into`, from the record `first` on. A
 * record that cannot be named is left out and counted in the context; its `lost` is carried to the next row.
 * @throws RangeError when the buffer is too short or the batch has no room: nothing was decoded then
 */
export function decode(raw: ArrayBuffer, records: number, into: Sightings, context: DecodeContext, first = 0): void {
	if ((first + records) * RECORD_BYTES > raw.byteLength) {
		throw new RangeError(`${raw.byteLength} bytes do not hold ${first + records} records of ${RECORD_BYTES}`);
	}
	if (into.count + records > capacityOf(into)) {
		throw new RangeError(`no room for ${records} sightings behind ${into.count} of ${capacityOf(into)}`);
	}
	const words = new Uint32Array(raw, first * RECORD_BYTES, records * RECORD_WORDS);
	const { hooks, tuples, outers, baseLow, baseHigh } = context;
	const { time, skbLow, skbHigh, hook, tuple, outer, ingress, length, sequence, acknowledgement, tsval } = into;
	const { ipId, payload, hash, gsoSize, segments, window, flags, vlan, tcpFlags, ttl, generation } = into;
	const { subscribers, lost } = into;
	let { carriedLost } = context;
	let row = into.count;

	for (let at = 0; at < words.length; at += RECORD_WORDS) {
		const flagsAndHookSet = words[at + FLAGS_HOOK_SET] as number;
		const vlanAndLost = words[at + VLAN_LOST] as number;
		const bytes = words[at + BYTES] as number;
		const inner = (flagsAndHookSet & EventFlag.inner) !== 0;

		const hookId = hooks.get(flagsAndHookSet >>> 16, words[at + IFINDEX] as number);
		const kind = (flagsAndHookSet & EventFlag.familyMask) | (bytes & 0xff00);
		const tupleId = hookId < 0 ? 0 : tuples.internRaw(words, at + ADDRESSES, words[at + PORTS] as number, kind);
		const outerId = inner && tupleId !== 0 ? outers.internRaw(words, at + OUTER_PEER, words[at + VNI] as number) : 0;
		const lostBefore = (vlanAndLost >>> 16) + carriedLost;
		if (tupleId === 0 || (inner && outerId === 0)) {
			if (hookId < 0) context.unknownHook++;
			else context.tupleTableFull++;
			carriedLost = lostBefore;
			continue;
		}
		carriedLost = 0;

		const high = (words[at + TIME_HIGH] as number) - baseHigh;
		time[row] = high * 4294967296 + ((words[at + TIME_LOW] as number) - baseLow);
		skbLow[row] = words[at + SKB_LOW] as number;
		skbHigh[row] = words[at + SKB_HIGH] as number;
		hook[row] = hookId;
		tuple[row] = tupleId;
		outer[row] = outerId;
		ingress[row] = words[at + INGRESS_IFINDEX] as number;
		length[row] = words[at + LENGTH] as number;
		subscribers[row] = words[at + SUBSCRIBERS] as number;
		sequence[row] = words[at + SEQUENCE] as number;
		acknowledgement[row] = words[at + ACKNOWLEDGEMENT] as number;
		tsval[row] = words[at + TSVAL] as number;
		ipId[row] = words[at + IP_ID] as number;
		hash[row] = words[at + PAYLOAD_HASH] as number;
		const payloadBytes = words[at + PAYLOAD_LENGTH] as number;
		const gsoAndWindow = words[at + GSO_WINDOW] as number;
		const segmentBytes = gsoAndWindow & 0xffff;
		payload[row] = payloadBytes;
		gsoSize[row] = segmentBytes;
		segments[row] = segmentBytes === 0 || payloadBytes <= segmentBytes ? 1 : segmentsOf(payloadBytes, segmentBytes);
		window[row] = gsoAndWindow >>> 16;
		vlan[row] = vlanAndLost;
		flags[row] = flagsAndHookSet;
		lost[row] = lostBefore < 65535 ? lostBefore : 65535;
		tcpFlags[row] = bytes;
		ttl[row] = bytes >>> 16;
		generation[row] = bytes >>> 24;
		row++;
	}
	into.count = row;
	context.carriedLost = carriedLost;
}

/** gso_segs of the skb can be 0, so it is computed (facts: datapath). */
function segmentsOf(payloadBytes: number, segmentBytes: number): number {
	const count = Math.ceil(payloadBytes / segmentBytes);
	return count < 65535 ? count : 65535;
}
