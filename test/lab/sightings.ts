import type { Hook, HookId } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { wallClock } from "../../src/path/materialise.js";
import { replayFrom } from "../../src/recording/file.js";

/** One row of a recording: a packet at a hook, before anything was joined. */
export interface Sighting {
	readonly hook: Hook;
	/** ns on the recording's own line. */
	readonly time: number;
	/** The same as paths tell it: with its hook it names the sighting. */
	readonly at: string;
	readonly tuple: Tuple;
	readonly skb: string;
	readonly length: number;
	readonly sequence: number;
	readonly payload: number;
	readonly tsval: number;
	readonly ipId: number;
	readonly hash: number;
	readonly gsoSize: number;
	readonly segments: number;
	readonly flags: number;
	readonly tcpFlags: number;
	/** In a tunnel. */
	readonly outer: boolean;
}

/** What a `weft trace -w FILE` saw, in order of time: what the kernel did, whatever the Joiner made of it. */
export async function readSightings(file: string): Promise<readonly Sighting[]> {
	const tables = { tuples: new TupleTable(), outers: new OuterTable() };
	const hooks = new Map<HookId, Hook>();
	const sightings: Sighting[] = [];
	const nothing = () => {};
	let base = 0n;
	await replayFrom(
		file,
		{
			header({ details }) {
				base = BigInt((details as { readonly wallClockBase: string }).wallClockBase);
			},
			hook: (_, hook) => void hooks.set(hook.id, hook),
			unhook: nothing,
			batch(_, rows) {
				for (let i = 0; i < rows.count; i++) {
					sightings.push({
						hook: hooks.get(rows.hook[i] as HookId) as Hook,
						time: rows.time[i] as number,
						at: wallClock(base, rows.time[i] as number),
						tuple: tables.tuples.get(rows.tuple[i] as number),
						skb: `${rows.skbHigh[i]}:${rows.skbLow[i]}`,
						length: rows.length[i] as number,
						sequence: rows.sequence[i] as number,
						payload: rows.payload[i] as number,
						tsval: rows.tsval[i] as number,
						ipId: rows.ipId[i] as number,
						hash: rows.hash[i] as number,
						gsoSize: rows.gsoSize[i] as number,
						segments: rows.segments[i] as number,
						flags: rows.flags[i] as number,
						tcpFlags: rows.tcpFlags[i] as number,
						outer: rows.outer[i] !== 0,
					});
				}
			},
			lost: nothing,
			watermark: nothing,
			clock: nothing,
			end: nothing,
		},
		tables,
	);
	return sightings.sort((a, b) => a.time - b.time);
}

/** "flannel.1→e @node-a", as weft itself says it. */
export function placeOf({ device, direction, node }: Pick<Hook, "device" | "direction" | "node">): string {
	return `${device}→${direction === "ingress" ? "i" : "e"} @${node}`;
}
