import type { PathMemo } from "../filter/path-memo.js";
import type { Counters } from "../kernel/counters.js";
import type { Hook } from "../packet/hook.js";
import { OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import { TupleTable } from "../packet/tuples.js";
import { Joiner } from "../path/joiner.js";
import type { DropReport } from "../path/judgement.js";
import type { PathView } from "../path/path-view.js";
import type { Wiring } from "../wiring/model.js";
import type { Cluster } from "./cluster.js";
import { Expectations } from "./expectations.js";
import { FlowCount } from "./flow-count.js";
import { inlineDeeply } from "./inlining.js";
import { traceLedger, UNPARSEABLE } from "./ledger.js";
import { exactTest } from "./plan.js";
import type { Second } from "./protocol.js";
import type { Question } from "./question.js";
import type { Summary } from "./report.js";
import { TableUpkeep } from "./table-upkeep.js";
import { Thinning } from "./thin.js";
import { VerdictCount } from "./verdict-count.js";
import { ViewFaces } from "./view-faces.js";

export interface PipelineOptions {
	/** A path is for each of them, or for nobody. */
	readonly questions: readonly Question[];
	/** Every path comes out; else only those that deserve a row. */
	readonly everyPath: boolean;
	/** Paths are neither told nor counted before `begin`: those that end while hooks still go on are no part of a trace. */
	readonly awaitsBegin?: boolean;
	/** Gets every batch back when its rows were read. */
	readonly release?: (rows: Sightings) => void;
	/** A path, or a revision of one, that deserves a row. The view is used again: copy what is kept. */
	readonly path: (view: PathView) => void;
	/** Every path that is for them, whether it deserves a row or not; before `path`. */
	readonly seen?: (view: PathView) => void;
	/** A tuple's id was retired and may name another from now on. */
	readonly forget?: (tuple: number) => void;
}

/** More are not open or remembered at any rate that a node's hooks keep up with, unless they wait for what is lost. */
const RESERVED_PATHS = 2 ** 16;

/** What is known only where the events come from. */
export interface Totals {
	readonly durationMs: number;
	/** On when the trace began. */
	readonly hooks: number;
	readonly kernel: Counters;
	/** Records taken out of the rings. */
	readonly drained: number;
	/** Paths that were to go out, and those that a slow reader had no room for. */
	readonly offered: number;
	readonly unsent: number;
}

/**
 * Sources → Joiner → exact filter → what deserves a row. Knows neither where sightings come from nor who reads the paths:
 * a live trace and a replay of its recording are the same pipeline, and so give the same paths.
 */
export class Pipeline {
	/** Of the ids in the rows that are given to `sink`. */
	readonly tuples = new TupleTable();
	readonly outers = new OuterTable();
	/** Takes what Sources say. */
	readonly sink: SourceSink;
	readonly #options: PipelineOptions;
	readonly #expectations = new Expectations();
	readonly #joiner: Joiner;
	readonly #upkeep: TableUpkeep;
	readonly #hooks = new Map<number, Hook>();
	readonly #thinning = new Thinning();
	readonly #verdicts = new VerdictCount();
	readonly #flows = new FlowCount(this.tuples);
	/* Written once, see ViewFaces. */
	declare private readonly faces: ViewFaces;
	/** What `#placeName` is asked about: a closure of its own for each path would be garbage by the million. */
	#shown: PathView | null = null;
	readonly #placeName = () => this.#placeOf(this.#shown);
	#begun: boolean;
	/** One a question; none before the world is known. */
	#tests: readonly PathMemo[] | null = null;

	constructor(options: PipelineOptions) {
		inlineDeeply();
		this.#options = options;
		this.#begun = options.awaitsBegin !== true;
		const { tuples, outers } = this;
		this.#joiner = new Joiner(
			{
				tuples,
				outers,
				expectation: this.#expectations,
				limits: { reservedPaths: RESERVED_PATHS },
				...(options.release && { release: options.release }),
			},
			{ path: (view) => this.#path(view), revise: (view) => this.#revise(view) },
		);
		this.faces = new ViewFaces(tuples, this.#joiner.view);
		const forget = (id: number) => {
			this.#joiner.forgetTuple(id);
			this.#flows.forget(id);
			for (const memo of this.#tests ?? []) memo.forget();
		};
		this.#upkeep = new TableUpkeep(tuples, outers, forget, () => this.#joiner.keepIds());
		this.sink = this.#listening(this.#joiner);
	}

	/** Something came, went or changed: from now on this is where packets are due, and what the ENDs' names mean. */
	world(wirings: readonly Wiring[], cluster: Cluster): void {
		this.#expectations.update(wirings, cluster);
		const hookOf = (id: number) => this.#hooks.get(id) ?? null;
		this.#tests = this.#options.questions.map((question) => exactTest(question, cluster, hookOf));
	}

	/** The kernel threw away what this pointer carried: the end of its path, or a revision of it. */
	drop(source: SourceId, report: DropReport): void {
		this.#joiner.drop(source, report);
	}

	/** The paths of the second that is over and got no row. */
	second(): Second {
		const { alike, latency, lost } = this.#thinning.take();
		return { alike, latency, lost };
	}

	/** All hooks are on: paths that end from now on are told. */
	begin(): void {
		this.#begun = true;
	}

	/** Judges what is open. */
	finish(): void {
		this.#joiner.flush();
	}

	summary({ durationMs, hooks, kernel, drained, offered, unsent }: Totals): Summary {
		const accounts = this.#joiner.counters();
		return {
			type: "summary",
			durationMs: Math.round(durationMs),
			flows: this.#flows.count,
			hooks,
			paths: this.#verdicts.counts,
			blames: this.#verdicts.blames(),
			events: {
				seen: accounts.seen,
				joined: accounts.joined,
				unjoined: { ...accounts.unjoined },
				lost: { ...accounts.lost },
			},
			kernel: {
				seen: kernel.seen,
				matched: kernel.matched,
				emitted: kernel.emitted,
				ringFull: kernel.ringFull,
				unparseable: Object.fromEntries(UNPARSEABLE.map((cause, i) => [cause, kernel.unparseable[i + 1] ?? 0])),
			},
			ledger: traceLedger({ kernel, drained, accounts, offered, unsent }),
		};
	}

	#listening(joiner: Joiner): SourceSink {
		return {
			hook: (id, hook, sinceNs) => {
				this.#hooks.set(hook.id, hook);
				this.#expectations.hook(hook);
				joiner.hook(id, hook, sinceNs);
			},
			unhook: (id, hook) => {
				this.#expectations.unhook(hook);
				joiner.unhook(id, hook);
			},
			batch: (id, rows) => joiner.batch(id, rows),
			lost: (id, cause, count) => joiner.lost(id, cause, count),
			watermark: (id, timeNs) => {
				joiner.watermark(id, timeNs);
				this.#upkeep.tick(timeNs);
			},
			clock: (id, clock) => joiner.clock(id, clock),
			end: (id) => joiner.end(id),
		};
	}

	#path(view: PathView): void {
		if (this.#tests === null) return;
		for (const memo of this.#tests) if (!memo.test(this.faces)) return;
		const { verdict } = view;
		this.#options.seen?.(view);
		if (!this.#begun) return;
		this.#flows.path(view);
		this.#shown = view;
		this.#verdicts.add(view.serial, verdict, this.#placeName);
		if (this.#options.everyPath || this.#thinning.offer(verdict, view.tcpFlags, view.latencyNs)) {
			this.#options.path(view);
		}
	}

	#revise(view: PathView): void {
		this.#shown = view;
		if (!this.#verdicts.revise(view.serial, view.verdict, this.#placeName)) return;
		this.#options.path(view);
	}

	#placeOf(view: PathView | null): string {
		const hook = view === null ? undefined : this.#hooks.get(view.hook(view.hopCount - 1));
		return hook === undefined ? "" : `${hook.device}→${hook.direction === "egress" ? "e" : "i"} @${hook.node}`;
	}
}
