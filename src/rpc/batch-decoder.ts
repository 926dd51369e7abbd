import { allocateSightings, capacityOf, copyRow } from "../packet/columns.js";
import type { OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { TupleTable } from "../packet/tuples.js";
import { BATCH, HOOK, LOSS, OUTER, PROGRESS, RESPONSE, TUPLE } from "./field-numbers.js";
import type { HookMessage } from "./messages.js";
import { BYTES, FIXED64, VARINT, type WireReader } from "./wire.js";

/** Rows of one message at the most: an agent's batch. */
export const MOST_ROWS = 4096;

/** What a message brought besides its rows. */
export interface DecodedBatch {
	readonly rows: Sightings;
	/** Number of the first row in the stream. */
	readonly firstSequence: number;
	/** Left out because a table had no room. */
	readonly unnamed: number;
}

export interface DecoderOptions {
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	/** The Joiner's id of a hook of the stream; it may be new. */
	readonly hook: (message: HookMessage) => number;
	/** Of a time of the node's clock, ns since 1970, on the Joiner's line; and the ratio of both clocks there. */
	readonly line: (wallNs: bigint) => { readonly timeNs: number; readonly rate: number };
}

/**
 * SightingBatch → columns in the reader's own tables. Bytes come from outside: whatever is wrong with them is a
 * RangeError, and no memory is taken on their word alone.
 */
export class BatchDecoder {
	readonly #options: DecoderOptions;
	readonly #idle: Sightings[] = [];
	readonly #deltas = new Uint32Array(MOST_ROWS);
	readonly #words = new Uint32Array(8);
	readonly #wordBytes = new Uint8Array(this.#words.buffer);

	constructor(options: DecoderOptions) {
		this.#options = options;
	}

	/** Gives a batch back whose rows were read. */
	release(rows: Sightings): void {
		rows.count = 0;
		if (capacityOf(rows) === MOST_ROWS) this.#idle.push(rows);
	}

	/** @throws RangeError when the bytes are no batch; nothing was taken over then, but names may be known now */
	decode(reader: WireReader): DecodedBatch {
		const rows = this.#idle.pop() ?? allocateSightings(MOST_ROWS);
		try {
			return this.#decode(reader, rows);
		} catch (cause) {
			this.release(rows);
			throw cause;
		}
	}

	#decode(reader: WireReader, rows: Sightings): DecodedBatch {
		const filled = new Uint32Array(32);
		const hooks: number[] = [];
		const tuples: number[] = [];
		const outers: number[] = [];
		let firstSequence = 0;
		let base = 0n;
		while (reader.next()) {
			const { field } = reader;
			const before = filled[field] ?? 0;
			switch (field) {
				case BATCH.firstSequence:
					firstSequence = expect(reader, VARINT).uint53();
					break;
				case BATCH.baseTimeNs:
					base = expect(reader, FIXED64).fixed64();
					break;
				case BATCH.hooks:
					hooks.push(this.#hook(bounded(hooks, reader).nested()));
					break;
				case BATCH.tuples:
					tuples.push(this.#tuple(bounded(tuples, reader).nested()));
					break;
				case BATCH.outers:
					outers.push(this.#outer(bounded(outers, reader).nested()));
					break;
				case BATCH.timeDeltaNs:
					filled[field] = reader.packed(this.#deltas, before);
					break;
				case BATCH.skb:
					filled[field] = reader.packedFixed64(rows.skbLow, rows.skbHigh, before);
					break;
				case BATCH.sequence:
					filled[field] = reader.packedFixed32(rows.sequence, before);
					break;
				case BATCH.acknowledgement:
					filled[field] = reader.packedFixed32(rows.acknowledgement, before);
					break;
				case BATCH.tsval:
					filled[field] = reader.packedFixed32(rows.tsval, before);
					break;
				case BATCH.payloadHash:
					filled[field] = reader.packedFixed32(rows.hash, before);
					break;
				default: {
					const column = columnOf(rows, field);
					if (column === null) reader.skip();
					else filled[field] = reader.packed(column, before);
				}
			}
		}
		const count = filled[BATCH.skb] as number;
		this.#complete(rows, filled, count);
		this.#times(rows, base, count);
		const unnamed = rename(rows, count, hooks, tuples, outers);
		return { rows, firstSequence, unnamed };
	}

	/** Columns are as long as skb, or absent: then 0. What an agent does not send is computed. */
	#complete(rows: Sightings, filled: Uint32Array, count: number): void {
		for (let field = BATCH.timeDeltaNs; field <= BATCH.lostBefore; field++) {
			const length = filled[field] as number;
			if (length === count) continue;
			if (length !== 0) throw new RangeError(`column ${field} has ${length} rows, not ${count}`);
			if (field === BATCH.timeDeltaNs) this.#deltas.fill(0, 0, count);
			else fixedColumnOf(rows, field)?.fill(0, 0, count);
		}
		rows.subscribers.fill(1, 0, count);
		rows.generation.fill(0, 0, count);
		for (let i = 0; i < count; i++) {
			const [size, payload] = [rows.gsoSize[i] as number, rows.payload[i] as number];
			rows.segments[i] = size === 0 || payload <= size ? 1 : Math.min(65535, Math.ceil(payload / size));
		}
	}

	#times(rows: Sightings, base: bigint, count: number): void {
		const { timeNs, rate } = this.#options.line(base);
		let since = 0;
		for (let i = 0; i < count; i++) {
			since += this.#deltas[i] as number;
			rows.time[i] = timeNs + since * rate;
		}
	}

	#hook(reader: WireReader): number {
		const hook = {
			id: 0,
			node: "",
			netns: "",
			ifindex: 0,
			device: "",
			direction: 0,
			role: 0,
			l3: false,
			master: 0,
		};
		while (reader.next()) {
			switch (reader.field) {
				case HOOK.id:
					hook.id = expect(reader, VARINT).uint32();
					break;
				case HOOK.node:
					hook.node = expect(reader, BYTES).string();
					break;
				case HOOK.netns:
					hook.netns = expect(reader, BYTES).string();
					break;
				case HOOK.ifindex:
					hook.ifindex = expect(reader, VARINT).uint32();
					break;
				case HOOK.device:
					hook.device = expect(reader, BYTES).string();
					break;
				case HOOK.direction:
					hook.direction = expect(reader, VARINT).uint32();
					break;
				case HOOK.role:
					hook.role = expect(reader, VARINT).uint32();
					break;
				case HOOK.l3:
					hook.l3 = expect(reader, VARINT).uint32() !== 0;
					break;
				case HOOK.master:
					hook.master = expect(reader, VARINT).uint32();
					break;
				default:
					reader.skip();
			}
		}
		return this.#options.hook(hook);
	}

	#tuple(reader: WireReader): number {
		this.#words.fill(0);
		let [family, protocol, source, destination] = [0, 0, 0, 0];
		while (reader.next()) {
			switch (reader.field) {
				case TUPLE.family:
					family = expect(reader, VARINT).uint32() & 0xff;
					break;
				case TUPLE.protocol:
					protocol = expect(reader, VARINT).uint32() & 0xff;
					break;
				case TUPLE.source:
					this.#address(expect(reader, BYTES).view(), 0);
					break;
				case TUPLE.destination:
					this.#address(expect(reader, BYTES).view(), 16);
					break;
				case TUPLE.sourcePort:
					source = expect(reader, VARINT).uint32() & 0xffff;
					break;
				case TUPLE.destinationPort:
					destination = expect(reader, VARINT).uint32() & 0xffff;
					break;
				default:
					reader.skip();
			}
		}
		const ports = (source | (destination << 16)) >>> 0;
		return this.#options.tuples.internRaw(this.#words, 0, ports, family | (protocol << 8));
	}

	#outer(reader: WireReader): number {
		this.#words.fill(0);
		let vni = 0;
		while (reader.next()) {
			switch (reader.field) {
				case OUTER.peer:
					this.#address(expect(reader, BYTES).view(), 0);
					break;
				case OUTER.vni:
					vni = expect(reader, VARINT).uint32();
					break;
				default:
					reader.skip();
			}
		}
		return this.#options.outers.internRaw(this.#words, 0, vni);
	}

	/** As the kernel would have loaded it: IPv4 as ::ffff:a.b.c.d. */
	#address(bytes: Uint8Array, at: number): void {
		if (bytes.length === 4) {
			this.#wordBytes.fill(0xff, at + 10, at + 12);
			this.#wordBytes.set(bytes, at + 12);
		} else if (bytes.length === 16) {
			this.#wordBytes.set(bytes, at);
		} else if (bytes.length !== 0) {
			throw new RangeError(`an address of ${bytes.length} bytes`);
		}
	}
}

/** Reads a StreamSightingsResponse: the batch by `batch`, the progress by `progress`; others are for protobufjs. */
export function readResponse(
	reader: WireReader,
	take: {
		batch(reader: WireReader): void;
		progress(watermarkNs: bigint, losses: ReadonlyMap<string, number>): void;
		/** There is a message of another kind. */
		other(): void;
	},
): void {
	let progress: WireReader | null = null;
	while (reader.next()) {
		if (reader.field === RESPONSE.batch && reader.type === BYTES) take.batch(reader.nested());
		else if (reader.field === RESPONSE.progress && reader.type === BYTES) progress = reader.nested();
		else {
			if (reader.field !== RESPONSE.node) take.other();
			reader.skip();
		}
	}
	if (progress !== null) readProgress(progress, take.progress);
}

function readProgress(
	reader: WireReader,
	progress: (watermarkNs: bigint, losses: ReadonlyMap<string, number>) => void,
): void {
	let watermark = 0n;
	const losses = new Map<string, number>();
	while (reader.next()) {
		if (reader.field === PROGRESS.watermarkNs) watermark = expect(reader, FIXED64).fixed64();
		else if (reader.field === PROGRESS.losses) {
			const loss = expect(reader, BYTES).nested();
			let [cause, count] = ["", 0];
			while (loss.next()) {
				if (loss.field === LOSS.cause) cause = expect(loss, BYTES).string();
				else if (loss.field === LOSS.count) count = expect(loss, VARINT).uint53();
				else loss.skip();
			}
			losses.set(cause, count);
		} else reader.skip();
	}
	progress(watermark, losses);
}

/** Indexes of dictionaries → ids; rows whose tuple or outer header found no room are left out. Returns how many. */
function rename(
	rows: Sightings,
	count: number,
	hooks: readonly number[],
	tuples: readonly number[],
	outers: readonly number[],
): number {
	let kept = 0;
	for (let i = 0; i < count; i++) {
		const hook = hooks[rows.hook[i] as number];
		const tuple = tuples[rows.tuple[i] as number];
		const outerIndex = rows.outer[i] as number;
		const outer = outerIndex === 0 ? 0 : outers[outerIndex - 1];
		if (hook === undefined || tuple === undefined || outer === undefined) {
			throw new RangeError(`row ${i} names what its message does not bring`);
		}
		if (tuple === 0 || (outerIndex !== 0 && outer === 0)) continue;
		if (kept !== i) copyRow(rows, i, rows, kept);
		rows.hook[kept] = hook;
		rows.tuple[kept] = tuple;
		rows.outer[kept] = outer;
		kept++;
	}
	rows.count = kept;
	return count - kept;
}

function columnOf(rows: Sightings, field: number): Uint32Array | Uint16Array | Uint8Array | null {
	switch (field) {
		case BATCH.hook:
			return rows.hook;
		case BATCH.tuple:
			return rows.tuple;
		case BATCH.outer:
			return rows.outer;
		case BATCH.ingressIfindex:
			return rows.ingress;
		case BATCH.length:
			return rows.length;
		case BATCH.ipId:
			return rows.ipId;
		case BATCH.payloadLength:
			return rows.payload;
		case BATCH.gsoSize:
			return rows.gsoSize;
		case BATCH.window:
			return rows.window;
		case BATCH.flags:
			return rows.flags;
		case BATCH.vlan:
			return rows.vlan;
		case BATCH.tcpFlags:
			return rows.tcpFlags;
		case BATCH.ttl:
			return rows.ttl;
		case BATCH.lostBefore:
			return rows.lost;
		default:
			return null;
	}
}

function fixedColumnOf(rows: Sightings, field: number): Uint32Array | Uint16Array | Uint8Array | null {
	switch (field) {
		case BATCH.sequence:
			return rows.sequence;
		case BATCH.acknowledgement:
			return rows.acknowledgement;
		case BATCH.tsval:
			return rows.tsval;
		case BATCH.payloadHash:
			return rows.hash;
		default:
			return columnOf(rows, field);
	}
}

function expect(reader: WireReader, type: number): WireReader {
	if (reader.type !== type) throw new RangeError(`field ${reader.field} has wire type ${reader.type}`);
	return reader;
}

function bounded(entries: readonly unknown[], reader: WireReader): WireReader {
	if (entries.length >= MOST_ROWS) throw new RangeError(`more than ${MOST_ROWS} entries in a dictionary`);
	return expect(reader, BYTES);
}
