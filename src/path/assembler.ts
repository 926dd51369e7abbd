import type { Sightings } from "../packet/sightings.js";
import { isFragment, makeByDatagram } from "./by-datagram.js";
import { makeByKey } from "./by-key.js";
import { makeByPointer } from "./by-pointer.js";
import { makeByRange } from "./by-range.js";
import { CarrierAt, CarrierF64 } from "./carrier-table.js";
import type { PendingDrop } from "./drops.js";
import { Rank } from "./hook-table.js";
import type { TiedRow } from "./merge.js";
import { makeOpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64, State } from "./path-table.js";
import { makePrefetch } from "./prefetch.js";
import { compareRows } from "./tie.js";
import type { Workshop } from "./workshop.js";

/**
 * Puts rows, which come in their one order, together into paths. In short:
 *
 *     pointer known, same packet, further on   → the path goes on                 (one look-up)
 *     else the pointer carries another packet: the carrier is taken from its path, and
 *     where packets begin                      → a new path
 *     elsewhere: equal key; overlapping range  → the path goes on, by a new carrier
 *     a fragment, or fragments put together    → the datagram's path goes on
 *     else                                     → a new path
 */
export type Assembler = ReturnType<typeof makeAssembler>;

/** @param release gets every batch back whose rows were read */
export function makeAssembler(shop: Workshop, release: (rows: Sightings) => void) {
	const {
		alarm,
		carriers,
		closed,
		closing,
		counters,
		crossings,
		datagrams,
		drops,
		facts,
		flooded,
		hooks,
		lost,
		ordered,
		orphans,
		paths,
		pointers,
		sight,
		suspects,
	} = shop;
	const now = new Float64Array(1).fill(Number.NEGATIVE_INFINITY);
	const open = makeOpenPaths(shop);
	const prefetch = makePrefetch(shop);
	const byPointer = makeByPointer(shop);
	const byKey = makeByKey(shop, open);
	const byRange = makeByRange(shop, open);
	const byDatagram = makeByDatagram(shop, open);
	return { now, begin, warm: prefetch.warm, row, compare, done: release, expire, finish };

	function begin(source: number, offsetNs: number, time: number): void {
		sight.source = source;
		crossings.setOffset(source, offsetNs, time);
	}

	function row(i: number): void {
		expire();
		const { rows } = sight;
		const hook = rows.hook[i] as number;
		const tuple = rows.tuple[i] as number;
		const rank = hooks.rank[hook] as number;
		if (rank === Rank.none) {
			counters.unknownHook++;
			return;
		}
		if (tuple === 0) {
			counters.noTuple++;
			return;
		}
		counters.joined++;
		sight.i = i;
		sight.hook = hook;
		sight.rank = rank;
		sight.tuple = tuple;
		sight.kind = facts.kind(tuple);
		place();
	}

	function compare(a: TiedRow, b: TiedRow): number {
		return compareRows(hooks, a, b);
	}

	/** Judges what has waited its time by now, in the order in which it began to wait. */
	function expire(): void {
		const time = now[0] as number;
		sight.now = time;
		if (time >= alarm.at || drops.next < time) expireAt(time);
	}

	function expireAt(now: number): void {
		alarm.at = Number.POSITIVE_INFINITY;
		if (drops.next < now) applyDrops(now);
		for (let path = flooded.due(now); path !== 0; path = flooded.due(now)) open.judge(path, "due");
		for (let path = orphans.due(now); path !== 0; path = orphans.due(now)) open.expireOrphan(path);
		for (let path = suspects.due(now); path !== 0; path = suspects.due(now)) {
			const since = paths.doubles[(path >> 1) | PathF64.since] as number;
			const latest = paths.doubles[(path >> 1) | PathF64.latest] as number;
			if (latest - since > suspects.waitNs / 2) {
				suspects.remove(path);
				suspects.add(path, latest);
			} else {
				open.judge(path, "due");
			}
		}
		while (closed.dueAt() <= now) open.free(closed.take());
		while (ordered.dueAt() <= now) open.free(ordered.take());
		while (lost.dueAt() <= now) open.free(lost.take());
		for (const { dueAt } of [flooded, orphans, suspects]) alarm.lower(dueAt());
		for (const { dueAt } of [closed, ordered, lost]) alarm.lower(dueAt());
	}

	/** The trace is over: judges everything that is open. */
	function finish(): void {
		applyDrops(Number.POSITIVE_INFINITY);
		for (let path = orphans.oldest; path !== 0; path = orphans.oldest) open.expireOrphan(path);
		for (let path = flooded.oldest; path !== 0; path = flooded.oldest) open.judge(path, "end");
		for (let path = suspects.oldest; path !== 0; path = suspects.oldest) open.judge(path, "end");
	}

	function place(): void {
		const { rows, i } = sight;
		const carrier = pointers.find(sight.source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
		if (
			carrier !== 0 &&
			((paths.words[(carriers.words[carrier | CarrierAt.path] as number) | PathAt.marks] as number) &
				Mark.fragments) !==
				0
		) {
			if (byDatagram.follow(carrier)) return;
			open.vacate(carrier);
		} else if (carrier !== 0) {
			if (byPointer.goesOn(carrier)) {
				follow(carrier);
				return;
			}
			open.vacate(carrier);
		}
		enter();
	}

	/** The carrier's packet is seen further on. */
	function follow(carrier: number): void {
		const path = carriers.words[carrier | CarrierAt.path] as number;
		open.advance(carrier);
		if (carriers.words[carrier | CarrierAt.whole] === 0) {
			if (!byRange.join(true) && paths.words[path | PathAt.state] === State.open) open.pass(path, carrier);
			return;
		}
		open.pass(path, carrier);
		if (paths.words[path | PathAt.state] === State.open) open.settle(path);
		else open.revise(path, closing.suspect(path, sight.now, "due"));
	}

	/** No pointer leads here. */
	function enter(): void {
		const { rank } = sight;
		if (isFragment(sight)) {
			if (!byDatagram.join()) byDatagram.begin();
			return;
		}
		const begins = rank === Rank.podIngress || rank === Rank.insideEgress;
		if (!begins) {
			if (byKey.joinAcross()) return;
			if (byKey.joinFlood()) return;
			if (byRange.join(false)) return;
			if (datagrams.size > 0 && byDatagram.join()) return;
		}
		open.open();
	}

	function applyDrops(now: number): void {
		for (let drop = drops.take(now); drop !== null; drop = drops.take(now)) end(drop);
	}

	function end({ source, time, report }: PendingDrop): void {
		const carrier = pointers.find(source, report.skbLow >>> 0, report.skbHigh >>> 0);
		if (carrier === 0 || (carriers.doubles[(carrier >> 1) | CarrierF64.time] as number) > time) {
			counters.strayDrops++;
			return;
		}
		counters.drops++;
		open.drop(carrier, report);
	}
}
