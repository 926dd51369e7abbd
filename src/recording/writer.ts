import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Hook } from "../packet/hook.js";
import { OUTER_WORDS, type OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { LossCause, SourceClock, SourceId, SourceSink } from "../packet/source.js";
import { TUPLE_WORDS, type TupleTable } from "../packet/tuples.js";
import type { Anonymizer } from "./anonymizer.js";
import { encodeBlock, encodePreamble } from "./blocks.js";
import type { Call, RecordedDrop } from "./calls.js";
import { DictionaryWriter, type LiveTable } from "./dictionary.js";
import { BlockType, type Json, type RecordingHeader, type RecordingTotals } from "./format.js";
import { encodeRows, MAX_ROWS } from "./rows.js";

export interface WriterOptions {
	/** Deflate (level 1) each block: two fifths of the size, for some 400 ns a sighting. Default: false. */
	readonly deflate?: boolean;
	/** Replace addresses and names before they are written. Default: null, nothing is replaced. */
	readonly anonymizer?: Anonymizer | null;
	/** Bytes that may wait for a slow disk or pipe; beyond it batches are dropped and counted. Default: 64 MiB. */
	readonly queueBytes?: number;
	/** Leave the stream open at the end: standard output. Default: false. */
	readonly leaveOpen?: boolean;
}

/**
 * Writes what a Source calls, beside whoever else listens to it. Nothing waits for the disk: what it cannot take is
 * counted in `totals.dropped` and recorded as `lost` with cause queueFull, so that a replay knows as well.
 * Rows are copied during the call: the batch may be changed or transferred after it.
 */
export class RecordingWriter implements SourceSink {
	readonly #out: Writable;
	readonly #anonymizer: Anonymizer | null;
	readonly #deflate: boolean;
	readonly #queueBytes: number;
	readonly #leaveOpen: boolean;
	readonly #tuples: DictionaryWriter;
	readonly #outers: DictionaryWriter;
	readonly #sources = new Map<SourceId, number>();
	/** Dropped rows that the recording does not tell of yet. */
	readonly #untold = new Map<SourceId, number>();
	#batches = 0;
	#sightings = 0;
	#dropped = 0;
	#failure: Error | null = null;

	/** @param out its errors are reported by `finish`, which ends it  @param tables those of the batches' ids */
	constructor(
		out: Writable,
		tables: { readonly tuples: TupleTable; readonly outers: OuterTable },
		header: Omit<RecordingHeader, "anonymized">,
		options: WriterOptions = {},
	) {
		this.#out = out;
		this.#deflate = options.deflate ?? false;
		this.#queueBytes = options.queueBytes ?? 64 * 1024 * 1024;
		this.#leaveOpen = options.leaveOpen ?? false;
		const anonymizer = options.anonymizer ?? null;
		this.#anonymizer = anonymizer;
		this.#tuples = dictionary(tables.tuples, 2, TUPLE_WORDS, anonymizer);
		this.#outers = dictionary(tables.outers, 1, OUTER_WORDS, anonymizer);
		out.on("error", (error: Error) => {
			this.#failure ??= error;
		});
		out.write(encodePreamble());
		const details = anonymizer?.json(header.details) ?? header.details;
		this.#json(BlockType.header, { ...header, details, anonymized: anonymizer !== null });
	}

	/** So far. */
	get totals(): RecordingTotals {
		return { batches: this.#batches, sightings: this.#sightings, dropped: this.#dropped };
	}

	/** Keeps what is needed to name the sightings: wiring, pods, services … as they are now. Plain JSON, arrays not maps. */
	snapshot(kind: string, value: Json): void {
		const body = Buffer.from(JSON.stringify({ kind, value: this.#anonymizer?.json(value) ?? value }));
		// Few and repetitive: a tenth of the size for nothing.
		this.#block(BlockType.snapshot, body, true);
	}

	hook(source: SourceId, hook: Hook, sinceNs?: number): void {
		const call = { call: "hook", source: this.#source(source), hook: this.#anonymizer?.hook(hook) ?? hook } as const;
		this.#call(sinceNs === undefined ? call : { ...call, sinceNs });
	}

	unhook(source: SourceId, hook: Hook): void {
		this.#call({ call: "unhook", source: this.#source(source), hook: this.#anonymizer?.hook(hook) ?? hook });
	}

	/** @throws RangeError for more than MAX_ROWS rows: no source has such batches */
	batch(source: SourceId, rows: Sightings): void {
		if (rows.count > MAX_ROWS) throw new RangeError(`a batch of ${rows.count} rows is over ${MAX_ROWS}`);
		const number = this.#source(source);
		if (this.#isFull()) {
			this.#miss(source, rows.count);
			return;
		}
		this.#tellDropped();
		const tuple = this.#tuples.number(rows.tuple, rows.count);
		const outer = this.#outers.number(rows.outer, rows.count);
		this.#block(BlockType.tuples, this.#tuples.describe());
		this.#block(BlockType.outers, this.#outers.describe());
		this.#block(BlockType.sightings, encodeRows(number, rows, { tuple, outer }));
		this.#batches++;
		this.#sightings += rows.count;
	}

	/** Nothing lost is nothing said: sources tell it many times a second. */
	lost(source: SourceId, cause: LossCause, count: number): void {
		if (count === 0) return;
		this.#call({ call: "lost", source: this.#source(source), cause, count });
	}

	watermark(source: SourceId, timeNs: number): void {
		this.#tellDropped();
		this.#call({ call: "watermark", source: this.#source(source), timeNs });
	}

	/** Of an anonymized recording the words are left out: they are prose, and name who it was. */
	drop(source: SourceId, drop: RecordedDrop): void {
		const number = this.#source(source);
		if (this.#isFull()) {
			// Whatever became of that packet, the recording does not know.
			this.#miss(source, 1);
			return;
		}
		const told = this.#anonymizer === null ? drop : { ...drop, words: null, remedy: null };
		this.#call({ call: "drop", source: number, drop: told });
	}

	clock(source: SourceId, clock: SourceClock): void {
		const { offsetNs, errorNs } = clock;
		this.#call({ call: "clock", source: this.#source(source), offsetNs, errorNs });
	}

	end(source: SourceId): void {
		this.#tellDropped();
		this.#call({ call: "end", source: this.#source(source) });
	}

	/** Ends the file. Rejects with the stream's error when it was not written whole. */
	async finish(): Promise<RecordingTotals> {
		this.#tellDropped();
		this.#json(BlockType.end, { ...this.totals });
		if (this.#failure !== null) throw this.#failure;
		if (this.#leaveOpen) {
			await new Promise<void>((written, failed) => {
				this.#out.write("", (error) => (error ? failed(error) : written()));
			});
		} else {
			this.#out.end();
			await finished(this.#out);
		}
		return this.totals;
	}

	#source(source: SourceId): number {
		let number = this.#sources.get(source);
		if (number === undefined) {
			number = this.#sources.size;
			this.#sources.set(source, number);
			this.#json(BlockType.source, { number, id: this.#anonymizer?.source(source) ?? source });
		}
		return number;
	}

	#isFull(): boolean {
		return this.#out.writableLength > this.#queueBytes || this.#failure !== null;
	}

	#miss(source: SourceId, count: number): void {
		this.#dropped += count;
		this.#untold.set(source, (this.#untold.get(source) ?? 0) + count);
	}

	/** Before the next watermark passes them. */
	#tellDropped(): void {
		for (const [source, count] of this.#untold) this.lost(source, "queueFull", count);
		this.#untold.clear();
	}

	#call(call: Call): void {
		this.#json(BlockType.call, call);
	}

	#json(type: BlockType, value: object): void {
		this.#block(type, Buffer.from(JSON.stringify(value)));
	}

	#block(type: BlockType, body: Uint8Array | null, deflate = this.#deflate): void {
		if (body === null || this.#failure !== null) return;
		for (const bytes of encodeBlock(type, body, deflate)) this.#out.write(bytes);
	}
}

function dictionary(
	table: LiveTable,
	addresses: 1 | 2,
	words: number,
	anonymizer: Anonymizer | null,
): DictionaryWriter {
	if (anonymizer === null) return new DictionaryWriter(table, addresses, words, null);
	return new DictionaryWriter(table, addresses, words, (entry, at) => {
		for (let i = 0; i < addresses; i++) anonymizer.rewriteWords(entry, at + i * 4);
	});
}
