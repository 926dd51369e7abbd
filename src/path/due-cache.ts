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
/** A hook's own place is one of the first eight, so that no division is needed. */
const OWN_MASK = 0x7;
const LAST_ROUND = 2 ** 13 - 1;

/** Answers of the Expectation per (hook, tuple), until wiring or hooks change: asked for every sighting. */
export type DueCache = ReturnType<typeof makeDueCache>;

export function makeDueCache(expectation: Expectation | null, hooks: HookTable, tuples: TupleTable, facts: TupleFacts) {
	/** TupleFacts' records, in which the answers are: see TupleAt.dues. */
	const { words } = facts;
	/** Where (hook, tuple) leaves to; asked for only among three nodes or more. */
	const nodes = new Map<number, string | null>();
	/** 1: arrived, whatever the tuple. */
	const terminal = new Uint8Array(2 ** 16);
	let round = 0;
	let expectationGeneration = NEVER;
	let hooksGeneration = -1;
	return { next, leadsTo, due, forget, watchedElsewhere };

	/** One of Next. */
	function next(hook: number, tuple: number): number {
		if (hooksGeneration !== hooks.generation) renewHooks();
		if (terminal[hook] === 1) return Next.arrived;
		if (generation() !== expectationGeneration) renewAnswers();
		return lookUp(hook, tuple);
	}

	/** From the place that the hook would have on, up to the first gap. */
	function lookUp(hook: number, tuple: number): number {
		const start = (tuple << TupleSize.shift) + TupleAt.dues;
		const wanted = hook | (round << ROUND_SHIFT);
		const own = hook & OWN_MASK;
		let place = own;
		do {
			const entry = (words[start + place] as number) | 0;
			if (((entry ^ wanted) & ~ANSWER_MASK) === 0) return (entry & ANSWER_MASK) >> ANSWER_SHIFT;
			if (entry >>> ROUND_SHIFT !== round) return learn(hook, tuple, start + place);
			place = place + 1 === TupleSize.dues ? 0 : place + 1;
		} while (place !== own);
		return learn(hook, tuple, start + own);
	}

	function learn(hook: number, tuple: number, at: number): number {
		const answer = ask(hook, tuple);
		words[at] = hook | (answer << ANSWER_SHIFT) | (round << ROUND_SHIFT);
		return answer;
	}

	/**
	 * May what `hook` saw leaving come next to `entry`, on another node? Not when it is due on a third one that is watched:
	 * there it changes, and what arrives behind it has that one's hops before it.
	 */
	function leadsTo(hook: number, tuple: number, entry: number): boolean {
		if (hooks.nodes < 3) return true;
		const node = nodeAfter(hook, tuple);
		return node === null || node === hooks.get(entry).node;
	}

	/** The watched node where it is due; null: not known. */
	function nodeAfter(hook: number, tuple: number): string | null {
		if (generation() !== expectationGeneration) renewAnswers();
		const key = tuple * 2 ** 16 + hook;
		const known = nodes.get(key);
		if (known !== undefined) return known;
		const answer = due(hook, tuple);
		const node = answer.kind === "leaves" && watchedElsewhere(hook, answer) ? answer.node : null;
		if (nodes.size >= MOST_NODES) nodes.clear();
		nodes.set(key, node);
		return node;
	}

	/** The whole answer, not cached. */
	function due(hook: number, tuple: number): Due {
		if (expectation === null || !tuples.has(tuple)) return UNKNOWN;
		return expectation.due(hooks.get(hook).id, tuples.get(tuple));
	}

	/** An id names another tuple from now on; TupleFacts has forgotten its answers. */
	function forget(): void {
		nodes.clear();
	}

	/** Is it a node whose hooks could see what `hook` saw leaving? */
	function watchedElsewhere(hook: number, due: Due & { kind: "leaves" }): boolean {
		if (due.node === hooks.get(hook).node) return false;
		if (due.node !== null) return hooks.watchesNode(due.node);
		// Watched nodes are known by their addresses: this one is none of them.
		return false;
	}

	function ask(hook: number, tuple: number): number {
		const answer = due(hook, tuple);
		switch (answer.kind) {
			case "terminal":
				return Next.arrived;
			case "leaves":
				return watchedElsewhere(hook, answer) ? Next.across : Next.gone;
			case "next":
				return answer.hooks.length > 0 ? Next.wait : Next.gone;
			case "nowhere":
				return Next.wait;
			case "unknown":
				return mayBeSeenAgain(hook) ? Next.across : Next.gone;
		}
	}

	function mayBeSeenAgain(hook: number): boolean {
		if (hooks.nodes > 1) return true;
		return hooks.watchesBeyond(hooks.source[hook] as number, hooks.rank[hook] as number);
	}

	function generation(): number {
		return expectation === null ? 0 : expectation.generation;
	}

	function renewHooks(): void {
		hooksGeneration = hooks.generation;
		terminal.fill(0);
		for (const id of hooks.ids()) {
			const rank = hooks.rank[id] as number;
			const deeper = hooks.watchesRank(hooks.source[id] as number, Rank.insideIngress);
			const arrived = rank === Rank.insideIngress || (rank === Rank.podEgress && !deeper);
			terminal[id] = arrived ? 1 : 0;
		}
		renewAnswers();
	}

	function renewAnswers(): void {
		expectationGeneration = generation();
		nodes.clear();
		if (round === LAST_ROUND) forgetAll();
		round++;
	}

	/** The rounds begin anew: none of the old answers may be taken for a new one. */
	function forgetAll(): void {
		for (let tuple = 0; tuple < words.length; tuple += 1 << TupleSize.shift) {
			words.fill(0, tuple + TupleAt.dues, tuple + TupleAt.dues + TupleSize.dues);
		}
		round = 0;
	}
}
