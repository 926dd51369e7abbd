import { randomBytes } from "node:crypto";
import type { PathTest } from "../filter/path.js";
import { addon } from "../kernel/addon.js";
import { addCounters, type Counters, noCounters } from "../kernel/counters.js";
import type { Hook, HookId } from "../packet/hook.js";
import { OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import { TupleTable } from "../packet/tuples.js";
import { Joiner } from "../path/joiner.js";
import type { Verdict } from "../path/path.js";
import type { JoinedPath, PathView } from "../path/path-view.js";
import { Expectations } from "./expectations.js";
import { FlowCount } from "./flow-count.js";
import { traceLedger, UNPARSEABLE } from "./ledger.js";
import { LocalSource } from "./local-source.js";
import { type NodePlan, type Plan, planFor } from "./plan.js";
import type { FromWorker, WorkerOptions, World } from "./protocol.js";
import type { Summary } from "./report.js";
import { TableUpkeep } from "./table-upkeep.js";
import { Thinning } from "./thin.js";
import { VerdictCount } from "./verdict-count.js";
import { ViewFaces } from "./view-faces.js";

/** Paths that go up in one message at the most. */
const PATHS_A_MESSAGE = 512;
/** Paths that may be on their way up; what comes beyond is counted as lost to a slow reader. */
const MOST_UNREAD = 16_384;

/**
 * A trace in the worker: sources → Joiner → exact filter → what goes up. The world is given from outside and may
 * change at any time; hooks, filters and expectations follow it.
 */
export class Tracer {
	readonly #options: WorkerOptions;
	readonly #send: (message: FromWorker) => void;
	readonly #tuples = new TupleTable();
	readonly #outers = new OuterTable();
	readonly #upkeep: TableUpkeep;
	readonly #expectations = new Expectations();
	readonly #joiner: Joiner;
	readonly #sources = new Map<string, LocalSource>();
	readonly #fingerprints = new Map<string, string>();
	readonly #hooks = new Map<number, Hook>();
	readonly #thinning = new Thinning();
	readonly #verdicts = new VerdictCount();
	readonly #flows: FlowCount;
	readonly #faces: ViewFaces;
	readonly #clock = addon().clocks();
	readonly #hashSalt = randomBytes(8).readBigUInt64LE();
	readonly #started = performance.now();
	#test: PathTest = () => false;
	#nextHookId = 0;
	#batchOwner = new Map<Sightings, LocalSource>();
	#unsent: JoinedPath[] = [];
	#unread = 0;
	#offered = 0;
	#unsentLost = 0;
	#second: NodeJS.Timeout | null = null;
	#hooksOnce = 0;

	constructor(options: WorkerOptions, send: (message: FromWorker) => void) {
		this.#options = options;
		this.#send = send;
		this.#faces = new ViewFaces(this.#tuples);
		this.#flows = new FlowCount(this.#tuples);
		this.#joiner = new Joiner(
			{
				tuples: this.#tuples,
				outers: this.#outers,
				expectation: this.#expectations,
				release: (rows) => this.#release(rows),
			},
			{ path: (view) => this.#path(view), revise: (view) => this.#revise(view) },
		);
		this.#upkeep = new TableUpkeep(this.#tuples, this.#outers, (id) => {
			this.#joiner.forgetTuple(id);
			this.#flows.forget(id);
		});
	}

	/** @throws KernelError when nothing can be traced; then nothing is left hooked */
	async start(): Promise<void> {
		await this.#follow(this.#options.world);
		const { monotonicNs, realtimeNs } = this.#clock;
		const hooks = [...this.#sources.values()].flatMap((source) => source.hooks);
		this.#hooksOnce = hooks.length;
		this.#send({ kind: "ready", hooks, wallClockBase: realtimeNs, monotonicBase: monotonicNs });
		this.#second = setInterval(() => this.#tellSecond(), 1000);
	}

	/** Something came, went or changed. Calls wait for one another: give them one by one. */
	async world(world: World): Promise<void> {
		await this.#follow(world);
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
		this.#joiner.flush();
		this.#flushPaths();
		this.#tellSecond();
		return this.#summary(durationMs, kernel, drained);
	}

	async #follow(world: World): Promise<void> {
		const plan = planFor(this.#options.question, world);
		this.#expectations.update(
			world.nodes.map(({ wiring }) => wiring),
			world.cluster,
		);
		this.#test = plan.test((id) => this.#hooks.get(id) ?? null);
		await Promise.all(plan.nodes.map((node) => this.#followNode(node, plan)));
	}

	async #followNode(node: NodePlan, plan: Plan): Promise<void> {
		const name = node.wiring.node;
		const source = this.#sources.get(name) ?? this.#open(name, plan.nodes.length);
		const known = this.#fingerprints.get(name);
		this.#fingerprints.set(name, node.fingerprint);
		if (known !== undefined && known !== node.fingerprint) await source.refilter(node.filterOf);
		for (const line of await source.watch(node.sites, node.filterOf)) this.#send({ kind: "warning", line });
	}

	#open(node: string, nodes: number): LocalSource {
		const { attach, sample, ringBytes } = this.#options;
		const source: LocalSource = new LocalSource(
			{
				id: node as SourceId,
				node,
				attach,
				ringBytes: ringBytes ?? (nodes > 1 ? 8 << 20 : null),
				sampleMask: sample - 1,
				hashSalt: this.#hashSalt,
				tuples: this.#tuples,
				outers: this.#outers,
				baseNs: this.#clock.monotonicNs,
				nextHookId: () => this.#nextHookId++ as HookId,
			},
			this.#sinkOf(() => source),
		);
		this.#sources.set(node, source);
		return source;
	}

	/** The Joiner, and what is done along the way. */
	#sinkOf(source: () => LocalSource): SourceSink {
		const joiner = this.#joiner;
		return {
			hook: (id, hook) => {
				this.#hooks.set(hook.id, hook);
				this.#expectations.hook(hook);
				joiner.hook(id, hook);
				this.#send({ kind: "hook", added: true, hook });
			},
			unhook: (id, hook) => {
				this.#expectations.unhook(hook);
				joiner.unhook(id, hook);
				this.#send({ kind: "hook", added: false, hook });
			},
			batch: (id, rows) => {
				this.#batchOwner.set(rows, source());
				joiner.batch(id, rows);
			},
			lost: (id, cause, count) => joiner.lost(id, cause, count),
			watermark: (id, timeNs) => {
				joiner.watermark(id, timeNs);
				this.#upkeep.tick(timeNs);
				this.#flushPaths();
			},
			clock: (id, clock) => joiner.clock(id, clock),
			end: (id) => joiner.end(id),
		};
	}

	#release(rows: Sightings): void {
		const owner = this.#batchOwner.get(rows);
		this.#batchOwner.delete(rows);
		owner?.release(rows);
	}

	#path(view: PathView): void {
		if (!this.#test(this.#faces.over(view))) return;
		const { verdict } = view;
		this.#flows.path(view);
		this.#verdicts.add(view.serial, verdict, () => this.#placeOf(view));
		if (this.#options.everyPath || this.#thinning.offer(verdict, view.tcpFlags, view.latencyNs)) this.#offer(view);
	}

	#revise(view: PathView): void {
		if (!this.#verdicts.revise(view.serial, view.verdict, () => this.#placeOf(view))) return;
		this.#offer(view);
	}

	#placeOf(view: PathView): string {
		const hook = this.#hooks.get(view.hook(view.hopCount - 1));
		return hook === undefined ? "" : `${hook.device}→${hook.direction === "egress" ? "e" : "i"} @${hook.node}`;
	}

	#offer(view: PathView): void {
		this.#offered++;
		if (this.#unread >= MOST_UNREAD) {
			this.#unsentLost++;
			return;
		}
		this.#unread++;
		this.#unsent.push(view.toPath());
		if (this.#unsent.length >= PATHS_A_MESSAGE) this.#flushPaths();
	}

	#flushPaths(): void {
		if (this.#unsent.length === 0) return;
		this.#send({ kind: "paths", paths: this.#unsent });
		this.#unsent = [];
	}

	#tellSecond(): void {
		const { alike, latency, lost } = this.#thinning.take();
		this.#send({ kind: "second", report: { alike, latency, lost } });
	}

	#summary(durationMs: number, kernel: Counters, drained: number): Summary {
		const accounts = this.#joiner.counters();
		const paths: Record<Verdict, number> = { ...this.#verdicts.counts };
		return {
			type: "summary",
			durationMs: Math.round(durationMs),
			flows: this.#flows.count,
			hooks: this.#hooksOnce,
			paths,
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
			ledger: traceLedger({ kernel, drained, accounts, offered: this.#offered, unsent: this.#unsentLost }),
		};
	}
}
