import type { Hook } from "../packet/hook.js";
import { OUTER_WORDS, type OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { LossCause } from "../packet/source.js";
import { TUPLE_WORDS, type TupleTable } from "../packet/tuples.js";
import { BATCH, HOOK, LOSS, OUTER, PROGRESS, RESPONSE, TUPLE } from "./field-numbers.js";
import { directionNumber, roleNumber } from "./hook-message.js";
import { WireWriter } from "./wire.js";

export interface EncoderOptions {
	readonly node: string;
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	readonly hook: (id: number) => Hook;
	/** ns since 1970 of a time of the rows. */
	readonly wall: (timeNs: number) => bigint;
	/** How many ns of the node's clock pass in a ns of the rows'. */
	readonly scale: number;
}

export interface ProgressNow {
	/** As in the rows. */
	readonly watermarkNs: number;
	readonly losses: Readonly<Partial<Record<LossCause, number>>>;
}

/** Tells rows apart by more than 32 bits of ns. */
const LONGEST_STEP_NS = 2 ** 32 - 1;

/**
 * Sightings → StreamSightingsResponse. Each message stands alone: it brings the hooks, tuples and outer headers that
 * its rows name. No object per row.
 */
export class BatchEncoder {
	readonly #options: EncoderOptions;
	readonly #writer = new WireWriter();
	/** By id: the index in the message's dictionary, valid when the stamp is the message's. */
	readonly #tupleIndex: Uint32Array;
	readonly #tupleStamp: Uint32Array;
	readonly #outerIndex: Uint32Array;
	readonly #outerStamp: Uint32Array;
	readonly #hookIndex = new Uint16Array(2 ** 16);
	readonly #hookStamp = new Uint32Array(2 ** 16);
	#stamp = 0;
	#deltas = new Uint32Array(0);
	#hooks = new Uint32Array(0);
	#tuples = new Uint32Array(0);
	#outers = new Uint32Array(0);
	#identity = new Uint32Array(0);
	readonly #words = new Uint32Array(Math.max(TUPLE_WORDS, OUTER_WORDS));
	readonly #wordBytes = new Uint8Array(this.#words.buffer);

	constructor(options: EncoderOptions) {
		this.#options = options;
		const { tuples, outers } = options;
		this.#tupleIndex = new Uint32Array(tuples.capacity + 1);
		this.#tupleStamp = new Uint32Array(tuples.capacity + 1);
		this.#outerIndex = new Uint32Array(outers.capacity + 1);
		this.#outerStamp = new Uint32Array(outers.capacity + 1);
	}

	/** Of the ids in rows that are encoded. */
	get tuples(): TupleTable {
		return this.#options.tuples;
	}

	/**
	 * Encodes `rows[selected[0…count)]`, sorted by time, in one message, or more when times lie far apart. The last
	 * message brings the progress.
	 */
	encode(
		rows: Sightings,
		selected: Uint32Array,
		count: number,
		firstSequence: number,
		progress: ProgressNow,
	): Uint8Array<ArrayBuffer>[] {
		const messages: Uint8Array<ArrayBuffer>[] = [];
		for (let start = 0; start < count; ) {
			let end = start + 1;
			while (end < count && this.#step(rows, selected, end) <= LONGEST_STEP_NS) end++;
			const part = selected.subarray(start, end);
			const batch = this.#writer.begin(RESPONSE.batch);
			this.#batch(rows, part, end - start, firstSequence + start);
			this.#writer.end(batch);
			if (end === count) this.#progress(progress);
			this.#writer.string(RESPONSE.node, this.#options.node);
			messages.push(this.#writer.take());
			start = end;
		}
		return messages;
	}

	/** A message without rows. */
	progress(progress: ProgressNow): Uint8Array<ArrayBuffer> {
		this.#progress(progress);
		this.#writer.string(RESPONSE.node, this.#options.node);
		return this.#writer.take();
	}

	#step(rows: Sightings, selected: Uint32Array, at: number): number {
		const { time } = rows;
		const step = (time[selected[at] as number] as number) - (time[selected[at - 1] as number] as number);
		return step * this.#options.scale;
	}

	#batch(rows: Sightings, selected: Uint32Array, count: number, firstSequence: number): void {
		const writer = this.#writer;
		this.#enlarge(count);
		writer.string(BATCH.node, this.#options.node);
		writer.uint53(BATCH.firstSequence, firstSequence);
		writer.fixed64(BATCH.baseTimeNs, this.#options.wall(rows.time[selected[0] as number] as number));
		this.#times(rows, selected, count);
		this.#dictionaries(rows, selected, count);
		const all = this.#identity;
		writer.packed(BATCH.timeDeltaNs, this.#deltas, all, count);
		writer.packed(BATCH.hook, this.#hooks, all, count);
		writer.packed(BATCH.tuple, this.#tuples, all, count);
		writer.packed(BATCH.outer, this.#outers, all, count);
		writer.packedFixed64(BATCH.skb, rows.skbLow, rows.skbHigh, selected, count);
		writer.packed(BATCH.ingressIfindex, rows.ingress, selected, count);
		writer.packed(BATCH.length, rows.length, selected, count);
		writer.packedFixed32(BATCH.sequence, rows.sequence, selected, count);
		writer.packedFixed32(BATCH.acknowledgement, rows.acknowledgement, selected, count);
		writer.packedFixed32(BATCH.tsval, rows.tsval, selected, count);
		writer.packed(BATCH.ipId, rows.ipId, selected, count);
		writer.packed(BATCH.payloadLength, rows.payload, selected, count);
		writer.packedFixed32(BATCH.payloadHash, rows.hash, selected, count);
		writer.packed(BATCH.gsoSize, rows.gsoSize, selected, count);
		writer.packed(BATCH.window, rows.window, selected, count);
		writer.packed(BATCH.flags, rows.flags, selected, count);
		writer.packed(BATCH.vlan, rows.vlan, selected, count);
		writer.packed(BATCH.tcpFlags, rows.tcpFlags, selected, count);
		writer.packed(BATCH.ttl, rows.ttl, selected, count);
		writer.packed(BATCH.lostBefore, rows.lost, selected, count);
	}

	/** Rounded from the first row on, so that roundings do not add up. */
	#times({ time }: Sightings, selected: Uint32Array, count: number): void {
		const { scale } = this.#options;
		const first = time[selected[0] as number] as number;
		let before = 0;
		for (let i = 0; i < count; i++) {
			const since = Math.round(((time[selected[i] as number] as number) - first) * scale);
			this.#deltas[i] = since - before;
			before = since;
		}
	}

	#dictionaries(rows: Sightings, selected: Uint32Array, count: number): void {
		const stamp = ++this.#stamp;
		let [hooks, tuples, outers] = [0, 0, 0];
		for (let i = 0; i < count; i++) {
			const row = selected[i] as number;
			const hook = rows.hook[row] as number;
			if (this.#hookStamp[hook] !== stamp) {
				this.#hookStamp[hook] = stamp;
				this.#hookIndex[hook] = hooks++;
				this.#hook(hook);
			}
			this.#hooks[i] = this.#hookIndex[hook] as number;
			const tuple = rows.tuple[row] as number;
			if (this.#tupleStamp[tuple] !== stamp) {
				this.#tupleStamp[tuple] = stamp;
				this.#tupleIndex[tuple] = tuples++;
				this.#tuple(tuple);
			}
			this.#tuples[i] = this.#tupleIndex[tuple] as number;
			const outer = rows.outer[row] as number;
			if (outer !== 0 && this.#outerStamp[outer] !== stamp) {
				this.#outerStamp[outer] = stamp;
				this.#outerIndex[outer] = ++outers;
				this.#outer(outer);
			}
			this.#outers[i] = outer === 0 ? 0 : (this.#outerIndex[outer] as number);
		}
	}

	#hook(id: number): void {
		const writer = this.#writer;
		const hook = this.#options.hook(id);
		const start = writer.begin(BATCH.hooks);
		writer.uint32(HOOK.id, hook.id);
		writer.string(HOOK.node, hook.node);
		writer.string(HOOK.netns, hook.netns);
		writer.uint32(HOOK.ifindex, hook.ifindex);
		writer.string(HOOK.device, hook.device);
		writer.uint32(HOOK.direction, directionNumber(hook.direction));
		writer.uint32(HOOK.role, roleNumber(hook.role));
		writer.uint32(HOOK.l3, Number(hook.l3));
		writer.uint32(HOOK.master, hook.master);
		writer.end(start);
	}

	#tuple(id: number): void {
		const { tuples } = this.#options;
		const writer = this.#writer;
		const start = writer.begin(BATCH.tuples);
		if (tuples.has(id)) {
			tuples.copyRaw(id, this.#words, 0);
			writer.uint32(TUPLE.family, tuples.family(id));
			writer.uint32(TUPLE.protocol, tuples.protocol(id));
			writer.bytes(TUPLE.source, this.#address(0));
			writer.bytes(TUPLE.destination, this.#address(4));
			writer.uint32(TUPLE.sourcePort, tuples.sourcePort(id));
			writer.uint32(TUPLE.destinationPort, tuples.destinationPort(id));
		}
		writer.end(start);
	}

	#outer(id: number): void {
		const { outers } = this.#options;
		const writer = this.#writer;
		const start = writer.begin(BATCH.outers);
		if (outers.has(id)) {
			outers.copyRaw(id, this.#words, 0);
			writer.bytes(OUTER.peer, this.#address(0));
			writer.uint32(OUTER.vni, outers.vni(id));
		}
		writer.end(start);
	}

	/** The four words at `at` as the wire's bytes: 4 when they are an IPv4 address, none when all are 0. */
	#address(at: number): Uint8Array {
		const words = this.#words;
		const bytes = this.#wordBytes.subarray(at * 4, at * 4 + 16);
		if (words[at] !== 0 || words[at + 1] !== 0) return bytes;
		if (words[at + 2] === 0 && words[at + 3] === 0) return bytes.subarray(0, 0);
		const mapped = bytes[8] === 0 && bytes[9] === 0 && bytes[10] === 0xff && bytes[11] === 0xff;
		return mapped ? bytes.subarray(12) : bytes;
	}

	#progress({ watermarkNs, losses }: ProgressNow): void {
		const writer = this.#writer;
		const start = writer.begin(RESPONSE.progress);
		writer.fixed64(PROGRESS.watermarkNs, this.#options.wall(watermarkNs));
		for (const [cause, count] of Object.entries(losses)) {
			if (count === 0) continue;
			const loss = writer.begin(PROGRESS.losses);
			writer.string(LOSS.cause, cause);
			writer.uint53(LOSS.count, count);
			writer.end(loss);
		}
		writer.end(start);
	}

	#enlarge(count: number): void {
		if (count <= this.#deltas.length) return;
		const size = Math.max(4096, count);
		this.#deltas = new Uint32Array(size);
		this.#hooks = new Uint32Array(size);
		this.#tuples = new Uint32Array(size);
		this.#outers = new Uint32Array(size);
		this.#identity = Uint32Array.from({ length: size }, (_, i) => i);
	}
}
