import type { DueCache } from "./due-cache.js";
import { type HookTable, Rank } from "./hook-table.js";
import { HopAt, type HopTable } from "./hop-table.js";
import { type DropReport, delivered, type Judgement } from "./judgement.js";
import type { Losses } from "./losses.js";
import { Mark, PathAt, PathF64, PathMore, type PathTable } from "./path-table.js";

/** When a path is judged: it has waited its time, the table is full, or the trace is over. */
export type Occasion = "due" | "full" | "end";

/** Judges paths that no next hook has seen. */
export type Closing = ReturnType<typeof makeClosing>;

export function makeClosing(paths: PathTable, hops: HopTable, hooks: HookTable, dues: DueCache, losses: Losses) {
	const judgement = delivered();
	return { arrived, dropped, gone, suspect };

	/** The terminal hook saw it. */
	function arrived(path: number): Judgement {
		if (((paths.words[path | PathAt.marks] as number) & Mark.midway) !== 0) return midway(path);
		return say("delivered", null, 0);
	}

	/** The kernel says that it threw the packet away. @param hop where it was seen last */
	function dropped(hop: number, report: DropReport): Judgement {
		const judgement = say("dropped", "kernelDropped", hop);
		judgement.drop = report;
		return judgement;
	}

	/** It went where nobody looks. */
	function gone(path: number): Judgement {
		if (((paths.words[path | PathAt.marks] as number) & Mark.midway) !== 0) return midway(path);
		const hop = paths.words[path | PathAt.lastHop] as number;
		const judgement = say("forwarded", "notWatched", hop);
		judgement.due = dueAt(hop);
		return judgement;
	}

	/** @param until joiner time up to which all hooks have told what they saw */
	function suspect(path: number, until: number, occasion: Occasion): Judgement {
		const marks = paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.arrived) !== 0) return arrived(path);
		const hop = paths.words[path | PathAt.lastHop] as number;
		if (occasion === "full") return say("incomplete", "tableFull", hop);
		if ((marks & Mark.midway) !== 0) return midway(path);
		const partial = lastWhole(path);
		if (partial !== 0) return partly(path, partial, until, occasion);
		const due = dueAt(hop);
		const hook = hops.words[hop | HopAt.hook] as number;
		const judgement = say("incomplete", "wayUnknown", hop);
		judgement.due = due;
		switch (due.kind) {
			case "terminal":
				return set(judgement, "delivered", null);
			case "nowhere":
				return set(judgement, "lost", "nowhere");
			case "leaves":
				if (!dues.watchedElsewhere(hook, due)) return set(judgement, "forwarded", "notWatched");
				return missingAcross(judgement, path, until, occasion, due.node);
			case "next":
				if (due.mayEnd === true) return set(judgement, "delivered", null);
				if (due.hooks.length === 0) return set(judgement, "forwarded", "notWatched");
				judgement.expected = due.expected;
				return missing(judgement, path, until, occasion, due.hooks);
			case "unknown":
				if (losses.touches(hooks.source[hook] as number, paths.doubles[(path >> 1) | PathF64.first] as number, until)) {
					return set(judgement, "incomplete", "eventsLost");
				}
				if ((hooks.rank[hook] as number) >= Rank.tunnelEgress && hooks.egress[hook] === 1) {
					return set(judgement, "forwarded", "notWatched");
				}
				return judgement;
		}
	}

	/** It left for a watched node. */
	function missingAcross(
		judgement: Judgement,
		path: number,
		until: number,
		occasion: Occasion,
		node: string | null,
	): Judgement {
		const entries = entriesOf(node);
		const names = entries.map((id) => hooks.get(id)).map((hook) => `${hook.device}→i @${hook.node}`);
		judgement.expected = names.length === 0 ? null : names.join(" or ");
		return missing(judgement, path, until, occasion, entries);
	}

	/** One of `candidates` had to see it, and none did. */
	function missing(
		judgement: Judgement,
		path: number,
		until: number,
		occasion: Occasion,
		candidates: readonly number[],
	): Judgement {
		if (occasion === "end") return set(judgement, "incomplete", "tracingEnded");
		const latest = paths.doubles[(path >> 1) | PathF64.latest] as number;
		let watching = false;
		for (const hook of candidates) {
			if (losses.touches(hooks.source[hook] as number, latest, until)) {
				return set(judgement, "incomplete", "eventsLost");
			}
			if (hooks.isOn(hook) && (hooks.since[hook] as number) <= latest) watching = true;
		}
		return watching ? set(judgement, "lost", "notSeen") : set(judgement, "incomplete", "tracingBegan");
	}

	/** Its segments did not all arrive behind `whole`. */
	function partly(path: number, whole: number, until: number, occasion: Occasion): Judgement {
		const next = hops.words[whole | HopAt.next] as number;
		const hook = hooks.get(hops.words[next | HopAt.hook] as number);
		const judgement = say("lost", "partly", whole);
		judgement.expected = `${hook.device}→${hook.direction === "ingress" ? "i" : "e"}`;
		judgement.due = dueAt(whole);
		const lossy = losses.touches(
			hooks.source[hook.id] as number,
			paths.doubles[(path >> 1) | PathF64.first] as number,
			until,
		);
		if (lossy) return set(judgement, "incomplete", "eventsLost");
		if (occasion === "end") return set(judgement, "incomplete", "tracingEnded");
		return judgement;
	}

	/** The last hop that saw the whole range, when its successor did not; 0: no such. */
	function lastWhole(path: number): number {
		if (((paths.words[path | PathAt.marks] as number) & (Mark.manifold | Mark.fragments)) === 0) return 0;
		const { words } = hops;
		for (let hop = paths.words[path | PathAt.firstHop] as number; ; ) {
			const following = words[hop | HopAt.next] as number;
			if (following === 0) return 0;
			if (isWhole(path, hop) && !isWhole(path, following)) return hop;
			hop = following;
		}
	}

	function isWhole(path: number, hop: number): boolean {
		const { words } = hops;
		if (((paths.words[path | PathAt.marks] as number) & Mark.fragments) === 0) {
			return words[hop | HopAt.coverLow] === 0xffffffff && words[hop | HopAt.coverHigh] === 0xffffffff;
		}
		const total = paths.more[(path >> 1) | PathMore.total] as number;
		return total > 0 && (words[hop | HopAt.leadingBytes] as number) >= total;
	}

	function midway(path: number): Judgement {
		const first = paths.words[path | PathAt.firstHop] as number;
		const source = hooks.source[hops.words[first | HopAt.hook] as number] as number;
		const time = paths.doubles[(path >> 1) | PathF64.first] as number;
		const lossy = losses.touches(source, time - 1e9, time);
		return say("incomplete", lossy ? "eventsLost" : "tracingBegan", 0);
	}

	function dueAt(hop: number): Judgement["due"] & object {
		return dues.due(hops.words[hop | HopAt.hook] as number, hops.words[hop | HopAt.tuple] as number);
	}

	/** Hooks by which packets enter a node from the wire; all nodes' when it has no name. */
	function entriesOf(node: string | null): number[] {
		const entries: number[] = [];
		for (const id of hooks.ids()) {
			const rank = hooks.rank[id] as number;
			if (rank !== Rank.nicIngress && rank !== Rank.tunnelIngress) continue;
			if (hooks.isOn(id) && (node === null || hooks.get(id).node === node)) entries.push(id);
		}
		return entries;
	}

	function say(verdict: Judgement["verdict"], cause: Judgement["cause"], hop: number): Judgement {
		judgement.verdict = verdict;
		judgement.cause = cause;
		judgement.hop = hop;
		judgement.expected = null;
		judgement.due = null;
		judgement.drop = null;
		return judgement;
	}

	function set(judgement: Judgement, verdict: Judgement["verdict"], cause: Judgement["cause"]): Judgement {
		judgement.verdict = verdict;
		judgement.cause = cause;
		if (cause === null) judgement.hop = 0;
		return judgement;
	}
}
