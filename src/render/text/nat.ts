import type { Hop, Path } from "../../path/path.js";
import { splitFace } from "./names.js";
import { trunk } from "./shape.js";

/** Where a packet's addresses were rewritten: the hop that saw the new ones first, and what changed, one line each. */
export interface Rewriting {
	readonly hop: Hop;
	/** "DNAT 10.96.0.11:80 → 10.244.2.3:8080" */
	readonly changes: readonly string[];
}

/**
 * Compares the faces from hop to hop. On a reply the names are those of the rule that is being undone: conntrack
 * turns the source back for DNAT, the destination for SNAT.
 */
export function rewritings(path: Path, reply: boolean): readonly Rewriting[] {
	const found: Rewriting[] = [];
	let previous: Hop | null = null;
	for (const hop of trunk(path)) {
		const changes: string[] = [];
		if (previous !== null) {
			const [sourceName, destinationName] = reply ? ["un-DNAT", "un-SNAT"] : ["SNAT", "DNAT"];
			if (differ(previous.destination, hop.destination)) {
				changes.push(`${destinationName} ${previous.destination ?? ""} → ${hop.destination ?? ""}`);
			}
			if (differ(previous.source, hop.source)) {
				changes.push(`${sourceName} ${previous.source ?? ""} → ${hop.source ?? ""}`);
			}
		}
		if (changes.length > 0) found.push({ hop, changes });
		previous = hop;
	}
	return found;
}

/** A fragment without ports is not NAT, nor is a hop that could not be read. */
function differ(before: string | null, after: string | null): boolean {
	if (before === null || after === null || before === after) return false;
	const [left, right] = [splitFace(before), splitFace(after)];
	return left.address !== right.address || (left.port !== null && right.port !== null && left.port !== right.port);
}
