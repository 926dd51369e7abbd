import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import type { SourceId } from "../packet/source.js";
import type { Outer, Tuple } from "../packet/tuple.js";
import type { TupleTable } from "../packet/tuples.js";
import type { Narrow } from "../wiring/model.js";
import type { HookTable } from "./hook-table.js";
import { HopAt, HopF64, type HopTable } from "./hop-table.js";
import { delivered, type Judgement, reasonOf } from "./judgement.js";
import type { Blame, Evidence, Verdict } from "./path.js";
import { gsoSizeOf, Mark, PathAt, PathF64, type PathTable, segmentsOf } from "./path-table.js";

/** Takes paths as they close. The view is used again for the next one: copy what is kept (`toPath`). */
export interface PathSink {
	path(view: PathView): void;
	/** A path that was given before, under the same serial and the next revision. */
	revise(view: PathView): void;
	/** A packet left one source and came to another, each in ns of its own clock: what ClockNetwork compares clocks by. */
	crossing?(from: SourceId, to: SourceId, sentNs: number, receivedNs: number): void;
}

/** A hop as a plain object. Times in ns on the joiner's line. */
export interface JoinedHop {
	readonly hook: number;
	readonly first: number;
	readonly last: number;
	readonly packets: number;
	readonly bytes: number;
	readonly tuple: Tuple;
	readonly outer: Outer | null;
	readonly branch: number;
}

/** A path as a plain object, fit for structured cloning: hooks as HookId. */
export interface JoinedPath {
	readonly serial: number;
	readonly revision: number;
	readonly verdict: Verdict;
	readonly evidence: Evidence;
	readonly blame: Blame | null;
	readonly hops: readonly JoinedHop[];
	readonly ipId: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	readonly tcpFlags: number;
	readonly flags: number;
	readonly length: number;
	readonly payload: number;
	readonly gsoSize: number;
	readonly segments: number;
	readonly latencyNs: number;
	readonly clockErrorNs: number;
	readonly subscribers: number;
}

export interface Tables {
	readonly paths: PathTable;
	readonly hops: HopTable;
	readonly hooks: HookTable;
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
}

/** One path over the Joiner's own columns, valid during a PathSink call. `n` is a hop's place, 0…hopCount - 1. */
export class PathView {
	/* Written once, see Sight. */
	declare private readonly tables: Tables;
	declare private readonly clockErrorOf: (source: number) => number;
	#path = 0;
	#judgement: Judgement = delivered();
	#order = new Uint32Array(32);
	#count = 0;

	/** @param clockErrorOf give or take of a source's clock, ns */
	constructor(tables: Tables, clockErrorOf: (source: number) => number) {
		this.tables = tables;
		this.clockErrorOf = clockErrorOf;
	}

	/** For the Joiner: shows another path. */
	show(path: number, judgement: Judgement): this {
		const { paths, hops } = this.tables;
		this.#path = path;
		this.#judgement = judgement;
		let count = 0;
		for (
			let hop = paths.words[path | PathAt.firstHop] as number;
			hop !== 0;
			hop = hops.words[hop | HopAt.next] as number
		) {
			if (count === this.#order.length) this.#enlarge();
			this.#order[count++] = hop;
		}
		this.#count = count;
		return this;
	}

	/** Rises with every path of a Joiner; with the revision it names what was said. */
	get serial(): number {
		return this.tables.paths.doubles[(this.#path >> 1) | PathF64.serial] as number;
	}
	get revision(): number {
		return this.tables.paths.words[this.#path | PathAt.revision] as number;
	}
	get verdict(): Verdict {
		return this.#judgement.verdict;
	}
	get evidence(): Evidence {
		const marks = this.tables.paths.words[this.#path | PathAt.marks] as number;
		if ((marks & Mark.ambiguous) !== 0) return "ambiguous";
		return (marks & Mark.order) !== 0 ? "order" : "exact";
	}
	/** null: delivered. */
	get blame(): Blame | null {
		return this.isBlamed ? this.#blame() : null;
	}
	get isBlamed(): boolean {
		return this.#judgement.cause !== null;
	}
	get hopCount(): number {
		return this.#count;
	}
	/** Bits of the subscribers for whom any of its sightings was. */
	get subscribers(): number {
		return this.tables.paths.words[this.#path | PathAt.subscribers] as number;
	}
	/** As it was first seen. */
	get tuple(): number {
		return this.tables.paths.words[this.#path | PathAt.tuple] as number;
	}
	get ipId(): number {
		return this.tables.paths.words[this.#path | PathAt.ipId] as number;
	}
	get sequence(): number {
		return this.tables.paths.words[this.#path | PathAt.sequence] as number;
	}
	get acknowledgement(): number {
		return this.tables.paths.words[this.#path | PathAt.acknowledgement] as number;
	}
	get tsval(): number {
		return this.tables.paths.words[this.#path | PathAt.tsval] as number;
	}
	/** TCP, unscaled. */
	get window(): number {
		return (this.tables.paths.words[this.#path | PathAt.shape] as number) >>> 8;
	}
	get tcpFlags(): number {
		return (this.tables.paths.words[this.#path | PathAt.shape] as number) & 0xff;
	}
	/** EventFlag bits of the first sighting. */
	get flags(): number {
		return (this.tables.paths.words[this.#path | PathAt.flags] as number) & 0xffff;
	}
	/** Bytes of the skb at the first hop. */
	get length(): number {
		return this.tables.paths.words[this.#path | PathAt.length] as number;
	}
	get payload(): number {
		return this.tables.paths.words[this.#path | PathAt.payload] as number;
	}
	get gsoSize(): number {
		return gsoSizeOf(this.tables.paths, this.#path);
	}
	get segments(): number {
		return segmentsOf(this.tables.paths, this.#path);
	}
	/** Joiner time, ns. */
	get firstNs(): number {
		return this.#count === 0 ? 0 : this.first(0);
	}
	/** First byte at the first hop to first byte at the last hop, ns. */
	get latencyNs(): number {
		return this.#count === 0 ? 0 : this.first(this.#count - 1) - this.first(0);
	}
	/** How far `latencyNs` may be off because the ends have different clocks, ns. */
	get clockErrorNs(): number {
		if (this.#count < 2) return 0;
		const { hooks } = this.tables;
		const from = hooks.source[this.hook(0)] as number;
		const to = hooks.source[this.hook(this.#count - 1)] as number;
		return from === to ? 0 : this.clockErrorOf(from) + this.clockErrorOf(to);
	}

	hook(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.hook] as number;
	}
	/** Joiner time, ns. */
	first(n: number): number {
		return this.tables.hops.doubles[(this.#hop(n) >> 1) | HopF64.first] as number;
	}
	last(n: number): number {
		return this.tables.hops.doubles[(this.#hop(n) >> 1) | HopF64.last] as number;
	}
	packets(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.packets] as number;
	}
	bytes(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.bytes] as number;
	}
	/** Id in the TupleTable. */
	tupleAt(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.tuple] as number;
	}
	/** Id in the OuterTable; 0: no tunnel header. */
	outerAt(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.outer] as number;
	}
	face(n: number): Tuple {
		return this.tables.tuples.get(this.tupleAt(n));
	}
	tunnel(n: number): Outer | null {
		const id = this.outerAt(n);
		return id === 0 ? null : this.tables.outers.get(id);
	}
	/** TTL or hop limit of the first skb there. */
	ttl(n: number): number {
		return (this.tables.hops.words[this.#hop(n) | HopAt.header] as number) & 0xff;
	}
	/** VLAN id of the first skb there; 0: untagged. */
	vlan(n: number): number {
		return (this.tables.hops.words[this.#hop(n) | HopAt.header] as number) >>> 8;
	}
	branch(n: number): number {
		return this.tables.hops.words[this.#hop(n) | HopAt.branch] as number;
	}

	toPath(): JoinedPath {
		return {
			serial: this.serial,
			revision: this.revision,
			verdict: this.verdict,
			evidence: this.evidence,
			blame: this.blame,
			hops: Array.from({ length: this.#count }, (_, n) => ({
				hook: this.hook(n),
				first: this.first(n),
				last: this.last(n),
				packets: this.packets(n),
				bytes: this.bytes(n),
				tuple: this.face(n),
				outer: this.tunnel(n),
				branch: this.branch(n),
			})),
			ipId: this.ipId,
			sequence: this.sequence,
			acknowledgement: this.acknowledgement,
			tcpFlags: this.tcpFlags,
			flags: this.flags,
			length: this.length,
			payload: this.payload,
			gsoSize: this.gsoSize,
			segments: this.segments,
			latencyNs: this.latencyNs,
			clockErrorNs: this.clockErrorNs,
			subscribers: this.subscribers,
		};
	}

	#blame(): Blame {
		const judgement = this.#judgement;
		const { hop, due, drop } = judgement;
		const hook = hop === 0 ? null : this.tables.hooks.get(this.tables.hops.words[hop | HopAt.hook] as number);
		const narrow = this.#tooNarrow();
		return {
			node: hook?.node ?? null,
			device: hook?.device ?? null,
			direction: hook?.direction ?? null,
			expected: judgement.expected,
			reason:
				reasonOf(judgement, hook === null ? "the last hop" : nameOf(hook)) +
				(narrow === null ? "" : `; ${narrow.reason}`),
			kernelReason: drop?.reason ?? null,
			kernelFunction: drop?.function ?? null,
			remedy: drop?.remedy ?? (due?.kind === "nowhere" ? due.remedy : (narrow?.remedy ?? null)),
			...(drop?.ticket === undefined ? {} : { ticket: drop.ticket }),
		};
	}

	/** It was not seen again, and was larger than what lies ahead takes. */
	#tooNarrow(): Narrow | null {
		const { cause, due } = this.#judgement;
		if ((cause !== "notSeen" && cause !== "partly") || (due?.kind !== "next" && due?.kind !== "leaves")) return null;
		const frame = this.gsoSize === 0 ? this.length : this.length - this.payload + this.gsoSize;
		return due.narrow != null && frame > due.narrow.frame ? due.narrow : null;
	}

	#hop(n: number): number {
		return this.#order[n] as number;
	}

	#enlarge(): void {
		const larger = new Uint32Array(this.#order.length * 2);
		larger.set(this.#order);
		this.#order = larger;
	}
}

function nameOf(hook: Hook): string {
	return `${hook.device}→${hook.direction === "ingress" ? "i" : "e"} @${hook.node}`;
}
