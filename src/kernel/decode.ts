import { capacityOf, copyRow } from "../packet/columns.js";
import type { OuterTable } from "../packet/outers.js";
import { EventFlag, type Sightings } from "../packet/sightings.js";
import type { TupleTable } from "../packet/tuples.js";
import { addon } from "./addon.js";
import type { HookIndex } from "./hookindex.js";
import { LAYOUT } from "./layout.generated.js";

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
	readonly #baseNs: bigint;
	/** For rows of so many bytes. */
	#moves: Uint32Array = new Uint32Array();
	#bytes = 0;

	/** @param baseNs CLOCK_MONOTONIC, ns: what Sightings.time counts from */
	constructor(hooks: HookIndex, tuples: TupleTable, outers: OuterTable, baseNs: bigint) {
		this.hooks = hooks;
		this.tuples = tuples;
		this.outers = outers;
		this.#baseNs = baseNs;
	}

	/** ns since the base, of a CLOCK_MONOTONIC time: for watermarks. */
	timeOf(monotonicNs: bigint): number {
		return Number(monotonicNs - this.#baseNs);
	}

	/** Copies what stands in a column as it stands in the record, behind the rows there are. */
	transpose(raw: ArrayBuffer, records: number, into: Sightings, first: number): void {
		const columns = into.time.buffer as ArrayBuffer;
		if (this.#bytes !== columns.byteLength) {
			this.#moves = movesInto(into);
			this.#bytes = columns.byteLength;
		}
		addon().transpose(raw, RECORD_BYTES, first, records, columns, this.#moves, into.count, this.#baseNs);
	}
}

/** Which member of struct weft_event (bpf/event.h) stands as it is in which column. */
const COPIED = {
	time: "time_ns",
	ingress: "ingress_ifindex",
	length: "length",
	sequence: "sequence",
	acknowledgement: "acknowledgement",
	tsval: "tsval",
	ipId: "ip_id",
	payload: "payload_length",
	hash: "payload_hash",
	subscribers: "subscribers",
	gsoSize: "gso_size",
	window: "window",
	flags: "flags",
	vlan: "vlan",
	lost: "lost",
	tcpFlags: "tcp_flags",
	ttl: "ttl",
	generation: "generation",
} as const;

/** What Native.transpose is told for rows of this shape. */
function movesInto(rows: Sightings): Uint32Array {
	const { members } = LAYOUT.weft_event;
	const moves = Object.entries(COPIED).map(([column, member]) => [
		members[member].offset,
		members[member].size,
		rows[column as keyof typeof COPIED].byteOffset,
	]);
	const { offset } = members.skb;
	moves.push([offset, 4, rows.skbLow.byteOffset], [offset + 4, 4, rows.skbHigh.byteOffset]);
	return Uint32Array.from(moves.flat());
}

/*
 * Where struct weft_event has the other members, in 32-bit words. Small members share a word and are shifted out of it, as
 * a little-endian machine loads them. Literals, so that the compiler folds them; test/kernel/decode.test.ts holds them
 * against a record by hand and the generated layout. A record is a power of two: or-ing cannot overflow, which V8 would
 * check for.
 */
const RECORD_WORDS = 32;
const RECORD_BYTES = RECORD_WORDS * 4;
const ADDRESSES = 4; /* source, destination */
const OUTER_PEER = 12;
const IFINDEX = 16;
const PAYLOAD_LENGTH = 24;
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
	context.transpose(raw, records, into, first);
	const words = new Uint32Array(raw, first * RECORD_BYTES, records * RECORD_WORDS);
	const { hooks, tuples, outers } = context;
	const { hook, tuple, outer, segments, lost } = into;
	let { carriedLost } = context;
	let row = into.count;
	/** The row that holds the record's members. */
	let copied = row;

	for (let at = 0; at < words.length; at += RECORD_WORDS, copied++) {
		const flagsAndHookSet = words[at | FLAGS_HOOK_SET] as number;
		const inner = (flagsAndHookSet & EventFlag.inner) !== 0;
		const hookId = hooks.get(flagsAndHookSet >>> 16, words[at | IFINDEX] as number);
		const kind = (flagsAndHookSet & EventFlag.familyMask) | ((words[at | BYTES] as number) & 0xff00);
		const tupleId = hookId < 0 ? 0 : tuples.internRaw(words, at | ADDRESSES, words[at | PORTS] as number, kind);
		const outerId = inner && tupleId !== 0 ? outers.internRaw(words, at | OUTER_PEER, words[at | VNI] as number) : 0;
		if (tupleId === 0 || (inner && outerId === 0)) {
			if (hookId < 0) context.unknownHook++;
			else context.tupleTableFull++;
			carriedLost += (words[at | VLAN_LOST] as number) >>> 16;
			continue;
		}
		if (row !== copied) copyRow(into, copied, into, row);
		if (carriedLost !== 0) {
			lost[row] = Math.min((lost[row] as number) + carriedLost, 65535);
			carriedLost = 0;
		}
		hook[row] = hookId;
		tuple[row] = tupleId;
		outer[row] = outerId;
		const segmentBytes = (words[at | GSO_WINDOW] as number) & 0xffff;
		segments[row] = segmentBytes === 0 ? 1 : segmentsOf(words[at | PAYLOAD_LENGTH] as number, segmentBytes);
		row++;
	}
	into.count = row;
	context.carriedLost = carriedLost;
}

/** gso_segs of the skb can be 0, so it is computed (facts: datapath). */
function segmentsOf(payloadBytes: number, segmentBytes: number): number {
	return Math.min(Math.max(1, Math.ceil(payloadBytes / segmentBytes)), 65535);
}
