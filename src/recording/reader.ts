import { allocateSightings, copyRow } from "../packet/columns.js";
import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import { OUTER_WORDS } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import type { TupleTable } from "../packet/tuples.js";
import { TUPLE_WORDS } from "../packet/tuples.js";
import { type Block, readBlocks, type Stop } from "./blocks.js";
import { type Call, Fields, parseCall, type RecordedDrop } from "./calls.js";
import { DictionaryReader } from "./dictionary.js";
import { BlockType, type Json, RecordingError, type RecordingHeader, type RecordingTotals } from "./format.js";
import { decodeRows } from "./rows.js";

/** Who listens to a replay: a sink like any other, and for the rest of a recording. */
export interface ReplaySink extends SourceSink {
	header?(header: RecordingHeader): void;
	snapshot?(kind: string, value: Json): void;
	drop?(source: SourceId, drop: RecordedDrop): void;
	/** Called between blocks; a sink that has enough work lets the replay wait. */
	ready?(): Promise<void> | void;
}

/** Why a recording ended before its end block. */
export interface Truncation {
	/** Bytes from the start of the file to the first block that could not be used. */
	readonly offset: number;
	readonly reason: string;
}

export interface Replayed {
	readonly header: RecordingHeader;
	/** What was given to the sink. */
	readonly totals: RecordingTotals;
	/** Null: the recording is whole. */
	readonly truncated: Truncation | null;
}

/**
 * Gives a sink the calls of a recording, in their order, as the Source made them: the same hooks with their ids, the
 * same rows in the same batches, with ids of `tables`. Each batch is new and belongs to the sink. Rows that the tables
 * have no room for are left out and told as `lost`, cause tupleTableFull.
 * @throws RecordingError when it is no recording; a cut-off end is told in the result, after all whole blocks
 */
export async function replay(
	input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
	sink: ReplaySink,
	tables: { readonly tuples: TupleTable; readonly outers: OuterTable },
): Promise<Replayed> {
	const blocks = readBlocks(input);
	const replaying = new Replaying(sink, tables);
	try {
		for (;;) {
			const next = await blocks.next();
			if (next.done === true) return replaying.result(next.value);
			const damage = replaying.take(next.value);
			if (damage !== null) return replaying.result({ offset: next.value.offset, reason: damage });
			if (replaying.ended) return replaying.result({ offset: next.value.end, reason: null });
			const ready = sink.ready?.();
			if (ready !== undefined) await ready;
		}
	} finally {
		await blocks.return({ offset: 0, reason: null });
	}
}

class Replaying {
	readonly #sink: ReplaySink;
	readonly #tuples: DictionaryReader;
	readonly #outers: DictionaryReader;
	readonly #sources = new Map<number, SourceId>();
	/** One object for each hook, as its Source had. */
	readonly #hooks = new Map<number, Hook>();
	#header: RecordingHeader | null = null;
	#ended = false;
	#batches = 0;
	#sightings = 0;
	#dropped = 0;

	constructor(sink: ReplaySink, tables: { readonly tuples: TupleTable; readonly outers: OuterTable }) {
		this.#sink = sink;
		this.#tuples = new DictionaryReader(TUPLE_WORDS, (words, at) =>
			tables.tuples.internRaw(words, at, words[at + 8] as number, words[at + 9] as number),
		);
		this.#outers = new DictionaryReader(OUTER_WORDS, (words, at) =>
			tables.outers.internRaw(words, at, words[at + 4] as number),
		);
	}

	/** Null, or why the block cannot be used. What the sink throws goes through. */
	take(block: Block): string | null {
		const call = understood(() => this.#understand(block));
		if (typeof call === "string") return call;
		call();
		return null;
	}

	/** The end block was read. */
	get ended(): boolean {
		return this.#ended;
	}

	/** @throws RecordingError when there was no header */
	result(stop: Stop): Replayed {
		const reason = stop.reason ?? (this.#ended ? null : "cut off between two blocks");
		if (this.#header === null) throw new RecordingError(`the recording has no header: ${reason ?? "it is empty"}`);
		const totals = { batches: this.#batches, sightings: this.#sightings, dropped: this.#dropped };
		return { header: this.#header, totals, truncated: reason === null ? null : { offset: stop.offset, reason } };
	}

	/** Reads a block wholly, and answers what to tell the sink. @throws RangeError, RecordingError, SyntaxError */
	#understand(block: Block): () => void {
		if (this.#header === null && block.type !== BlockType.header) throw new RecordingError("no header at its start");
		switch (block.type) {
			case BlockType.header: {
				const header = parseHeader(json(block));
				return () => {
					this.#header = header;
					this.#sink.header?.(header);
				};
			}
			case BlockType.source: {
				const fields = new Fields(json(block));
				this.#sources.set(fields.integer("number", 0xffff), fields.text("id") as SourceId);
				return nothing;
			}
			case BlockType.call: {
				const call = parseCall(json(block));
				return call === null ? nothing : this.#tell(call);
			}
			case BlockType.tuples:
				this.#tuples.learn(block.body);
				return nothing;
			case BlockType.outers:
				this.#outers.learn(block.body);
				return nothing;
			case BlockType.sightings:
				return this.#rows(block);
			case BlockType.snapshot: {
				const fields = new Fields(json(block));
				const kind = fields.text("kind");
				return () => this.#sink.snapshot?.(kind, (fields.value("value") ?? null) as Json);
			}
			case BlockType.end:
				this.#ended = true;
				return nothing;
			default:
				return nothing; // of a later minor version
		}
	}

	#tell(call: Call): () => void {
		const sink = this.#sink;
		const source = this.#source(call.source);
		switch (call.call) {
			case "hook":
				this.#hooks.set(call.hook.id, call.hook);
				return () => sink.hook(source, call.hook, call.sinceNs);
			case "unhook": {
				const hook = this.#hooks.get(call.hook.id) ?? call.hook;
				return () => sink.unhook(source, hook);
			}
			case "lost":
				return () => sink.lost(source, call.cause, call.count);
			case "watermark":
				return () => sink.watermark(source, call.timeNs);
			case "clock":
				return () => sink.clock(source, { offsetNs: call.offsetNs, errorNs: call.errorNs });
			case "drop":
				return () => sink.drop?.(source, call.drop);
			case "end":
				return () => sink.end(source);
		}
	}

	#rows(block: Block): () => void {
		const decoded = decodeRows(block.body);
		const source = this.#source(decoded.source);
		const { rows } = decoded;
		if (rows.tuple.includes(0)) throw new RecordingError("a sighting has no tuple");
		const tunnelled = rows.outer.slice(0, rows.count);
		const refused = this.#tuples.resolve(rows.tuple, rows.count) + this.#outers.resolve(rows.outer, rows.count);
		const named = refused === 0 ? rows : withNames(rows, tunnelled);
		const dropped = rows.count - named.count;
		this.#batches++;
		this.#sightings += named.count;
		this.#dropped += dropped;
		return () => {
			if (dropped > 0) this.#sink.lost(source, "tupleTableFull", dropped);
			this.#sink.batch(source, named);
		};
	}

	#source(number: number): SourceId {
		const source = this.#sources.get(number);
		if (source === undefined) throw new RecordingError(`source ${number} was never introduced`);
		return source;
	}
}

/** The rows whose tuple, and whose outer header where they were tunnelled, have an id. */
function withNames(rows: Sightings, tunnelled: Uint32Array): Sightings {
	const named = allocateSightings(rows.count);
	for (let i = 0; i < rows.count; i++) {
		if (rows.tuple[i] === 0 || (tunnelled[i] !== 0 && rows.outer[i] === 0)) continue;
		copyRow(rows, i, named, named.count);
		named.count++;
	}
	return named;
}

function parseHeader(value: unknown): RecordingHeader {
	const fields = new Fields(value);
	return {
		weft: fields.text("weft"),
		createdAt: fields.text("createdAt"),
		anonymized: fields.boolean("anonymized"),
		details: (fields.value("details") ?? null) as Json,
	};
}

function json(block: Block): unknown {
	return JSON.parse(Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength).toString());
}

/** What `body` returns, or what is wrong with the block. */
function understood(body: () => () => void): (() => void) | string {
	try {
		return body();
	} catch (error) {
		if (error instanceof RangeError || error instanceof SyntaxError || error instanceof RecordingError)
			return error.message;
		throw error;
	}
}

function nothing(): void {}
