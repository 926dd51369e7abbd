import type { JoinedPath } from "../path/path-view.js";
import type { Judged } from "./drop-judge.js";

/** Why a packet was dropped, for a person. */
export interface Words {
	readonly reason: string;
	/** A command that would repair it; null: none is known. */
	readonly remedy: string | null;
}

/** The same path with these words for its end; null: with those that it has. */
export function explained(path: JoinedPath, words: Words | null): JoinedPath {
	return path.blame === null || words === null ? path : { ...path, blame: { ...path.blame, ...words } };
}

/** One line for a path's blame. */
export function wordsOf({ diagnosis, explanation }: Judged): string {
	return explanation.startsWith(diagnosis) ? explanation : `${diagnosis}: ${explanation}`;
}
