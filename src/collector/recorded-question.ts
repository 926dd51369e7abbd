import { printEnd } from "../filter/end.js";
import { globMatches, isGlob } from "../filter/pattern.js";
import { printFilter } from "../filter/print.js";
import type { Glob } from "../recording/anonymizer.js";
import type { Json } from "../recording/format.js";
import { askQuestion, type Question } from "./question.js";

/*
 * A question in a recording is a list of pieces, so that anonymizing tells the words of the filter's language, which
 * stay, from addresses and names, which are replaced:
 *
 *     "tcp and pod default/web"  →  [{ "word": "tcp" }, { "word": "and" }, { "word": "pod" }, { "value": "default/web" }]
 */

interface Piece {
	readonly word?: string;
	readonly value?: string;
}

/** Names and addresses stand behind these. */
const NAMING = new Set(["host", "net", "pod", "svc", "node"]);

export function recordQuestion(question: Question): Json {
	return {
		from: piecesOfEnd(printEnd(question.from)),
		to: piecesOfEnd(printEnd(question.to)),
		filter: piecesOfFilter(printFilter(question.filter)),
	} as unknown as Json;
}

/** @throws FilterError when it is no question, and TypeError when it is none of ours */
export function recordedQuestion(json: Json): Question {
	const fields = json as { readonly [key: string]: Json };
	const text = (key: string, glue: string) =>
		(fields[key] as readonly Piece[]).map(({ word, value }) => String(word ?? value)).join(glue);
	return askQuestion({ from: text("from", ""), to: text("to", ""), filter: text("filter", " "), namespace: "default" });
}

/** Globs are about letters, of which pseudonyms have others: each part of the names that were asked for by a glob. */
export function globsIn(question: Question): readonly Glob[] {
	const recorded = recordQuestion(question) as { readonly [key: string]: readonly Piece[] };
	const values = Object.values(recorded).flatMap((pieces) => pieces.flatMap(({ value }) => value ?? []));
	const patterns = new Set(values.flatMap((value) => value.split("/")).filter(isGlob));
	return [...patterns].map((pattern) => ({ pattern, matches: (name) => globMatches(pattern, name) }));
}

function piecesOfEnd(text: string): readonly Piece[] {
	if (text === "any") return [{ word: text }];
	const scheme = /^(svc:|node:)(.*)$/s.exec(text);
	return scheme === null ? [{ value: text }] : [{ word: scheme[1] ?? "" }, { value: scheme[2] ?? "" }];
}

function piecesOfFilter(text: string): readonly Piece[] {
	const tokens = text.match(/[()]|[^\s()]+/g) ?? [];
	return tokens.map((token, i) => (NAMING.has(tokens[i - 1] ?? "") ? { value: token } : { word: token }));
}
