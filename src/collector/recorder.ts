import type { Counters } from "../kernel/counters.js";
import type { OuterTable } from "../packet/outers.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import type { TupleTable } from "../packet/tuples.js";
import type { DropReport } from "../path/judgement.js";
import type { JoinedPath } from "../path/path-view.js";
import { Anonymizer } from "../recording/anonymizer.js";
import { recordTo } from "../recording/file.js";
import type { Json } from "../recording/format.js";
import type { RecordingWriter } from "../recording/writer.js";
import type { Words } from "./explained.js";
import type { RecordRequest, World } from "./protocol.js";
import type { Question } from "./question.js";
import { globsIn, recordQuestion } from "./recorded-question.js";

/** What a recording says of its trace from the start. */
export interface Beginning {
	readonly question: Question;
	readonly sample: number;
	/** Wall clock at 0 of the sightings' time, ns since 1970. */
	readonly wallClockBase: bigint;
}

/** What a recording says of its trace at its end. */
export interface Ending {
	readonly durationMs: number;
	readonly hooks: number;
	readonly kernel: Counters;
	readonly drained: number;
}

/**
 * A recording beside a trace: the sightings by `witness`, and as snapshots in between, where they became true, the world
 * that says where packets were due and who was who. Kinds: `wiring` (one node's), `cluster`, `names`, `world` (the nodes
 * watched: the three before are in force from here on), `ready`, `explained`, `totals`.
 */
export class Recorder {
	/** Hears what Sources say before anybody else does, but for watermarks: see `watermark`. */
	readonly witness: SourceSink;
	readonly #writer: RecordingWriter;
	readonly #file: string;
	readonly #anonymize: boolean;
	/** What was written last, by kind and node: a world is mostly as it was. */
	readonly #written = new Map<string, string>();

	/** @throws RecordingError when the file cannot be written */
	constructor(
		{ file, anonymize, weft }: RecordRequest,
		tables: { readonly tuples: TupleTable; readonly outers: OuterTable },
		{ question, sample, wallClockBase }: Beginning,
	) {
		const details = { question: recordQuestion(question), sample, wallClockBase: String(wallClockBase) };
		const createdAt = new Date(Number(wallClockBase / 1_000_000n)).toISOString();
		const anonymizer = anonymize ? new Anonymizer(undefined, globsIn(question)) : null;
		this.#file = file;
		this.#anonymize = anonymize;
		this.#writer = recordTo(file, tables, { weft, createdAt, details }, { anonymizer });
		const writer = this.#writer;
		this.witness = {
			hook: (id, hook, sinceNs) => writer.hook(id, hook, sinceNs),
			unhook: (id, hook) => writer.unhook(id, hook),
			batch: (id, rows) => writer.batch(id, rows),
			lost: (id, cause, count) => writer.lost(id, cause, count),
			watermark() {},
			clock: (id, clock) => writer.clock(id, clock),
			end: (id) => writer.end(id),
		};
	}

	/** As far as the Joiner may read on: sightings and drops are complete. */
	watermark(source: SourceId, timeNs: number): void {
		this.#writer.watermark(source, timeNs);
	}

	drop(source: SourceId, report: DropReport): void {
		this.#writer.drop(source, { ...report, words: report.words ?? null, remedy: report.remedy ?? null });
	}

	/** A path that waited for words is told now, and not before. */
	explained({ serial, revision }: JoinedPath, words: Words | null): void {
		const said = this.#anonymize || words === null ? null : { reason: words.reason, remedy: words.remedy };
		this.#writer.snapshot("explained", { serial, revision, words: said });
	}

	world({ nodes, cluster, names }: World): void {
		for (const { name, wiring } of nodes) this.#changed("wiring", name, wiring);
		this.#changed("cluster", "", cluster);
		this.#changed("names", "", names);
		this.#writer.snapshot("world", { nodes: nodes.map(({ name }) => name) });
	}

	/** @param hooks on when the trace begins */
	ready(hooks: number): void {
		this.#writer.snapshot("ready", { hooks });
	}

	/** Ends the file. Returns a line for each thing that went wrong; the trace itself is none the worse. */
	async finish({ durationMs, hooks, kernel, drained }: Ending): Promise<readonly string[]> {
		this.#writer.snapshot("totals", { durationMs, hooks, drained, kernel: { ...kernel } });
		try {
			const { dropped } = await this.#writer.finish();
			return dropped === 0 ? [] : [`${this.#file} was too slow: ${dropped} sightings are not in the recording`];
		} catch (cause) {
			return [`${this.#file} is not whole: ${cause instanceof Error ? cause.message : String(cause)}`];
		}
	}

	#changed(kind: string, node: string, value: unknown): void {
		const text = JSON.stringify(value);
		const key = `${kind} ${node}`;
		if (this.#written.get(key) === text) return;
		this.#written.set(key, text);
		// Only plain data crosses to this thread: what was posted is JSON but for its type.
		this.#writer.snapshot(kind, value as Json);
	}
}
