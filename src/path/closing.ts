import type { DueCache } from "./due-cache.js";
import { type HookTable, Rank } from "./hook-table.js";
import { HopAt, type HopTable } from "./hop-table.js";
import { type DropReport, delivered, type Judgement } from "./judgement.js";
import type { Losses } from "./losses.js";
import { Mark, PathAt, PathF64, type PathTable } from "./path-table.js";

/** When a path is judged: it has waited its time, the table is full, or the trace is over. */
export type Occasion = "due" | "full" | "end";

/** Judges paths that no next hook has seen. */
export class Closing {
	readonly #paths: PathTable;
	readonly #hops: HopTable;
	readonly #hooks: HookTable;
	readonly #dues: DueCache;
	readonly #losses: Losses;
	readonly #judgement = delivered();

	constructor(paths: PathTable, hops: HopTable, hooks: HookTable, dues: DueCache, losses: Losses) {
		this.#paths = paths;
		this.#hops = hops;
		this.#hooks = hooks;
		this.#dues = dues;
		this.#losses = losses;
	}

	/** The terminal hook saw it. */
	arrived(path: number): Judgement {
		if (((this.#paths.words[path | PathAt.marks] as number) & Mark.midway) !== 0) return this.#midway(path);
		return this.#say("delivered", null, 0);
	}

	/** The kernel says that it threw the packet away. @param hop where it was seen last */
	dropped(hop: number, report: DropReport): Judgement {
		const judgement = this.#say("dropped", "kernelDropped", hop);
		judgement.drop = report;
		return judgement;
	}

	/** It went where nobody looks. */
	gone(path: number): Judgement {
		if (((this.#paths.words[path | PathAt.marks] as number) & Mark.midway) !== 0) return this.#midway(path);
		const hop = this.#paths.words[path | PathAt.lastHop] as number;
		const judgement = this.#say("forwarded", "notWatched", hop);
		judgement.due = this.#dueAt(hop);
		return judgement;
	}

	/** @param until joiner time up to which all hooks have told what they saw */
	suspect(path: number, until: number, occasion: Occasion): Judgement {
		const marks = this.#paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.arrived) !== 0) return this.arrived(path);
		const hop = this.#paths.words[path | PathAt.lastHop] as number;
		if (occasion === "full") return this.#say("incomplete", "tableFull", hop);
		if ((marks & Mark.midway) !== 0) return this.#midway(path);
		const partial = this.#lastWhole(path);
		if (partial !== 0) return this.#partly(path, partial, until, occasion);
		const due = this.#dueAt(hop);
		const hook = this.#hops.words[hop | HopAt.hook] as number;
		const judgement = this.#say("incomplete", "wayUnknown", hop);
		judgement.due = due;
		switch (due.kind) {
			case "terminal":
				return this.#set(judgement, "delivered", null);
			case "nowhere":
				return this.#set(judgement, "lost", "nowhere");
			case "leaves":
				if (!this.#dues.watchedElsewhere(hook, due)) return this.#set(judgement, "forwarded", "notWatched");
				return this.#missingAcross(judgement, path, until, occasion, due.node);
			case "next":
				if (due.mayEnd === true) return this.#set(judgement, "delivered", null);
				if (due.hooks.length === 0) return this.#set(judgement, "forwarded", "notWatched");
				judgement.expected = due.expected;
				return this.#missing(judgement, path, until, occasion, due.hooks);
			case "unknown":
				if (
					this.#losses.touches(
						this.#hooks.source[hook] as number,
						this.#paths.doubles[(path >> 1) | PathF64.first] as number,
						until,
					)
				) {
					return this.#set(judgement, "incomplete", "eventsLost");
				}
				if ((this.#hooks.rank[hook] as number) >= Rank.tunnelEgress && this.#hooks.egress[hook] === 1) {
					return this.#set(judgement, "forwarded", "notWatched");
				}
				return judgement;
		}
	}

	/** It left for a watched node. */
	#missingAcross(
		judgement: Judgement,
		path: number,
		until: number,
		occasion: Occasion,
		node: string | null,
	): Judgement {
		const entries = this.#entriesOf(node);
		const names = entries.map((id) => this.#hooks.get(id)).map((hook) => `${hook.device}→i @${hook.node}`);
		judgement.expected = names.length === 0 ? null : names.join(" or ");
		return this.#missing(judgement, path, until, occasion, entries);
	}

	/** One of `candidates` had to see it, and none did. */
	#missing(
		judgement: Judgement,
		path: number,
		until: number,
		occasion: Occasion,
		candidates: readonly number[],
	): Judgement {
		if (occasion === "end") return this.#set(judgement, "incomplete", "tracingEnded");
		const latest = this.#paths.doubles[(path >> 1) | PathF64.latest] as number;
		let watching = false;
		for (const hook of candidates) {
			if (this.#losses.touches(this.#hooks.source[hook] as number, latest, until)) {
				return this.#set(judgement, "incomplete", "eventsLost");
			}
			if (this.#hooks.isOn(hook) && (this.#hooks.since[hook] as number) <= latest) watching = true;
		}
		return watching ? this.#set(judgement, "lost", "notSeen") : this.#set(judgement, "incomplete", "tracingBegan");
	}

	/** Its segments did not all arrive behind `whole`. */
	#partly(path: number, whole: number, until: number, occasion: Occasion): Judgement {
		const next = this.#hops.words[whole | HopAt.next] as number;
		const hook = this.#hooks.get(this.#hops.words[next | HopAt.hook] as number);
		const judgement = this.#say("lost", "partly", whole);
		judgement.expected = `${hook.device}→${hook.direction === "ingress" ? "i" : "e"}`;
		judgement.due = this.#dueAt(whole);
		const lossy = this.#losses.touches(
			this.#hooks.source[hook.id] as number,
			this.#paths.doubles[(path >> 1) | PathF64.first] as number,
			until,
		);
		if (lossy) return this.#set(judgement, "incomplete", "eventsLost");
		if (occasion === "end") return this.#set(judgement, "incomplete", "tracingEnded");
		return judgement;
	}

	/** The last hop that saw the whole range, when its successor did not; 0: no such. */
	#lastWhole(path: number): number {
		if (((this.#paths.words[path | PathAt.marks] as number) & (Mark.manifold | Mark.fragments)) === 0) return 0;
		const { words } = this.#hops;
		for (let hop = this.#paths.words[path | PathAt.firstHop] as number; ; ) {
			const following = words[hop | HopAt.next] as number;
			if (following === 0) return 0;
			if (this.#isWhole(path, hop) && !this.#isWhole(path, following)) return hop;
			hop = following;
		}
	}

	#isWhole(path: number, hop: number): boolean {
		const { words } = this.#hops;
		if (((this.#paths.words[path | PathAt.marks] as number) & Mark.fragments) === 0) {
			return words[hop | HopAt.coverLow] === 0xffffffff && words[hop | HopAt.coverHigh] === 0xffffffff;
		}
		const total = this.#paths.words[path | PathAt.total] as number;
		return total > 0 && (words[hop | HopAt.leadingBytes] as number) >= total;
	}

	#midway(path: number): Judgement {
		const first = this.#paths.words[path | PathAt.firstHop] as number;
		const source = this.#hooks.source[this.#hops.words[first | HopAt.hook] as number] as number;
		const time = this.#paths.doubles[(path >> 1) | PathF64.first] as number;
		const lossy = this.#losses.touches(source, time - 1e9, time);
		return this.#say("incomplete", lossy ? "eventsLost" : "tracingBegan", 0);
	}

	#dueAt(hop: number): Judgement["due"] & object {
		return this.#dues.due(this.#hops.words[hop | HopAt.hook] as number, this.#hops.words[hop | HopAt.tuple] as number);
	}

	/** Hooks by which packets enter a node from the wire; all nodes' when it has no name. */
	#entriesOf(node: string | null): number[] {
		const entries: number[] = [];
		for (const id of this.#hooks.ids()) {
			const rank = this.#hooks.rank[id] as number;
			if (rank !== Rank.nicIngress && rank !== Rank.tunnelIngress) continue;
			if (this.#hooks.isOn(id) && (node === null || this.#hooks.get(id).node === node)) entries.push(id);
		}
		return entries;
	}

	#say(verdict: Judgement["verdict"], cause: Judgement["cause"], hop: number): Judgement {
		const judgement = this.#judgement;
		judgement.verdict = verdict;
		judgement.cause = cause;
		judgement.hop = hop;
		judgement.expected = null;
		judgement.due = null;
		judgement.drop = null;
		return judgement;
	}

	#set(judgement: Judgement, verdict: Judgement["verdict"], cause: Judgement["cause"]): Judgement {
		judgement.verdict = verdict;
		judgement.cause = cause;
		if (cause === null) judgement.hop = 0;
		return judgement;
	}
}
