import type { HookTable } from "./hook-table.js";
import type { TiedRow } from "./merge.js";

/**
 * Orders rows of one time by what is in them, hooks in the order in which a packet passes them: then it does not matter
 * which ring gave which first.
 */
export function compareRows(hooks: HookTable, a: TiedRow, b: TiedRow): number {
	const hookA = a.rows.hook[a.i] as number;
	const hookB = b.rows.hook[b.i] as number;
	return (
		hooks.sourceOrder(a.source) - hooks.sourceOrder(b.source) ||
		(hooks.rank[hookA] as number) - (hooks.rank[hookB] as number) ||
		hookA - hookB ||
		(a.rows.skbHigh[a.i] as number) - (b.rows.skbHigh[b.i] as number) ||
		(a.rows.skbLow[a.i] as number) - (b.rows.skbLow[b.i] as number) ||
		(a.rows.sequence[a.i] as number) - (b.rows.sequence[b.i] as number) ||
		(a.rows.ipId[a.i] as number) - (b.rows.ipId[b.i] as number) ||
		(a.rows.hash[a.i] as number) - (b.rows.hash[b.i] as number) ||
		(a.rows.length[a.i] as number) - (b.rows.length[b.i] as number)
	);
}
