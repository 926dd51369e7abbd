import type { Expression } from "../filter/ast.js";
import { type End, parseEnd } from "../filter/end.js";
import { parseFilter } from "../filter/grammar.js";

/** What a trace asks, parsed; plain data, so that a worker can have it too. Names are resolved as pods come and go. */
export interface Question {
	readonly from: End;
	readonly to: End;
	/** An empty filter is every packet. */
	readonly filter: Expression;
}

/** @throws FilterError that points at the word it does not understand */
export function askQuestion(text: {
	readonly from: string;
	readonly to: string;
	readonly filter: string;
	readonly namespace: string;
}): Question {
	const options = { namespace: text.namespace };
	return {
		from: parseEnd(text.from, options),
		to: parseEnd(text.to, options),
		filter: parseFilter(text.filter, options),
	};
}
