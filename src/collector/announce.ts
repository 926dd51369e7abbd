import { type End, printEnd } from "../filter/end.js";
import { type ResolvedEnd, resolveEnd } from "../filter/resolve.js";
import { formatWords } from "../packet/addresses.js";
import type { Hook } from "../packet/hook.js";
import type { OuterHeader } from "../path/path.js";
import type { Wiring } from "../wiring/model.js";
import { type Cluster, lookupOver } from "./cluster.js";
import type { Question } from "./question.js";
import type { Ready, ResolvedName } from "./report.js";
import { tunnelBetween } from "./tunnels.js";

export interface Announced {
	readonly question: Question;
	/** The ends as the user wrote them; null: as weft would write them. */
	readonly text: { readonly from: string; readonly to: string } | null;
	readonly cluster: Cluster;
	readonly wirings: readonly Wiring[];
	readonly hooks: readonly Hook[];
	readonly readyMs: number;
	readonly warnings: readonly string[];
}

/** What a stream begins with. */
export function announce({ question, text, cluster, wirings, hooks, readyMs, warnings }: Announced): Ready {
	const lookup = lookupOver(cluster);
	const [from, to] = [resolveEnd(question.from, lookup), resolveEnd(question.to, lookup)];
	return {
		type: "ready",
		nodes: [...new Set(hooks.map(({ node }) => node))],
		hooks: hooks.map(({ node, device, ifindex, direction, role }) => ({ node, device, ifindex, direction, role })),
		readyMs: Math.round(readyMs),
		from: nameOf(text?.from ?? null, question.from, from),
		to: nameOf(text?.to ?? null, question.to, to),
		tunnel: tunnelOf(from, to, wirings),
		warnings,
	};
}

function nameOf(written: string | null, asked: End, end: ResolvedEnd): ResolvedName {
	const text = written ?? printEnd(asked);
	const addresses = end.prefixes.filter(({ bits }) => bits === 128).map(({ words }) => formatWords(...words));
	const nodes = new Set(end.devices.map(({ node }) => node));
	return {
		text,
		name: end.names.length === 1 ? (end.names[0] as string) : text,
		node: nodes.size === 1 ? ([...nodes][0] as string) : null,
		addresses,
	};
}

function tunnelOf(from: ResolvedEnd, to: ResolvedEnd, wirings: readonly Wiring[]): OuterHeader | null {
	const [a, b] = [from.devices[0]?.node, to.devices[0]?.node];
	return a === undefined || b === undefined || a === b ? null : tunnelBetween(wirings, a, b);
}
