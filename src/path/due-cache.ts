import type { TupleTable } from "../packet/tuples.js";
import type { Due } from "../wiring/model.js";
import type { Expectation } from "./expectation.js";
import { type HookTable, Rank } from "./hook-table.js";

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

const SETS = 2 ** 16;
/** No generation of an Expectation. */
const NEVER = -1;
const UNKNOWN: Due = { kind: "unknown" };

/** Answers of the Expectation per (hook, tuple), until wiring or hooks change: asked for every sighting. */
export class DueCache {
	readonly #expectation: Expectation | null;
	readonly #hooks: HookTable;
	readonly #tuples: TupleTable;
	/** Pairs: tuple, hook << 8 | answer. Tuples are dense, so neighbours share cache lines. */
	readonly #slots = new Uint32Array(SETS * 4);
	/** Where (hook, tuple) leaves to; asked for only among three nodes or more. */
	readonly #nodes = new Map<number, string | null>();
	/** 1: arrived, whatever the tuple. */
	readonly #terminal = new Uint8Array(2 ** 16);
	#expectationGeneration = NEVER;
	#hooksGeneration = -1;

	constructor(expectation: Expectation | null, hooks: HookTable, tuples: TupleTable) {
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

	/** Two ways a set: the answer that was asked for last stands first. */
	#lookUp(hook: number, tuple: number): number {
		const slots = this.#slots;
		const set = (((tuple << 1) ^ Math.imul(hook, 0x9e35)) & (SETS - 1)) << 2;
		const first = slots[set + 1] as number;
		if (slots[set] === tuple && first >>> 8 === hook) return first & 0xff;
		const second = slots[set + 3] as number;
		if (slots[set + 2] === tuple && second >>> 8 === hook) return second & 0xff;
		const answer = this.#ask(hook, tuple);
		slots[set + 2] = slots[set] as number;
		slots[set + 3] = first;
		slots[set] = tuple;
		slots[set + 1] = (hook << 8) | answer;
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
		if (this.#nodes.size >= SETS) this.#nodes.clear();
		this.#nodes.set(key, node);
		return node;
	}

	/** The whole answer, not cached. */
	due(hook: number, tuple: number): Due {
		if (this.#expectation === null || !this.#tuples.has(tuple)) return UNKNOWN;
		return this.#expectation.due(this.#hooks.get(hook).id, this.#tuples.get(tuple));
	}

	/** Some ids name other tuples from now on: all answers are asked for anew, once. */
	forget(): void {
		this.#expectationGeneration = NEVER;
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
		this.#slots.fill(0);
		this.#nodes.clear();
	}
}
