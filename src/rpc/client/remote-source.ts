import type { DevicePackets } from "../../collector/end-packets.js";
import type { Words } from "../../collector/explained.js";
import type { Hook, HookId } from "../../packet/hook.js";
import type { OuterTable } from "../../packet/outers.js";
import type { Sightings } from "../../packet/sightings.js";
import type { LossCause, SourceId, SourceSink } from "../../packet/source.js";
import type { TupleTable } from "../../packet/tuples.js";
import type { DropReport } from "../../path/judgement.js";
import { BatchDecoder, readResponse } from "../batch-decoder.js";
import { bigOf, decode, numberOf } from "../codec.js";
import { hookOf } from "../hook-message.js";
import {
	type DropWordsMessage,
	type HookMessage,
	Phase,
	type SkbDropMessage,
	type StageMessage,
	type StateMessage,
} from "../messages.js";
import { WireReader } from "../wire.js";
import type { ClockReading } from "./clock-estimate.js";
import { SlewedClock } from "./slewed-clock.js";

/** Readings of the last two seconds or so. */
const ERRORS_KEPT = 5;
/** Drops that wait for words; further ones have those that they came with. */
const MOST_TICKETS = 4096;

export interface RemoteSourceOptions {
	readonly id: SourceId;
	readonly node: string;
	readonly lineBase: bigint;
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
	/** Ids are unique among all sources of one Joiner. */
	readonly nextHookId: () => HookId;
	readonly onDrop: (source: RemoteSource, report: DropReport) => void;
	/** More of why, for the report with that ticket; null: there is no more. */
	readonly onWords?: (ticket: number, words: Words | null) => void;
	/** Tickets are unique among all sources; absent: nobody waits for words. */
	readonly nextTicket?: () => number;
	/** The first state: from now on it is watched. */
	readonly onReady: (source: RemoteSource, state: StateMessage) => void;
	readonly onEnded: (source: RemoteSource, state: StateMessage) => void;
}

/** An agent's stream of sightings as a Source: one epoch of one node. */
export class RemoteSource {
	readonly id: SourceId;
	readonly node: string;
	/** Of the stream's hook ids. */
	readonly hooks = new Map<number, Hook>();
	/** Rows that came, and those for which a table had no room. */
	received = 0;
	unnamed = 0;
	/** What the agent's last state said of its stages. */
	ledger: readonly StageMessage[] = [];
	isReady = false;
	isOver = false;
	readonly #options: RemoteSourceOptions;
	readonly #sink: SourceSink;
	readonly #clock: SlewedClock;
	readonly #decoder: BatchDecoder;
	/** Announced before the stream was ready. */
	readonly #early: HookMessage[] = [];
	readonly #losses = new Map<string, number>();
	readonly #errors: number[] = [];
	/** Of drops for which words will follow: the agent's, and ours. */
	readonly #tickets = new Map<number, number>();
	/** Packets of an END's device, at the first state and at the latest. */
	readonly #ends = new Map<number, { readonly first: number; readonly latest: number }>();
	#watermarkNs = Number.NEGATIVE_INFINITY;

	constructor(options: RemoteSourceOptions, sink: SourceSink) {
		const { id, node, lineBase, tuples, outers } = options;
		this.#options = options;
		this.id = id;
		this.node = node;
		this.#sink = sink;
		this.#clock = new SlewedClock(lineBase);
		this.#decoder = new BatchDecoder({
			...{ tuples, outers },
			hook: (message) => this.#hookId(message),
			line: (wallNs) => this.#clock.line(wallNs),
		});
	}

	clock(reading: ClockReading): void {
		this.#clock.learn(reading);
		this.#tellClock();
	}

	/** The others' errors are against this one's clock. */
	isReference(): void {
		this.#errors.pop();
		this.#tellError(this.#clock.residualNs);
	}

	/** The offset that a time on the line was made with. */
	offsetOnLine(lineNs: number): number {
		return this.#clock.offsetOnLine(lineNs);
	}

	/** What that offset gains a ns now. */
	get slope(): number {
		return this.#clock.slope;
	}

	release(rows: Sightings): void {
		this.#decoder.release(rows);
	}

	/** @throws RangeError or DecodeError when the bytes are no response */
	hear(bytes: Uint8Array): void {
		let isOther = false;
		let rows: Sightings | null = null;
		let progress: { readonly wallNs: bigint; readonly losses: ReadonlyMap<string, number> } | null = null;
		readResponse(new WireReader(bytes), {
			batch: (reader) => {
				const batch = this.#decoder.decode(reader);
				rows = batch.rows;
				this.received += batch.rows.count + batch.unnamed;
				this.unnamed += batch.unnamed;
			},
			progress: (wallNs, losses) => {
				progress = { wallNs, losses };
			},
			other: () => {
				isOther = true;
			},
		});
		if (isOther) this.#other(bytes, progress);
		else this.#take(rows, progress);
	}

	/** It was there and is gone: what it saw since its last word is not known. */
	broken(): void {
		if (this.isOver) return;
		this.isOver = true;
		this.#sink.end(this.id);
	}

	#take(
		rows: Sightings | null,
		progress: { readonly wallNs: bigint; readonly losses: ReadonlyMap<string, number> } | null,
	): void {
		const before = this.unnamed - this.#toldUnnamed;
		this.#toldUnnamed = this.unnamed;
		this.#sink.lost(this.id, "tupleTableFull", before);
		if (progress !== null) this.#tellLosses(progress.losses);
		if (rows !== null) this.#sink.batch(this.id, rows);
		if (progress !== null) this.#advance(this.#clock.line(progress.wallNs).timeNs);
	}

	#toldUnnamed = 0;

	#other(
		bytes: Uint8Array,
		progress: { readonly wallNs: bigint; readonly losses: ReadonlyMap<string, number> } | null,
	): void {
		const { state, hook, drop, words } = decode("StreamSightingsResponse", bytes);
		if (drop) this.#options.onDrop(this, this.#dropOf(drop));
		if (words) this.#wordsCame(words);
		if (hook?.hook) this.#hookChanged(hook.hook, hook.added, bigOf(hook.sinceNs));
		if (state) {
			this.ledger = state.ledger;
			this.#count(state);
		}
		if (state?.phase === Phase.ready) {
			this.isReady = true;
			// First from when on it was watched, then what was hooked then.
			if (progress !== null) this.#advance(this.#clock.line(progress.wallNs).timeNs);
			this.#options.onReady(this, state);
			for (const early of this.#early.splice(0)) this.#hookChanged(early, true);
			this.#tellClock();
			return;
		}
		this.#take(null, progress);
		if (state?.phase === Phase.ended) {
			this.isOver = true;
			this.#options.onEnded(this, state);
		}
	}

	/** What the END's devices on this node have seen since the first state. */
	get endPackets(): readonly DevicePackets[] {
		return [...this.#ends].map(([ifindex, { first, latest }]) => ({
			node: this.node,
			ifindex,
			packets: latest - first,
		}));
	}

	#count({ nodes }: StateMessage): void {
		for (const { ifindex, packets } of nodes.find(({ node }) => node === this.node)?.ends ?? []) {
			const now = numberOf(packets);
			const first = this.#ends.get(ifindex)?.first ?? now;
			this.#ends.set(ifindex, { first, latest: now });
		}
	}

	#wordsCame({ ticket: theirs, words, remedy }: DropWordsMessage): void {
		const ticket = this.#tickets.get(theirs);
		if (ticket === undefined) return;
		this.#tickets.delete(theirs);
		this.#options.onWords?.(ticket, words === "" ? null : { reason: words, remedy: remedy === "" ? null : remedy });
	}

	/** Ours for the agent's; null: no words will follow. */
	#ticketOf(theirs: number): number | null {
		const { nextTicket } = this.#options;
		if (theirs === 0 || nextTicket === undefined || this.#tickets.size >= MOST_TICKETS) return null;
		const ticket = nextTicket();
		this.#tickets.set(theirs, ticket);
		return ticket;
	}

	#dropOf({ timeNs, skb, reason, function: name, words, remedy, ticket: theirs }: SkbDropMessage): DropReport {
		const ticket = this.#ticketOf(theirs);
		return {
			...(ticket !== null && { ticket }),
			timeNs: this.#clock.line(bigOf(timeNs)).timeNs,
			...{ skbLow: skb.low >>> 0, skbHigh: skb.high >>> 0, reason },
			function: name === "" ? null : name,
			words: words === "" ? null : words,
			remedy: remedy === "" ? null : remedy,
		};
	}

	/** @param sinceNs by the agent's clock; 0: from the watermark on */
	#hookChanged(message: HookMessage, added: boolean, sinceNs = 0n): void {
		if (added) {
			if (this.isReady) this.#hookId(message, sinceNs);
			else this.#early.push(message);
			return;
		}
		const hook = this.hooks.get(message.id);
		if (hook === undefined) return;
		this.hooks.delete(message.id);
		this.#sink.unhook(this.id, hook);
	}

	#hookId(message: HookMessage, sinceNs = 0n): number {
		const known = this.hooks.get(message.id);
		if (known !== undefined) return known.id;
		// The node is what the stream is of, whatever a message says.
		const hook = { ...hookOf(message), id: this.#options.nextHookId(), node: this.node, hookSet: 0 };
		this.hooks.set(message.id, hook);
		if (sinceNs === 0n) this.#sink.hook(this.id, hook);
		else this.#sink.hook(this.id, hook, this.#clock.line(sinceNs).timeNs);
		return hook.id;
	}

	#tellLosses(losses: ReadonlyMap<string, number>): void {
		for (const [cause, count] of losses) {
			const more = count - (this.#losses.get(cause) ?? 0);
			this.#losses.set(cause, count);
			if (isLossCause(cause)) this.#sink.lost(this.id, cause, more);
		}
	}

	#advance(timeNs: number): void {
		if (timeNs <= this.#watermarkNs) return;
		this.#watermarkNs = timeNs;
		this.#sink.watermark(this.id, timeNs);
	}

	/** Times given to the sink are on the Joiner's line already: only their error is left to tell. */
	#tellClock(): void {
		if (Number.isFinite(this.#clock.errorNs)) this.#tellError(this.#clock.errorNs);
	}

	/** Paths that close now were seen a while ago, when less may have been known. */
	#tellError(errorNs: number): void {
		this.#errors.push(errorNs);
		if (this.#errors.length > ERRORS_KEPT) this.#errors.shift();
		this.#sink.clock(this.id, { offsetNs: 0, errorNs: Math.max(...this.#errors) });
	}
}

export function stageCount(ledger: readonly StageMessage[], stage: string, side: "in" | "out"): number {
	const found = ledger.find((each) => each.stage === stage);
	return found === undefined ? 0 : numberOf(found[side]);
}

const CAUSES: ReadonlySet<string> = new Set<LossCause>([
	"ringFull",
	"queueFull",
	"subscriberSlow",
	"unknownHook",
	"tupleTableFull",
	"agentGone",
]);

function isLossCause(cause: string): cause is LossCause {
	return CAUSES.has(cause);
}
