import { randomBytes } from "node:crypto";
import { addon } from "../kernel/addon.js";
import { addCounters, noCounters } from "../kernel/counters.js";
import { KernelError } from "../kernel/error.js";
import { fanOut } from "../packet/fanout.js";
import type { HookId } from "../packet/hook.js";
import type { Sightings } from "../packet/sightings.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import type { DropReport } from "../path/judgement.js";
import type { JoinedPath, PathView } from "../path/path-view.js";
import type { Wiring } from "../wiring/model.js";
import { DropWatermark } from "./drop-watermark.js";
import { explained, type Words, wordsOf } from "./explained.js";
import { LocalSource } from "./local-source.js";
import { Pipeline } from "./pipeline.js";
import { type NodePlan, type Plan, planFor } from "./plan.js";
import type { FromWorker, WorkerOptions, World } from "./protocol.js";
import type { Recorder } from "./recorder.js";
import type { Summary } from "./report.js";
import type { TraceDrops } from "./trace-drops.js";

/** Records that are decoded and joined before the next: few enough to stay in the cache. A recording has a block for each. */
const PIECE_RECORDS = 512;
/** Paths that go up in one message at the most. */
const PATHS_A_MESSAGE = 512;
/** Paths that may be on their way up; what comes beyond is counted as lost to a slow reader. */
const MOST_UNREAD = 16_384;

/**
 * A trace in the worker: sources → pipeline → what goes up, and a recording beside it. The world is given from outside and may
 * change at any time; hooks, filters and expectations follow it.
 */
export class Tracer {
	readonly #options: WorkerOptions;
	readonly #send: (message: FromWorker) => void;
	readonly #pipeline: Pipeline;
	#recorder: Recorder | null = null;
	readonly #sources = new Map<string, LocalSource>();
	readonly #fingerprints = new Map<string, string>();
	readonly #drops = new Map<string, TraceDrops>();
	readonly #watermark = new DropWatermark((id, timeNs) => {
		this.#recorder?.watermark(id, timeNs);
		this.#pipeline.sink.watermark(id, timeNs);
		this.#flushSoon();
	});
	/** Paths that wait for more words on why they ended: each is told once, with the words or without. */
	readonly #explaining = new Set<JoinedPath>();
	readonly #clock = addon().clocks();
	readonly #hashSalt = randomBytes(8).readBigUInt64LE();
	#started = 0;
	#nextHookId = 0;
	#batchOwner = new Map<Sightings, LocalSource>();
	#unsent: JoinedPath[] = [];
	#flushing = false;
	#unread = 0;
	#offered = 0;
	#unsentLost = 0;
	#second: NodeJS.Timeout | null = null;
	#hooksOnce = 0;
	#begun = false;

	/**
	 * Prepares what does not depend on the world: rings and maps take their time.
	 * @throws KernelError when nothing can be traced
	 */
	constructor(options: WorkerOptions, send: (message: FromWorker) => void) {
		this.#options = options;
		this.#send = send;
		this.#pipeline = new Pipeline({
			questions: [options.question],
			everyPath: options.everyPath,
			awaitsBegin: true,
			release: (rows) => this.#release(rows),
			path: (view) => this.#offer(view),
		});
		const [only, ...more] = options.nodes;
		// Of several nodes a pair may need one; and a recording, which hears sources from the start, begins with the world.
		if (only !== undefined && more.length === 0 && options.record === null) this.#open(only, 1);
	}

	/**
	 * The first world begins the trace; with later ones something came, went or changed. Calls wait for one another: give
	 * them one by one.
	 * @throws KernelError when nothing can be traced, RecordingError when the recording cannot be written
	 */
	async world(world: World): Promise<void> {
		if (this.#begun) {
			await this.#follow(world);
			return;
		}
		this.#begun = true;
		this.#started = performance.now();
		const { record, question, sample } = this.#options;
		const { monotonicNs, realtimeNs } = this.#clock;
		if (record !== null) {
			const { Recorder } = await import("./recorder.js");
			this.#recorder = new Recorder(record, this.#pipeline, { question, sample, wallClockBase: realtimeNs });
		}
		await this.#follow(world);
		const hooks = [...this.#sources.values()].flatMap((source) => source.hooks);
		this.#hooksOnce = hooks.length;
		this.#pipeline.begin();
		this.#recorder?.ready(hooks.length);
		this.#send({ kind: "ready", hooks, wallClockBase: realtimeNs, monotonicBase: monotonicNs });
		this.#second = setInterval(() => this.#tellSecond(), 1000);
	}

	/** The main thread has taken so many paths. */
	credit(paths: number): void {
		this.#unread -= paths;
	}

	/** Takes the hooks away, judges what is open and says what it was. */
	async stop(): Promise<Summary> {
		if (this.#second !== null) clearInterval(this.#second);
		const durationMs = performance.now() - this.#started;
		const kernel = noCounters();
		let drained = 0;
		for (const source of this.#sources.values()) {
			addCounters(kernel, (await source.stop()).total);
			drained += source.drained;
		}
		await Promise.all([...this.#drops.values()].map((drops) => drops.stop()));
		this.#pipeline.finish();
		for (const path of this.#explaining) this.#queue(path);
		this.#explaining.clear();
		this.#flushPaths();
		this.#tellSecond();
		const known = { durationMs, hooks: this.#hooksOnce, kernel, drained };
		for (const line of (await this.#recorder?.finish(known)) ?? []) this.#send({ kind: "warning", line });
		return this.#pipeline.summary({ ...known, offered: this.#offered, unsent: this.#unsentLost });
	}

	async #follow(world: World): Promise<void> {
		const plan = planFor(this.#options.question, world);
		const wirings = world.nodes.map(({ wiring }) => wiring);
		if (this.#recorder !== null) {
			this.#flushPaths();
			this.#recorder.world(world);
			this.#send({ kind: "inForce", names: world.names ?? [], wirings });
		}
		this.#pipeline.world(wirings, world.cluster);
		await Promise.all(plan.nodes.map((node) => this.#followNode(node, plan)));
		for (const { name, wiring } of world.nodes) this.#drops.get(name)?.world(wiring);
	}

	async #followNode(node: NodePlan, plan: Plan): Promise<void> {
		const name = node.wiring.node;
		const source = this.#sources.get(name) ?? this.#open(name, plan.nodes.length);
		const known = this.#fingerprints.get(name);
		const [lines] = await Promise.all([
			source.watch(node.sites, node.filterOf),
			this.#drops.has(name) ? undefined : this.#watchDrops(source, node.wiring),
		]);
		this.#fingerprints.set(name, node.fingerprint);
		// Verifying all programs anew takes its time: what is new on the node is hooked before.
		if (known !== undefined && known !== node.fingerprint) await source.refilter(node.filterOf);
		for (const line of lines) this.#send({ kind: "warning", line });
	}

	async #watchDrops(source: LocalSource, wiring: Wiring): Promise<void> {
		const drop = (id: SourceId, report: DropReport) => {
			this.#recorder?.drop(id, report);
			this.#pipeline.drop(id, report);
		};
		const watermark = (id: SourceId, timeNs: number) => {
			this.#watermark.drops(id, timeNs);
			source.wantUntil(timeNs);
		};
		const { id, slotAccess: slots, node } = source;
		const { monotonicNs: baseNs } = this.#clock;
		// Imported here, while hooks are being attached: they wait for the kernel, this thread would for nothing.
		const { TraceDrops } = await import("./trace-drops.js");
		try {
			this.#drops.set(node, await TraceDrops.begin({ source: id, slots, wiring, baseNs, drop, watermark }));
		} catch (cause) {
			if (!(cause instanceof KernelError)) throw cause;
			this.#send({ kind: "warning", line: `drops are not told: ${cause.message}` });
		}
	}

	#open(node: string, nodes: number): LocalSource {
		const { attach, sample, ringBytes } = this.#options;
		const { tuples, outers } = this.#pipeline;
		const source: LocalSource = new LocalSource(
			{
				id: node as SourceId,
				node,
				attach,
				ringBytes: ringBytes ?? (nodes > 1 ? 8 << 20 : null),
				sample,
				hashSalt: this.#hashSalt,
				tuples,
				outers,
				baseNs: this.#clock.monotonicNs,
				...(this.#options.record === null && { pieceRecords: PIECE_RECORDS }),
				nextHookId: () => this.#nextHookId++ as HookId,
			},
			this.#sinkOf(() => source),
		);
		this.#sources.set(node, source);
		return source;
	}

	/** The pipeline, what is told along the way, and the recording beside it. */
	#sinkOf(source: () => LocalSource): SourceSink {
		const { sink } = this.#pipeline;
		const telling: SourceSink = {
			...sink,
			hook: (id, hook, sinceNs) => {
				sink.hook(id, hook, sinceNs);
				this.#send({ kind: "hook", added: true, hook });
			},
			unhook: (id, hook) => {
				sink.unhook(id, hook);
				this.#send({ kind: "hook", added: false, hook });
			},
			batch: (id, rows) => {
				this.#batchOwner.set(rows, source());
				sink.batch(id, rows);
			},
			watermark: (id, timeNs) => this.#watermark.sightings(id, timeNs),
		};
		return this.#recorder === null ? telling : fanOut([this.#recorder.witness], telling);
	}

	#release(rows: Sightings): void {
		const owner = this.#batchOwner.get(rows);
		this.#batchOwner.delete(rows);
		owner?.release(rows);
	}

	#offer(view: PathView): void {
		this.#offered++;
		if (this.#unread >= MOST_UNREAD) {
			this.#unsentLost++;
			return;
		}
		this.#unread++;
		const path = view.toPath();
		if (path.blame?.ticket === undefined) this.#queue(path);
		else this.#explain(path, path.blame.ticket);
	}

	#queue(path: JoinedPath): void {
		this.#unsent.push(path);
		if (this.#unsent.length >= PATHS_A_MESSAGE) this.#flushPaths();
	}

	/** A dropped path goes up when more is known of why, or when the trace ends. */
	#explain(path: JoinedPath, ticket: number): void {
		const asked = [...this.#drops.values()].map((drops) => drops.explain(ticket));
		const answer = Promise.all(asked).then((answers) => answers.find((judged) => judged !== null) ?? null);
		const tell = (words: Words | null) => {
			if (!this.#explaining.delete(path)) return;
			this.#recorder?.explained(path, words);
			this.#queue(explained(path, words));
		};
		this.#explaining.add(path);
		answer.then(
			(judged) => tell(judged && { reason: wordsOf(judged), remedy: judged.remedy }),
			() => tell(null),
		);
	}

	/** Once for all that this turn of the loop brings. */
	#flushSoon(): void {
		if (this.#flushing || this.#unsent.length === 0) return;
		this.#flushing = true;
		queueMicrotask(() => {
			this.#flushing = false;
			this.#flushPaths();
		});
	}

	#flushPaths(): void {
		if (this.#unsent.length === 0) return;
		this.#send({ kind: "paths", paths: this.#unsent });
		this.#unsent = [];
	}

	#tellSecond(): void {
		this.#send({ kind: "second", report: this.#pipeline.second() });
	}
}
