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
 * Offsets in struct weft_event (bpf/event.h), in units of the view they are read through. Literals, so that the compiler
 * folds them; test/kernel/decode.test.ts holds them against the generated layout.
 */
const RECORD_BYTES = 128;
const U32 = 4;
const U16 = 2;
const TIME_LOW = 0 / U32;
const SKB_LOW = 8 / U32;
const SOURCE = 16 / U32;
const OUTER_PEER = 48 / U32;
const IFINDEX = 64 / U32;
const INGRESS_IFINDEX = 68 / U32;
const LENGTH = 72 / U32;
const SUBSCRIBERS = 76 / U32;
const SEQUENCE = 80 / U32;
const ACKNOWLEDGEMENT = 84 / U32;
const TSVAL = 88 / U32;
const IP_ID = 92 / U32;
const PAYLOAD_LENGTH = 96 / U32;
const PAYLOAD_HASH = 100 / U32;
const VNI = 104 / U32;
const SOURCE_PORT = 108 / U16;
const DESTINATION_PORT = 110 / U16;
const GSO_SIZE = 112 / U16;
const WINDOW = 114 / U16;
const VLAN = 116 / U16;
const LOST = 118 / U16;
const FLAGS = 120 / U16;
const HOOK_SET = 122 / U16;
const TCP_FLAGS = 124;
const PROTOCOL = 125;
const TTL = 126;
const GENERATION = 127;

/** The offsets above in bytes, under the members' names. */
export const DECODED_OFFSETS: Readonly<Record<string, number>> = {
	time_ns: TIME_LOW * U32,
	skb: SKB_LOW * U32,
	source: SOURCE * U32,
	destination: (SOURCE + 4) * U32,
	outer_peer: OUTER_PEER * U32,
	ifindex: IFINDEX * U32,
	ingress_ifindex: INGRESS_IFINDEX * U32,
	length: LENGTH * U32,
	subscribers: SUBSCRIBERS * U32,
	sequence: SEQUENCE * U32,
	acknowledgement: ACKNOWLEDGEMENT * U32,
	tsval: TSVAL * U32,
	ip_id: IP_ID * U32,
	payload_length: PAYLOAD_LENGTH * U32,
	payload_hash: PAYLOAD_HASH * U32,
	vni: VNI * U32,
	source_port: SOURCE_PORT * U16,
	destination_port: DESTINATION_PORT * U16,
	gso_size: GSO_SIZE * U16,
	window: WINDOW * U16,
	vlan: VLAN * U16,
	lost: LOST * U16,
	flags: FLAGS * U16,
	hook_set: HOOK_SET * U16,
	tcp_flags: TCP_FLAGS,
	protocol: PROTOCOL,
	ttl: TTL,
	generation: GENERATION,
};

/**
 * Appends `records` records of struct weft_event, merged by time, to the rows of `into`. A record that cannot be named
 * is left out and counted in the context; its `lost` is carried to the next row.
 * @throws RangeError when the buffer is too short or the batch has no room: nothing was decoded then
 */
export function decode(raw: ArrayBuffer, records: number, into: Sightings, context: DecodeContext): void {
	if (records * RECORD_BYTES > raw.byteLength) {
		throw new RangeError(`${raw.byteLength} bytes do not hold ${records} records of ${RECORD_BYTES}`);
	}
	if (into.count + records > capacityOf(into)) {
		throw new RangeError(`no room for ${records} sightings behind ${into.count} of ${capacityOf(into)}`);
	}
	const u32 = new Uint32Array(raw, 0, records * (RECORD_BYTES / U32));
	const u16 = new Uint16Array(raw, 0, records * (RECORD_BYTES / U16));
	const u8 = new Uint8Array(raw);
	const { hooks, tuples, outers, baseLow, baseHigh } = context;
	const { time, skbLow, skbHigh, hook, tuple, outer, ingress, length, sequence, acknowledgement, tsval } = into;
	const { ipId, payload, hash, gsoSize, segments, window, flags, vlan, tcpFlags, ttl, generation } = into;
	const { subscribers, lost } = into;
	let row = into.count;
	let { carriedLost } = context;

	for (let record = 0; record < records; record++) {
		const w = record * (RECORD_BYTES / U32);
		const h = record * (RECORD_BYTES / U16);
		const b = record * RECORD_BYTES;

		const lostBefore = (u16[h + LOST] as number) + carriedLost;
		const hookId = hooks.get(u16[h + HOOK_SET] as number, u32[w + IFINDEX] as number);
		if (hookId < 0) {
			context.unknownHook++;
			carriedLost = lostBefore;
			continue;
		}
		const flag = u16[h + FLAGS] as number;
		const ports = ((u16[h + SOURCE_PORT] as number) | ((u16[h + DESTINATION_PORT] as number) << 16)) >>> 0;
		const kind = (flag & EventFlag.familyMask) | ((u8[b + PROTOCOL] as number) << 8);
		const tupleId = tuples.internRaw(u32, w + SOURCE, ports, kind);
		let outerId = 0;
		if ((flag & EventFlag.inner) !== 0) outerId = outers.internRaw(u32, w + OUTER_PEER, u32[w + VNI] as number);
		if (tupleId === 0 || ((flag & EventFlag.inner) !== 0 && outerId === 0)) {
			context.tupleTableFull++;
			carriedLost = lostBefore;
			continue;
		}
		carriedLost = 0;

		const high = (u32[w + TIME_LOW + 1] as number) - baseHigh;
		time[row] = high * 4294967296 + ((u32[w + TIME_LOW] as number) - baseLow);
		skbLow[row] = u32[w + SKB_LOW] as number;
		skbHigh[row] = u32[w + SKB_LOW + 1] as number;
		hook[row] = hookId;
		tuple[row] = tupleId;
		outer[row] = outerId;
		ingress[row] = u32[w + INGRESS_IFINDEX] as number;
		length[row] = u32[w + LENGTH] as number;
		subscribers[row] = u32[w + SUBSCRIBERS] as number;
		sequence[row] = u32[w + SEQUENCE] as number;
		acknowledgement[row] = u32[w + ACKNOWLEDGEMENT] as number;
		tsval[row] = u32[w + TSVAL] as number;
		ipId[row] = u32[w + IP_ID] as number;
		hash[row] = u32[w + PAYLOAD_HASH] as number;
		const bytes = u32[w + PAYLOAD_LENGTH] as number;
		const segmentBytes = u16[h + GSO_SIZE] as number;
		payload[row] = bytes;
		gsoSize[row] = segmentBytes;
		segments[row] = segmentBytes === 0 || bytes <= segmentBytes ? 1 : Math.min(65535, Math.ceil(bytes / segmentBytes));
		window[row] = u16[h + WINDOW] as number;
		vlan[row] = u16[h + VLAN] as number;
		flags[row] = flag;
		lost[row] = lostBefore < 65535 ? lostBefore : 65535;
		tcpFlags[row] = u8[b + TCP_FLAGS] as number;
		ttl[row] = u8[b + TTL] as number;
		generation[row] = u8[b + GENERATION] as number;
		row++;
	}
	into.count = row;
	context.carriedLost = carriedLost;
}
