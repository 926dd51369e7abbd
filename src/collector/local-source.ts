import { addon } from "../kernel/addon.js";
import { DecodeContext, decode } from "../kernel/decode.js";
import { HookIndex } from "../kernel/hookindex.js";
import { type FilterOf, type HookCounters, Hooks, type SlotAccess } from "../kernel/hooks.js";
import type { RawBatch } from "../kernel/native.js";
import { placeKey } from "../kernel/place.js";
import { allocateSightings } from "../packet/columns.js";
import type { Hook, HookId } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import type { Sightings } from "../packet/sightings.js";
import type { SourceId, SourceSink } from "../packet/source.js";
import type { TupleTable } from "../packet/tuples.js";
import type { HookSite } from "../wiring/model.js";
import { siteChanges } from "./site-changes.js";

export interface LocalSourceOptions {
	readonly id: SourceId;
	readonly node: string;
	readonly attach: "tcx" | "clsact" | "auto";
	readonly ringBytes: number | null;
	readonly sample: number;
	readonly hashSalt: bigint;
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	/** CLOCK_MONOTONIC, ns: 0 of the sightings' time. */
	readonly baseNs: bigint;
	/**
	 * Records that are decoded at once; by default, all of a batch. A sink that reads rows as soon as it may finds those of
	 * a small piece in the processor's cache, and their memory is used again for the next; one that keeps them wants large
	 * ones.
	 */
	readonly pieceRecords?: number;
	/** Ids are unique among all sources of one Joiner. */
	readonly nextHookId: () => HookId;
}

const BATCH_RECORDS = 4096;
/** Decoded rows that may be out before the rings have to wait: then the kernel counts what finds them full. */
const MOST_ROWS = 64 * BATCH_RECORDS;
/** Raw batches that may lie until more of them may be read: half of what the drain has. */
const MOST_UNREAD = 16;
/** How often the kernel's counters are looked at for losses. */
const COUNTERS_MS = 100;

/** The hooks of one node of this machine as a Source: records of its rings, decoded into columns. */
export class LocalSource {
	readonly id: SourceId;
	readonly node: string;
	readonly #options: LocalSourceOptions;
	readonly #sink: SourceSink;
	readonly #hooks: Hooks;
	readonly #index = new HookIndex();
	readonly #decoding: DecodeContext;
	/** What is hooked, by place. */
	readonly #placed = new Map<string, { readonly hook: Hook; readonly site: HookSite }>();
	readonly #pieceRecords: number;
	readonly #idle: Sightings[] = [];
	#rows = 0;
	/** Raw, oldest first; of the first so many records were decoded. */
	readonly #waiting: RawBatch[] = [];
	#decoded = 0;
	#wantedUntil = Number.POSITIVE_INFINITY;
	#reading = false;
	#drained = 0;
	#ringFull = 0;
	#countersAt = 0;
	#unknownHook = 0;
	#tupleTableFull = 0;

	/** @throws KernelError when this machine or user cannot trace */
	constructor(options: LocalSourceOptions, sink: SourceSink) {
		this.#options = options;
		this.id = options.id;
		this.node = options.node;
		this.#sink = sink;
		this.#pieceRecords = options.pieceRecords ?? BATCH_RECORDS;
		const { attach, ringBytes, hashSalt, sample, tuples, outers, baseNs } = options;
		this.#hooks = new Hooks({ attach, ringBytes, hashSalt, sample, follow: true, batchRecords: BATCH_RECORDS });
		this.#decoding = new DecodeContext(this.#index, tuples, outers, baseNs);
		this.#hooks.drain((batch) => this.#take(batch));
	}

	get attachType(): "tcx" | "clsact" {
		return this.#hooks.attachType;
	}

	get hooks(): readonly Hook[] {
		return [...this.#placed.values()].map(({ hook }) => hook);
	}

	/** For a program that asks where a packet was seen last. */
	get slotAccess(): SlotAccess {
		return this.#hooks.slotAccess;
	}

	/** Records taken out of the rings so far. */
	get drained(): number {
		return this.#drained;
	}

	/**
	 * Makes these the hooks: adds what is new, takes away what is not wanted or gone. Returns a line for each that could
	 * not be hooked, or not before all others. `filterOf` says what each namespace's programs look for.
	 */
	async watch(sites: readonly HookSite[], filterOf: FilterOf): Promise<readonly string[]> {
		const changes = siteChanges(
			this.#placed.values(),
			sites.map((site) => ({ site })),
		);
		const { leaving } = changes;
		if (leaving.length > 0) {
			await this.#hooks.detach(leaving.map(({ site }) => site));
			for (const { hook, site } of leaving) {
				this.#placed.delete(placeKey(site));
				this.#sink.unhook(this.id, hook);
			}
		}
		const arriving = changes.arriving.map(({ site }) => site);
		const failures = await this.#hooks.attach(arriving, filterOf, (site, hookSet) => this.#announce(site, hookSet));
		return [...failures.map(({ error }) => error.message), ...this.#shadowedAmong(arriving)];
	}

	/** Every program gets its rules anew. */
	async refilter(filterOf: FilterOf): Promise<void> {
		await this.#hooks.refilter(filterOf);
	}

	counters(): HookCounters {
		return this.#hooks.counters();
	}

	/** Gives a batch back whose rows were read. */
	release(rows: Sightings): void {
		rows.count = 0;
		this.#idle.push(rows);
		// Not from within whoever reads the rows: that would be handed more.
		if (this.#waiting.length > 0) queueMicrotask(() => this.#read());
	}

	/** Rows from this time on cannot be read yet, as far as is known: they may lie undecoded for a while. */
	wantUntil(timeNs: number): void {
		this.#wantedUntil = timeNs;
		this.#read();
	}

	/** Stops tracing; every record has been given to the sink when this resolves, and the counters are final. */
	async stop(): Promise<HookCounters> {
		return this.#ended(await this.#hooks.stop());
	}

	/** As `stop`, for want of readers: the hooks go first. */
	async leave(): Promise<HookCounters> {
		return this.#ended(await this.#hooks.leave());
	}

	/** Takes the hooks away one by one; a process that ends does without. */
	async close(): Promise<void> {
		await this.#hooks.close();
	}

	#ended(counters: HookCounters): HookCounters {
		this.#wantedUntil = Number.POSITIVE_INFINITY;
		for (let batch = this.#wanted(); batch !== null; batch = this.#wanted()) this.#readPiece(batch);
		this.#tellLosses(counters);
		this.#sink.end(this.id);
		return counters;
	}

	/** A line for each that somebody's filter stands before: with clsact the first priority may be taken. */
	#shadowedAmong(sites: readonly HookSite[]): readonly string[] {
		const places = new Set(sites.map(placeKey));
		return this.#hooks.shadowed
			.filter((target) => places.has(placeKey(target)))
			.map(
				({ device, direction }) =>
					`another program's tc filter runs before weft's on ${device} ${direction} and may end a packet's way unseen: ` +
					`tc filter show dev ${device} ${direction}`,
			);
	}

	#announce(site: HookSite, hookSet: number): void {
		const { netns, ifindex, device, direction, role, l3, master } = site;
		const id = this.#options.nextHookId();
		const hook: Hook = { id, node: this.node, netns, ifindex, device, direction, role, l3, master, hookSet };
		this.#index.set(hookSet, ifindex, id);
		this.#placed.set(placeKey(site), { hook, site });
		// Rows of long before may still come, which it cannot have seen.
		this.#sink.hook(this.id, hook, this.#decoding.timeOf(addon().clocks().monotonicNs));
	}

	#take(batch: RawBatch): void {
		this.#waiting.push(batch);
		this.#read();
	}

	/** Decodes and gives what may be read. */
	#read(): void {
		if (this.#reading) return;
		this.#reading = true;
		for (let batch = this.#wanted(); batch !== null; batch = this.#wanted()) {
			if (this.#idle.length === 0 && this.#rows >= MOST_ROWS) break;
			this.#readPiece(batch);
		}
		this.#reading = false;
	}

	/** The first batch that waits, if it may be read. */
	#wanted(): RawBatch | null {
		const [batch] = this.#waiting;
		if (batch === undefined) return null;
		const isCrowded = this.#waiting.length > MOST_UNREAD;
		return isCrowded || this.#decoding.timeOf(batch.watermarkNs) <= this.#wantedUntil ? batch : null;
	}

	/** Decodes the next piece of the first batch that waits. */
	#readPiece(batch: RawBatch): void {
		if (batch.records === 0) {
			this.#finish(batch);
			return;
		}
		const rows = this.#idle.pop() ?? this.#newRows();
		const records = Math.min(this.#pieceRecords, batch.records - this.#decoded);
		decode(batch.buffer, records, rows, this.#decoding, this.#decoded);
		this.#decoded += records;
		this.#drained += records;
		const { count } = rows;
		const last = count === 0 ? Number.NEGATIVE_INFINITY : (rows.time[count - 1] as number);
		this.#sink.batch(this.id, rows);
		if (this.#decoded === batch.records) this.#finish(batch);
		// Merged by time: what comes next is not older.
		else this.#sink.watermark(this.id, last);
	}

	/** The first batch that waits was decoded to its end. */
	#finish(batch: RawBatch): void {
		this.#waiting.shift();
		this.#decoded = 0;
		const time = this.#decoding.timeOf(batch.watermarkNs);
		this.#hooks.release(batch);
		if (time >= this.#countersAt) {
			this.#countersAt = time + COUNTERS_MS * 1e6;
			this.#tellLosses(this.#hooks.counters());
		}
		this.#sink.watermark(this.id, time);
	}

	#newRows(): Sightings {
		this.#rows += this.#pieceRecords;
		return allocateSightings(this.#pieceRecords);
	}

	#tellLosses({ total }: HookCounters): void {
		const { unknownHook, tupleTableFull } = this.#decoding;
		this.#sink.lost(this.id, "ringFull", total.ringFull - this.#ringFull);
		this.#sink.lost(this.id, "unknownHook", unknownHook - this.#unknownHook);
		this.#sink.lost(this.id, "tupleTableFull", tupleTableFull - this.#tupleTableFull);
		this.#ringFull = total.ringFull;
		this.#unknownHook = unknownHook;
		this.#tupleTableFull = tupleTableFull;
	}
}
