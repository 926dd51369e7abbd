import { type RulesReading, readPortals } from "./portals.js";
import type { RuleGeneration } from "./rule-generation.js";

export type { RulesReading } from "./portals.js";

/** The NAT rules of a node. To list them takes processes, so they are listed only when they may have changed. */
export class NodeRules {
	readonly #netns: string | null;
	readonly #generation: Pick<RuleGeneration, "read" | "close"> | null;
	readonly #list: (netns: string | null) => Promise<RulesReading>;
	#first: Promise<RulesReading> | null;
	/** Before the last listing. */
	#known: number | null = null;
	#listedAt = 0;
	#legacy = false;

	/**
	 * Begins to list them at once.
	 * @param netns the node's namespace; null: our own
	 * @param generation null: nobody tells, and each reading lists them
	 */
	constructor(
		netns: string | null,
		generation: Pick<RuleGeneration, "read" | "close"> | null,
		list: (netns: string | null) => Promise<RulesReading> = readPortals,
	) {
		this.#netns = netns;
		this.#generation = generation;
		this.#list = list;
		this.#first = this.#fresh(generation?.read() ?? null);
	}

	/** Null: they are as they were at the last reading. */
	async read(): Promise<RulesReading | null> {
		const first = this.#first;
		this.#first = null;
		if (first !== null) return first;
		const generation = this.#generation?.read() ?? null;
		const patience = this.#legacy ? LEGACY_MS : UNTOLD_MS;
		const isAsItWas = generation !== null && generation === this.#known;
		if (isAsItWas && performance.now() - this.#listedAt < patience) return null;
		return this.#fresh(generation);
	}

	close(): void {
		this.#generation?.close();
	}

	/** @param generation asked for before: what changes while they are listed is listed again. */
	async #fresh(generation: number | null): Promise<RulesReading> {
		this.#known = generation;
		this.#listedAt = performance.now();
		const reading = await this.#list(this.#netns);
		this.#legacy = reading.legacy;
		return reading;
	}
}

/** Where iptables-legacy has rules, nothing tells of their changes. */
const LEGACY_MS = 30_000;
/** It may come into use at any time. */
const UNTOLD_MS = 300_000;
