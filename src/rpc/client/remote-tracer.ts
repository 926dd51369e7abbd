import { explained, type Words } from "../../collector/explained.js";
import { Pipeline } from "../../collector/pipeline.js";
import { type Ending, Recorder } from "../../collector/recorder.js";
import type { LedgerStage, Summary } from "../../collector/report.js";
import { FlowTable } from "../../flow/table.js";
import { noCounters } from "../../kernel/counters.js";
import { fanOut } from "../../packet/fanout.js";
import type { Hook, HookId } from "../../packet/hook.js";
import type { Sightings } from "../../packet/sightings.js";
import type { SourceId, SourceSink } from "../../packet/source.js";
import type { DropReport } from "../../path/judgement.js";
import type { JoinedPath, PathView } from "../../path/path-view.js";
import type { Wiring } from "../../wiring/model.js";
import type { StateMessage } from "../messages.js";
import { stageOf } from "../stage-message.js";
import { AwaitedWords } from "./awaited-words.js";
import { NodeClocks } from "./node-clocks.js";
import { PathMessages } from "./path-messages.js";
import type { FromRemoteWorker, RemoteWorkerOptions, RemoteWorld, StreamOrder, ToRemoteWorker } from "./protocol.js";
import { RemoteSource, stageCount } from "./remote-source.js";

/** Paths that go up in one message at the most. */
const PATHS_A_MESSAGE = 512;
/** Paths that may be on their way up; what comes beyond is counted as lost to a slow reader. */
const MOST_UNREAD = 16_384;

/** A trace by agents in the worker: their bytes → Sources → pipeline → what goes up. Needs neither root nor addon. */
export class RemoteTracer {
	readonly #options: RemoteWorkerOptions;
	readonly #send: (message: FromRemoteWorker) => void;
	readonly #pipeline: Pipeline;
	readonly #flows: FlowTable | null;
	readonly #messages: PathMessages | null;
	readonly #recorder: Recorder | null;
	/** What every source tells. */
	readonly #sink: SourceSink;
	readonly #sources = new Map<string, RemoteSource>();
	readonly #hooks = new Map<number, Hook>();
	readonly #batchOwner = new Map<Sightings, RemoteSource>();
	/** Streams that the trace waits for before it is ready. */
	readonly #awaited: Set<string>;
	readonly #clocks: NodeClocks;
	readonly #started = performance.now();
	#wirings: readonly Wiring[];
	#isReady = false;
	#nextHookId = 0;
	#nextTicket = 0;
	readonly #awaitedWords = new AwaitedWords((path, words) => this.#tellExplained(path, words));
	#hooksOnce = 0;
	#unsent: JoinedPath[] = [];
	/** Paths, or messages, that go up next. */
	#waiting = 0;
	#unread = 0;
	#offered = 0;
	#unsentLost = 0;
	#unsentTold = 0;
	#second: NodeJS.Timeout | null = null;

	constructor(options: RemoteWorkerOptions, send: (message: FromRemoteWorker) => void) {
		const { question, everyPath, output, record, sample, world, wallClockBase, sources } = options;
		this.#options = options;
		this.#send = send;
		this.#wirings = world.wirings;
		this.#pipeline = new Pipeline({
			questions: [question],
			everyPath: everyPath || output === "flows",
			// A flow is known from its first packet on, whoever else is still awaited.
			awaitsBegin: output !== "flows",
			release: (rows) => this.#release(rows),
			path: (view) => this.#path(view),
			seen: (view) => this.#clocks.seen(view),
			forget: (tuple) => this.#flows?.forgetTuple(tuple),
		});
		const { tuples, outers } = this.#pipeline;
		this.#flows =
			output === "flows"
				? new FlowTable({
						...{ tuples, outers, wallClockBase },
						idPrefix: `${wallClockBase.toString(36)}-`,
						hook: (id) => this.#hookOf(id),
						tunnelAddress: (hook) => this.#tunnelAddress(hook),
					})
				: null;
		this.#messages = output === "messages" ? new PathMessages(wallClockBase, this.#hooks) : null;
		this.#clocks = new NodeClocks((id) => this.#hookOf(id));
		this.#recorder = record && new Recorder(record, this.#pipeline, { question, sample, wallClockBase });
		this.#sink = this.#recorder === null ? this.#telling() : fanOut([this.#recorder.witness], this.#telling());
		this.#world(world);
		this.#awaited = new Set(sources.map(({ key }) => key));
		for (const source of sources) this.#open(source, true);
		this.#readyWhenAll();
	}

	/** @returns when everything was told: after it was stopped */
	hear(message: ToRemoteWorker): void | Promise<void> {
		switch (message.kind) {
			case "world":
				this.#world(message.world);
				return;
			case "open":
				this.#open(message.source, false);
				return;
			case "bytes":
				this.#bytes(message.key, message.bytes);
				return;
			case "clock":
				this.#clocks.read(message.node, message.reading);
				return;
			case "broken":
				this.#broken(message.key, message.why);
				return;
			case "credit":
				this.#unread -= message.paths;
				return;
			case "stop":
				return this.#stop();
		}
	}

	#open({ key, node, clock }: StreamOrder, isFirst: boolean): void {
		const { tuples, outers } = this.#pipeline;
		const source: RemoteSource = new RemoteSource(
			{
				...{ id: key as SourceId, node, tuples, outers },
				lineBase: this.#options.wallClockBase,
				nextHookId: () => this.#nextHookId++ as HookId,
				onDrop: (_, report) => this.#drop(source.id, report),
				onWords: (ticket, words) => this.#awaitedWords.came(ticket, words),
				nextTicket: () => this.#nextTicket++,
				onReady: (_, state) => this.#sourceReady(key, source, state),
				onEnded: () => this.#send({ kind: "finished", key }),
			},
			this.#sink,
		);
		this.#sources.set(key, source);
		// Registers those that the trace begins with: rows wait until each of them has said how far it has come.
		if (isFirst) this.#sink.clock(source.id, { offsetNs: 0, errorNs: clock?.errorNs ?? 0 });
		this.#clocks.begin(source, clock);
	}

	#bytes(key: string, bytes: Uint8Array): void {
		const source = this.#sources.get(key);
		this.#send({ kind: "taken", key, bytes: bytes.length });
		if (source === undefined || source.isOver) return;
		try {
			source.hear(bytes);
		} catch (cause) {
			const why = cause instanceof Error ? cause.message : String(cause);
			this.#send({ kind: "warning", line: `${source.node} sends what cannot be read: ${why}` });
			this.#broken(key, why);
		}
	}

	#sourceReady(key: string, source: RemoteSource, state: StateMessage): void {
		// What an earlier epoch had hooked on the node is watched by this one now.
		for (const other of this.#sources.values()) {
			if (other === source || other.node !== source.node) continue;
			for (const hook of other.hooks.values()) this.#sink.unhook(other.id, hook);
			other.hooks.clear();
		}
		for (const line of state.warnings) this.#send({ kind: "warning", line });
		this.#awaited.delete(key);
		setImmediate(() => this.#readyWhenAll());
	}

	#broken(key: string, _why: string): void {
		const source = this.#sources.get(key);
		if (source === undefined || source.isOver) return;
		source.broken();
		this.#awaited.delete(key);
		this.#readyWhenAll();
	}

	#readyWhenAll(): void {
		if (this.#isReady || this.#awaited.size > 0) return;
		this.#isReady = true;
		const hooks = [...this.#sources.values()].flatMap((source) => [...source.hooks.values()]);
		this.#hooksOnce = hooks.length;
		this.#pipeline.begin();
		this.#recorder?.ready(hooks.length);
		const { wallClockBase } = this.#options;
		this.#send({ kind: "ready", hooks, wallClockBase, monotonicBase: 0n });
		this.#second = setInterval(() => this.#tellSecond(), 1000);
	}

	/** From here on this is where packets are due, and who is who. */
	#world({ wirings, cluster, names }: RemoteWorld): void {
		this.#flushPaths();
		this.#wirings = wirings;
		this.#messages?.world(names ?? [], wirings);
		if (this.#recorder !== null) {
			this.#recorder.world({ nodes: wirings.map((wiring) => ({ name: wiring.node, wiring })), cluster, names });
			this.#send({ kind: "inForce", names: names ?? [], wirings });
		}
		this.#pipeline.world(wirings, cluster);
	}

	#drop(source: SourceId, report: DropReport): void {
		this.#recorder?.drop(source, report);
		this.#pipeline.drop(source, report);
	}

	/** The pipeline, and what is told along the way. */
	#telling(): SourceSink {
		const { sink } = this.#pipeline;
		return {
			...sink,
			hook: (id, hook, sinceNs) => {
				this.#hooks.set(hook.id, hook);
				this.#messages?.hook(hook);
				sink.hook(id, hook, sinceNs);
				this.#send({ kind: "hook", added: true, hook });
			},
			unhook: (id, hook) => {
				sink.unhook(id, hook);
				this.#send({ kind: "hook", added: false, hook });
			},
			batch: (id, rows) => {
				// A source's id is its stream's key.
				const owner = this.#sources.get(id);
				if (owner !== undefined) this.#batchOwner.set(rows, owner);
				sink.batch(id, rows);
			},
			watermark: (id, timeNs) => {
				this.#recorder?.watermark(id, timeNs);
				sink.watermark(id, timeNs);
				this.#flushPaths();
			},
		};
	}

	#release(rows: Sightings): void {
		const owner = this.#batchOwner.get(rows);
		this.#batchOwner.delete(rows);
		owner?.release(rows);
	}

	#path(view: PathView): void {
		if (this.#flows !== null) {
			if (view.revision === 0) this.#flows.path(view);
			else this.#flows.revise(view);
			return;
		}
		this.#offered++;
		if (this.#unread >= MOST_UNREAD) {
			this.#unsentLost++;
			return;
		}
		this.#unread++;
		if (this.#messages !== null && !view.isBlamed) {
			this.#messages.add(view);
			this.#queued();
			return;
		}
		const path = view.toPath();
		if (path.blame?.ticket === undefined) this.#queue(path);
		else this.#awaitedWords.wait(path.blame.ticket, path);
	}

	/** A dropped path goes up when more is known of why, or when the trace ends. */
	#tellExplained(path: JoinedPath, words: Words | null): void {
		this.#recorder?.explained(path, words);
		this.#queue(explained(path, words));
	}

	#queue(path: JoinedPath): void {
		if (this.#messages === null) this.#unsent.push(path);
		else this.#messages.addJoined(path);
		this.#queued();
	}

	#queued(): void {
		this.#waiting++;
		if (this.#waiting >= PATHS_A_MESSAGE) this.#flushPaths();
	}

	#flushPaths(): void {
		if (this.#waiting === 0) return;
		this.#waiting = 0;
		if (this.#messages !== null) {
			this.#send({ kind: "messages", ...this.#messages.take() });
			return;
		}
		this.#send({ kind: "paths", paths: this.#unsent });
		this.#unsent = [];
	}

	#tellSecond(): void {
		const ends = [...this.#sources.values()].flatMap((source) => source.endPackets);
		this.#send({ kind: "second", report: this.#pipeline.second(), ends });
		if (this.#unsentLost > this.#unsentTold) {
			this.#unsentTold = this.#unsentLost;
			this.#send({ kind: "unsent", offered: this.#offered, unsent: this.#unsentLost });
		}
		const flows = this.#flows?.changes() ?? [];
		if (flows.length > 0) this.#send({ kind: "flows", flows });
	}

	async #stop(): Promise<void> {
		if (this.#second !== null) clearInterval(this.#second);
		const durationMs = performance.now() - this.#started;
		this.#pipeline.finish();
		this.#awaitedWords.end();
		this.#flushPaths();
		this.#tellSecond();
		const totals = this.#totals(durationMs);
		for (const line of (await this.#recorder?.finish(totals)) ?? []) this.#send({ kind: "warning", line });
		this.#send({ kind: "stopped", summary: this.#summary(totals) });
	}

	/** What the agents counted before anything came here. */
	#totals(durationMs: number): Ending {
		const sources = [...this.#sources.values()];
		const sum = (stage: string, side: "in" | "out") =>
			sources.reduce((total, { ledger }) => total + stageCount(ledger, stage, side), 0);
		const kernel = noCounters();
		kernel.seen = sum("filter", "in");
		kernel.matched = sum("kernel", "in");
		kernel.emitted = sum("kernel", "out");
		kernel.ringFull = kernel.matched - kernel.emitted;
		const drained = sources.reduce((total, source) => total + source.received, 0);
		return { durationMs, hooks: this.#hooksOnce, kernel, drained };
	}

	#summary(totals: Ending): Summary {
		const sources = [...this.#sources.values()];
		const received = totals.drained;
		const unnamed = sources.reduce((total, source) => total + source.unnamed, 0);
		const summary = this.#pipeline.summary({ ...totals, offered: this.#offered, unsent: this.#unsentLost });
		const joining = summary.ledger.find(({ stage }) => stage === "join");
		const output = summary.ledger.find(({ stage }) => stage.startsWith("output"));
		return {
			...summary,
			ledger: [
				...sources.flatMap(({ node, ledger }) => stagesAt(node, ledger)),
				{ stage: "received", in: received, out: received - unnamed, lost: { tupleTableFull: unnamed } },
				...(joining === undefined ? [] : [{ ...joining, in: received - unnamed }]),
				...(output === undefined ? [] : [output]),
			],
		};
	}

	#hookOf(id: number): Hook {
		const hook = this.#hooks.get(id);
		if (hook === undefined) throw new RangeError(`hook ${id} was never announced`);
		return hook;
	}

	#tunnelAddress(hook: Hook): string | null {
		const wiring = this.#wirings.find(({ node }) => node === hook.node);
		return wiring?.host.links.find(({ vxlan }) => vxlan?.local != null)?.vxlan?.local ?? null;
	}
}

function stagesAt(node: string, ledger: RemoteSource["ledger"]): readonly LedgerStage[] {
	return ledger.map(stageOf).map((of) => ({ ...of, stage: `${of.stage} @${node}` }));
}
