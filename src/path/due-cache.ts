import type { TupleTable } from "../packet/tuples.js";
import type { Due } from "../wiring/model.js";
import type { Expectation } from "./expectation.js";
import { type HookTable, Rank } from "./hook-table.js";
import { TupleAt, type TupleFacts, TupleSize } from "./tuple-facts.js";

/** What to do with a path whose newest hop is here. */
export const enum Next {
	/** Another hook of the same node is due to see it. */
	wait = 0,
	/** It has arrived. */
	arrived = 1,
	/** It goes where nobody looks. */
	gone = 2,
	/** Another node is due to see it, or nobody knows who. */
	across = 3,
}

/** No generation of an Expectation. */
const NEVER = -1;
const UNKNOWN: Due = { kind: "unknown" };
/** Pairs (hook, tuple) of which is known where they leave to. */
const MOST_NODES = 2 ** 16;

/*
 * An answer, in a word of its tuple's record: the hook, the answer, and in which round of answers it was given. Rounds are
 * counted from 1, so that 0 is no answer.
 */
const ANSWER_SHIFT = 16;
const ANSWER_MASK = 0x7 << ANSWER_SHIFT;
const ROUND_SHIFT = 19;
const LAST_ROUND = 2 ** 13 - 1;

/** Answers of the Expectation per (hook, tuple), until wiring or hooks change: asked for every sighting. */
export class DueCache {
	readonly #expectation: Expectation | null;
	readonly #hooks: HookTable;
	readonly #tuples: TupleTable;
	/** TupleFacts' records, in which the answers are: see TupleAt.dues. */
	readonly #words: Uint32Array;
	#round = 0;
	/** Where (hook, tuple) leaves to; asked for only among three nodes or more. */
	readonly #nodes = new Map<number, string | null>();
	/** 1: arrived, whatever the tuple. */
	readonly #terminal = new Uint8Array(2 ** 16);
	#expectationGeneration = NEVER;
	#hooksGeneration = -1;

	constructor(expectation: Expectation | null, hooks: HookTable, tuples: TupleTable, facts: TupleFacts) {
		this.#words = facts.words;
		this.#expectation = expectation;
		this.#hooks = hooks;
		this.#tuples = tuples;
	}

	/** One of Next. */
	next(hook: number, tuple: number): number {
		if (this.#hooksGeneration !== this.#hooks.generation) this.#renewHooks();
		if (this.#terminal[hook] === 1) return Next.arrived;
		if (this.#generation() !== this.#expectationGeneration) this.#renewAnswers();
		return this.#lookUp(hook, tuple);
	}

	/** From the place that the hook would have on, up to the first gap. */
	#lookUp(hook: number, tuple: number): number {
		const words = this.#words;
		const start = (tuple << TupleSize.shift) + TupleAt.dues;
		const wanted = hook | (this.#round << ROUND_SHIFT);
		const own = hook % TupleSize.dues;
		let place = own;
		do {
			const entry = (words[start + place] as number) | 0;
			if (((entry ^ wanted) & ~ANSWER_MASK) === 0) return (entry & ANSWER_MASK) >> ANSWER_SHIFT;
			if (entry >>> ROUND_SHIFT !== this.#round) return this.#learn(hook, tuple, start + place);
			place = place + 1 === TupleSize.dues ? 0 : place + 1;
		} while (place !== own);
		return this.#learn(hook, tuple, start + own);
	}

	#learn(hook: number, tuple: number, at: number): number {
		const answer = this.#ask(hook, tuple);
		this.#words[at] = hook | (answer << ANSWER_SHIFT) | (this.#round << ROUND_SHIFT);
		return answer;
	}

	/**
	 * May what `hook` saw leaving come next to `entry`, on another node? Not when it is due on a third one that is watched:
	 * there it changes, and what arrives behind it has that one's hops before it.
	 */
	leadsTo(hook: number, tuple: number, entry: number): boolean {
		if (this.#hooks.nodes < 3) return true;
		const node = this.#nodeAfter(hook, tuple);
		return node === null || node === this.#hooks.get(entry).node;
	}

	/** The watched node where it is due; null: not known. */
	#nodeAfter(hook: number, tuple: number): string | null {
		if (this.#generation() !== this.#expectationGeneration) this.#renewAnswers();
		const key = tuple * 2 ** 16 + hook;
		const known = this.#nodes.get(key);
		if (known !== undefined) return known;
		const due = this.due(hook, tuple);
		const node = due.kind === "leaves" && this.watchedElsewhere(hook, due) ? due.node : null;
		if (this.#nodes.size >= MOST_NODES) this.#nodes.clear();
		this.#nodes.set(key, node);
		return node;
	}

	/** The whole answer, not cached. */
	due(hook: number, tuple: number): Due {
		if (this.#expectation === null || !this.#tuples.has(tuple)) return UNKNOWN;
		return this.#expectation.due(this.#hooks.get(hook).id, this.#tuples.get(tuple));
	}

	/** An id names another tuple from now on; TupleFacts has forgotten its answers. */
	forget(): void {
		this.#nodes.clear();
	}

	/** Is it a node whose hooks could see what `hook` saw leaving? */
	watchedElsewhere(hook: number, due: Due & { kind: "leaves" }): boolean {
		if (due.node === this.#hooks.get(hook).node) return false;
		if (due.node !== null) return this.#hooks.watchesNode(due.node);
		// Watched nodes are known by their addresses: this one is none of them.
		return false;
	}

	#ask(hook: number, tuple: number): number {
		const due = this.due(hook, tuple);
		switch (due.kind) {
			case "terminal":
				return Next.arrived;
			case "leaves":
				return this.watchedElsewhere(hook, due) ? Next.across : Next.gone;
			case "next":
				return due.hooks.length > 0 ? Next.wait : Next.gone;
			case "nowhere":
				return Next.wait;
			case "unknown":
				return this.#mayBeSeenAgain(hook) ? Next.across : Next.gone;
		}
	}

	#mayBeSeenAgain(hook: number): boolean {
		const hooks = this.#hooks;
		if (hooks.nodes > 1) return true;
		return hooks.watchesBeyond(hooks.source[hook] as number, hooks.rank[hook] as number);
	}

	#generation(): number {
		return this.#expectation === null ? 0 : this.#expectation.generation;
	}

	#renewHooks(): void {
		const hooks = this.#hooks;
		this.#hooksGeneration = hooks.generation;
		this.#terminal.fill(0);
		for (const id of hooks.ids()) {
			const rank = hooks.rank[id] as number;
			const deeper = hooks.watchesRank(hooks.source[id] as number, Rank.insideIngress);
			const arrived = rank === Rank.insideIngress || (rank === Rank.podEgress && !deeper);
			this.#terminal[id] = arrived ? 1 : 0;
		}
		this.#renewAnswers();
	}

	#renewAnswers(): void {
		this.#expectationGeneration = this.#generation();
		this.#nodes.clear();
		if (this.#round === LAST_ROUND) this.#forgetAll();
		this.#round++;
	}

	/** The rounds begin anew: none of the old answers may be taken for a new one. */
	#forgetAll(): void {
		const words = this.#words;
		for (let tuple = 0; tuple < words.length; tuple += 1 << TupleSize.shift) {
			words.fill(0, tuple + TupleAt.dues, tuple + TupleAt.dues + TupleSize.dues);
		}
		this.#round = 0;
	}
}
