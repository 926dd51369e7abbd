import type { End } from "../filter/end.js";
import { describeUnknown, isUnknown, resolveEnd } from "../filter/resolve.js";
import { type Cluster, lookupOver } from "./cluster.js";
import type { Question } from "./question.js";

/** An END that nobody is, and that a trace would wait for in vain. Null: both are known, or may come. */
export function unknownEnd(
	question: Question,
	text: { readonly from: string; readonly to: string },
	cluster: Cluster,
	nodes: readonly string[],
): { readonly kind: End["kind"]; readonly why: string } | null {
	const lookup = lookupOver(cluster);
	for (const side of ["from", "to"] as const) {
		const end = question[side];
		if (!isUnknown(end, resolveEnd(end, lookup))) continue;
		const { suggestion } = describeUnknown(end, text[side], lookup);
		return { kind: end.kind, why: `no ${end.kind} ${text[side]} is known on ${nodes.join(" and ")}: ${suggestion}` };
	}
	return null;
}
