import type { Due } from "../wiring/model.js";
import type { Verdict } from "./path.js";

/** Why a verdict other than `delivered` was given. */
export type Cause =
	/** The routes lead to a node, or to hooks, that nobody watches. */
	| "notWatched"
	/** The next hook was watched, lost nothing, and did not see it. */
	| "notSeen"
	/** Only a part of its range was seen at the last hop. */
	| "partly"
	/** Routes or FDB lead nowhere. */
	| "nowhere"
	| "kernelDropped"
	| "eventsLost"
	| "tracingBegan"
	| "tracingEnded"
	| "tableFull"
	| "wayUnknown";

/** What a drop report says; the kernel's own names. */
export interface DropReport {
	/** ns of the source's clock. */
	readonly timeNs: number;
	readonly skbLow: number;
	readonly skbHigh: number;
	readonly reason: string;
	/** Where in the kernel. */
	readonly function: string | null;
	/** What that means, for a person; null or absent: nobody looked into it. */
	readonly words?: string | null;
	/** A command that would repair it. */
	readonly remedy?: string | null;
	/** Names the report to whoever can say more of it. */
	readonly ticket?: number;
}

/** How a path ended, and on what that rests. One object is used for all: copy what is kept. */
export interface Judgement {
	verdict: Verdict;
	/** null: delivered whole. */
	cause: Cause | null;
	/** Id in the HopTable of where it was seen last, for the blame; 0: no place. */
	hop: number;
	/** Hook that should have seen it; null: see `due`. */
	expected: string | null;
	due: Due | null;
	drop: DropReport | null;
}

export const VERDICTS: readonly Verdict[] = ["delivered", "forwarded", "dropped", "lost", "incomplete"];

/** Its place in VERDICTS. Most are delivered: a look, where indexOf is a call. */
export function verdictIndex(verdict: Verdict): number {
	return verdict === "delivered" ? 0 : VERDICTS.indexOf(verdict);
}

export function delivered(): Judgement {
	return { verdict: "delivered", cause: null, hop: 0, expected: null, due: null, drop: null };
}

/** One line for a person. `last` is the last hop, as device→e. */
export function reasonOf(judgement: Judgement, last: string): string {
	const { cause, due } = judgement;
	switch (cause) {
		case null:
			return "delivered";
		case "notWatched":
			return due?.kind === "leaves"
				? `→ ${due.node ?? due.address ?? "outside"}, not watched`
				: "→ not watched from here";
		case "notSeen":
			return `lost after ${last}: ${judgement.expected ?? "the next hook"} watched, 0 events lost`;
		case "partly":
			return `a part of it was lost after ${last}: ${judgement.expected ?? "the next hook"} watched, 0 events lost`;
		case "nowhere":
			return due?.kind === "nowhere" ? due.reason : "no way from here";
		case "kernelDropped":
			return judgement.drop?.words ?? `dropped after ${last}: ${judgement.drop?.reason ?? "reason unknown"}`;
		case "eventsLost":
			return "events were lost in between";
		case "tracingBegan":
			return "tracing began in between";
		case "tracingEnded":
			return "tracing ended in between";
		case "tableFull":
			return "more open paths than there is room for";
		case "wayUnknown":
			return `not known where it is due after ${last}`;
	}
}
