import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { LossCause, SourceClock, SourceId, SourceSink } from "../packet/source.js";
import type { TupleTable } from "../packet/tuples.js";
import { Alarm } from "./alarm.js";
import { type Assembler, makeAssembler } from "./assembler.js";
import { makeCarrierTable } from "./carrier-table.js";
import { type ClosedRing, makeClosedRing } from "./closed-ring.js";
import { makeClosing } from "./closing.js";
import { type Accounts, byVerdict, zeroCounters } from "./counters.js";
import { type Crossings, makeCrossings } from "./crossings.js";
import { DatagramIndex } from "./datagram-index.js";
import { PendingDrops } from "./drops.js";
import { type DueCache, makeDueCache } from "./due-cache.js";
import type { Expectation } from "./expectation.js";
import { HookTable } from "./hook-table.js";
import { HopAt, makeHopTable } from "./hop-table.js";
import type { DropReport } from "./judgement.js";
import { makeKeyIndex } from "./key-index.js";
import { Losses } from "./losses.js";
import { type Merge, makeMerge } from "./merge.js";
import { DEFAULT_LIMITS, type Limits } from "./options.js";
import { makePathTable, PathAt, State } from "./path-table.js";
import { type PathSink, PathView, type Tables } from "./path-view.js";
import { makePointerIndex } from "./pointer-index.js";
import { makeRangeIndex, type RangeIndex } from "./range-index.js";
import { makeRecentKeys } from "./recent-keys.js";
import { RecentPaths } from "./recent-paths.js";
import { Sight } from "./sight.js";
import { makeTupleFacts, type TupleFacts } from "./tuple-facts.js";
import { makeWaitingList, type WaitingList } from "./waiting-list.js";
import { makeWindow } from "./window.js";
import type { Workshop } from "./workshop.js";

export interface JoinerOptions {
	/** The tables in which `tuple` and `outer` of the rows are ids. */
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	/** Where packets are due; null: only what the hooks themselves say. */
	readonly expectation?: Expectation | null;
	readonly limits?: Partial<Limits>;
	/** Gets every batch back when its rows were read. */
	readonly release?: (rows: Sightings) => void;
}

/** What joining on several nodes waits for a next hop, besides the clocks' error: the wire, and the batches' delay. */
const ACROSS_NS = 1e9;
const BATCH_DELAY_NS = 200e6;
/** What an arrival waits for its departure, besides the clocks' error. */
const ORPHAN_NS = 1e6;
/** Clocks of which nothing is known yet are not waited for longer. */
const MAX_ORPHAN_NS = 500e6;

interface SourceState {
	readonly index: number;
	readonly name: SourceId;
	/** A lane per ring; one, unless the caller says otherwise. */
	readonly lanes: number[];
	clock: SourceClock;
	/** Joiner time before which everything was given; Infinity when it has ended. */
	watermark: number;
	/** Something was lost since the watermark. */
	lossy: boolean;
}

/**
 * Puts the sightings of one packet, from all sources, together into its path. Pure and single-threaded: no clock, no
 * I/O; time comes with the watermarks. The same rows give the same paths in the same order, however they were cut
 * into batches and in whatever order the batches of different rings came.
 */
export class Joiner implements SourceSink {
	/** What the sink is shown; between its calls, the last of it. */
	readonly view: PathView;
	readonly #hooks = new HookTable();
	readonly #losses = new Losses();
	readonly #merge: Merge;
	readonly #drops = new PendingDrops();
	readonly #counters = zeroCounters();
	readonly #limits: Limits;
	readonly #tables: Tables;
	readonly #facts: TupleFacts;
	readonly #ranges: RangeIndex;
	readonly #dues: DueCache;
	readonly #suspects: WaitingList;
	readonly #flooded: WaitingList;
	readonly #orphans: WaitingList;
	readonly #closed: ClosedRing;
	readonly #ordered: ClosedRing;
	readonly #alarm = new Alarm();
	readonly #release: (rows: Sightings) => void;
	readonly #assembler: Assembler;
	readonly #sources = new Map<SourceId, SourceState>();
	readonly #byIndex: SourceState[] = [];
	readonly #lost: Partial<Record<LossCause, number>> = {};
	#pushed = 0;
	#lostTotal = 0;
	#suspectNs: number;

	constructor(options: JoinerOptions, sink: PathSink) {
		const { tuples, outers } = options;
		this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
		this.#suspectNs = this.#limits.suspectNs;
		this.#release = options.release ?? (() => {});
		const limits = this.#limits;
		const paths = makePathTable(limits.reservedPaths, limits.maxPaths);
		const hops = makeHopTable(limits.reservedPaths * 2);
		const hooks = this.#hooks;
		const losses = this.#losses;
		this.#facts = makeTupleFacts(tuples);
		this.#ranges = makeRangeIndex(paths, this.#facts);
		this.#dues = makeDueCache(options.expectation ?? null, hooks, tuples, this.#facts);
		const alarm = this.#alarm;
		const { suspectNs, floodNs, orphanNs, lostNs } = limits;
		this.#suspects = makeWaitingList(paths, 1, alarm, suspectNs);
		this.#flooded = makeWaitingList(paths, 2, alarm, floodNs);
		this.#orphans = makeWaitingList(paths, 3, alarm, orphanNs);
		this.#closed = makeClosedRing(paths, limits.closedPaths, 0, alarm, suspectNs);
		this.#ordered = makeClosedRing(paths, limits.orderedPaths, 1, alarm, 2 * suspectNs);
		const lost = makeClosedRing(paths, limits.lostPaths, 2, alarm, lostNs);
		const tables = { paths, hops, hooks, tuples, outers };
		this.#tables = tables;
		this.view = new PathView(tables, (source) => this.#byIndex[source]?.clock.errorNs ?? 0);
		const window = makeWindow();
		const carriers = makeCarrierTable(limits.reservedPaths);
		const sight = new Sight(window.rows);
		const workshop: Workshop = {
			...tables,
			sight,
			alarm,
			carriers,
			pointers: makePointerIndex(carriers),
			facts: this.#facts,
			keys: makeKeyIndex(paths, sight),
			ranges: this.#ranges,
			recent: makeRecentKeys(paths),
			recentAt: new RecentPaths(),
			datagrams: new DatagramIndex(),
			suspects: this.#suspects,
			flooded: this.#flooded,
			orphans: this.#orphans,
			closed: this.#closed,
			ordered: this.#ordered,
			lost,
			rings: [this.#closed, this.#ordered, lost],
			dues: this.#dues,
			closing: makeClosing(paths, hops, hooks, this.#dues, losses),
			losses,
			drops: this.#drops,
			dropped: new Map(),
			crossings: this.#crossings(sink),
			counters: this.#counters,
			limits,
			view: this.view,
			sink,
		};
		this.#assembler = makeAssembler(workshop, this.#release);
		this.#merge = makeMerge(window, this.#assembler);
	}

	/** The hook of an id that was announced. @throws RangeError for others. */
	hookOf(id: number): Hook {
		return this.#hooks.get(id);
	}

	/** Announces a source; `hook`, `batch` and the others do it, too. Rows wait until every source has a watermark. */
	addSource(source: SourceId): void {
		this.#state(source);
	}

	/** @param sinceNs of the source's clock: from when it could see packets; by default, now */
	hook(source: SourceId, hook: Hook, sinceNs?: number): void {
		const state = this.#state(source);
		const since = sinceNs === undefined ? state.watermark : sinceNs + state.clock.offsetNs;
		this.#hooks.add(hook, state.index, since);
	}

	unhook(_source: SourceId, hook: Hook): void {
		this.#hooks.remove(hook);
	}

	/**
	 * Takes a batch over until `release`: rising times, or equal ones. Rings of one source that are not merged yet come
	 * each by a lane of its own.
	 */
	batch(source: SourceId, rows: Sightings, lane = 0): void {
		const state = this.#state(source);
		if (rows.count === 0) {
			this.#release(rows);
			return;
		}
		this.#pushed += rows.count;
		const { offsetNs } = state.clock;
		this.#noteLosses(state, rows, offsetNs);
		this.#merge.push(this.#lane(state, lane), rows, offsetNs);
	}

	lost(source: SourceId, cause: LossCause, count: number): void {
		if (count === 0) return;
		this.#state(source).lossy = true;
		this.#lost[cause] = (this.#lost[cause] ?? 0) + count;
		this.#lostTotal += count;
	}

	/** Everything of this source before `timeNs` of its clock was given, or counted as lost. */
	watermark(source: SourceId, timeNs: number): void {
		const state = this.#state(source);
		this.#advance(state, timeNs + state.clock.offsetNs);
	}

	clock(source: SourceId, clock: SourceClock): void {
		this.#state(source).clock = clock;
		this.#setPatience();
	}

	/** The source says nothing any more; what it left open is judged when its time has come. */
	end(source: SourceId): void {
		const state = this.#state(source);
		this.#losses.add(state.index, state.watermark, Number.POSITIVE_INFINITY);
		state.watermark = Number.POSITIVE_INFINITY;
		this.#readOn();
	}

	/** The trace is over: reads what is queued and judges what is open. */
	flush(): void {
		for (const state of this.#byIndex) {
			if (state.lossy && state.watermark !== Number.POSITIVE_INFINITY) {
				this.#losses.add(state.index, state.watermark, Number.POSITIVE_INFINITY);
				state.lossy = false;
			}
		}
		this.#merge.drain(Number.POSITIVE_INFINITY);
		this.#assembler.finish();
	}

	/** The kernel threw away what this pointer carried. May come before or after the rows of that time. */
	drop(source: SourceId, report: DropReport): void {
		const state = this.#state(source);
		this.#drops.add({ source: state.index, time: report.timeNs + state.clock.offsetNs, report });
	}

	/**
	 * Says `keep` for every id of the tables that paths and waiting rows hold: to be called between their `tick` and
	 * `retire`, so that none is freed under a path.
	 */
	keepIds(): void {
		const { tuples, outers } = this.#tables;
		this.#merge.forEachRow((rows, i) => {
			tuples.keep(rows.tuple[i] as number);
			outers.keep(rows.outer[i] as number);
		});
		const { paths, hops } = this.#tables;
		for (let path = paths.size; path <= paths.last; path += paths.size) {
			if (paths.words[path | PathAt.state] === State.free) continue;
			tuples.keep(paths.words[path | PathAt.tuple] as number);
			for (
				let hop = paths.words[path | PathAt.firstHop] as number;
				hop !== 0;
				hop = hops.words[hop | HopAt.next] as number
			) {
				tuples.keep(hops.words[hop | HopAt.tuple] as number);
				outers.keep(hops.words[hop | HopAt.outer] as number);
			}
		}
	}

	/** The tuple's id was retired from the table and may name another from now on. */
	forgetTuple(id: number): void {
		const facts = this.#facts;
		const ranged = this.#ranges.take(facts.root(id));
		facts.forget(id);
		for (const path of ranged)
			this.#ranges.add(facts.root(this.#tables.paths.words[path | PathAt.tuple] as number), path);
		this.#dues.forget();
	}

	counters(): Accounts {
		const { joined, unknownHook, noTuple, evicted, revised, drops, strayDrops, verdicts } = this.#counters;
		return {
			seen: this.#pushed + this.#lostTotal,
			joined,
			unjoined: { unknownHook, noTuple },
			lost: { ...this.#lost },
			queued: this.#merge.queued,
			paths: byVerdict(verdicts),
			openPaths: this.#suspects.count + this.#flooded.count + this.#orphans.count,
			evicted,
			revised,
			drops,
			strayDrops,
		};
	}

	#crossings(sink: PathSink): Crossings {
		if (sink.crossing === undefined) return makeCrossings(null);
		return makeCrossings((from, to, sentNs, receivedNs) => {
			const [sender, receiver] = [this.#byIndex[from], this.#byIndex[to]];
			if (sender === undefined || receiver === undefined) return;
			sink.crossing?.(sender.name, receiver.name, sentNs, receivedNs);
		});
	}

	#advance(state: SourceState, time: number): void {
		if (time <= state.watermark) return;
		if (state.lossy) this.#losses.add(state.index, state.watermark, time);
		state.lossy = false;
		state.watermark = time;
		this.#readOn();
	}

	#readOn(): void {
		let limit = Number.POSITIVE_INFINITY;
		for (const { watermark } of this.#byIndex) limit = Math.min(limit, watermark);
		if (limit === Number.NEGATIVE_INFINITY) return;
		this.#merge.drain(limit);
		if (limit === Number.POSITIVE_INFINITY) return;
		this.#assembler.now[0] = limit;
		this.#assembler.expire();
	}

	/** A ring that was full says so with the next record that fits: something before it is missing. */
	#noteLosses(state: SourceState, rows: Sightings, offsetNs: number): void {
		const { lost, count } = rows;
		let any = 0;
		for (let i = 0; i < count; i++) any |= lost[i] as number;
		if (any === 0) return;
		for (let i = 0; i < count; i++) {
			if (lost[i] !== 0) this.#losses.add(state.index, state.watermark, (rows.time[i] as number) + offsetNs);
		}
	}

	#state(source: SourceId): SourceState {
		const known = this.#sources.get(source);
		if (known !== undefined) return known;
		const state: SourceState = {
			index: this.#byIndex.length,
			name: source,
			lanes: [],
			clock: { offsetNs: 0, errorNs: 0 },
			watermark: Number.NEGATIVE_INFINITY,
			lossy: false,
		};
		this.#sources.set(source, state);
		this.#byIndex.push(state);
		this.#hooks.setSources(this.#byIndex.map(({ name }) => name));
		this.#setPatience();
		return state;
	}

	#lane(state: SourceState, lane: number): number {
		const known = state.lanes[lane];
		if (known !== undefined) return known;
		const opened = this.#merge.open(state.index);
		state.lanes[lane] = opened;
		return opened;
	}

	#setPatience(): void {
		const limits = this.#limits;
		if (this.#byIndex.length < 2) limits.suspectNs = this.#suspectNs;
		else {
			const error = Math.max(...this.#byIndex.map(({ clock }) => clock.errorNs));
			limits.suspectNs = Math.min(this.#suspectNs, ACROSS_NS + 2 * error + BATCH_DELAY_NS);
			limits.orphanNs = Math.min(MAX_ORPHAN_NS, ORPHAN_NS + 2 * error);
		}
		this.#suspects.waitNs = limits.suspectNs;
		this.#closed.keepNs = limits.suspectNs;
		this.#ordered.keepNs = 2 * limits.suspectNs;
		this.#orphans.waitNs = limits.orphanNs;
		this.#alarm.lower(Number.NEGATIVE_INFINITY);
	}
}
