import type { Sightings } from "../packet/sightings.js";
import { ByDatagram, isFragment } from "./by-datagram.js";
import { ByKey } from "./by-key.js";
import { ByPointer } from "./by-pointer.js";
import { ByRange } from "./by-range.js";
import { CarrierAt, CarrierF64 } from "./carrier-table.js";
import type { PendingDrop } from "./drops.js";
import { Rank } from "./hook-table.js";
import type { RowReader, TiedRow } from "./merge.js";
import { OpenPaths } from "./open-paths.js";
import { Mark, PathAt, PathF64, State } from "./path-table.js";
import { Prefetch } from "./prefetch.js";
import type { Sight } from "./sight.js";
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
export class Assembler implements RowReader {
	readonly now = new Float64Array(1).fill(Number.NEGATIVE_INFINITY);
	readonly #shop: Workshop;
	readonly #release: (rows: Sightings) => void;
	readonly #open: OpenPaths;
	readonly #byPointer: ByPointer;
	readonly #byKey: ByKey;
	readonly #byRange: ByRange;
	readonly #byDatagram: ByDatagram;
	readonly #prefetch: Prefetch;

	/** @param release gets every batch back whose rows were read */
	constructor(shop: Workshop, release: (rows: Sightings) => void) {
		this.#shop = shop;
		this.#release = release;
		this.#open = new OpenPaths(shop);
		this.#prefetch = new Prefetch(shop);
		this.#byPointer = new ByPointer(shop);
		this.#byKey = new ByKey(shop, this.#open);
		this.#byRange = new ByRange(shop, this.#open);
		this.#byDatagram = new ByDatagram(shop, this.#open);
	}

	begin(source: number, rows: Sightings, offsetNs: number, time: number): void {
		const { sight, crossings } = this.#shop;
		sight.source = source;
		sight.rows = rows;
		crossings.setOffset(source, offsetNs, time);
	}

	warm(from: number, to: number): void {
		const { source, rows } = this.#shop.sight;
		this.#prefetch.rows(source, rows, from, to);
	}

	row(i: number): void {
		const { sight, hooks, facts, counters } = this.#shop;
		this.expire();
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
		sight.show(i);
		sight.hook = hook;
		sight.rank = rank;
		sight.tuple = tuple;
		sight.kind = facts.kind(tuple);
		this.#place(sight);
	}

	compare(a: TiedRow, b: TiedRow): number {
		return compareRows(this.#shop.hooks, a, b);
	}

	done(rows: Sightings): void {
		this.#release(rows);
	}

	/** Judges what has waited its time by now, in the order in which it began to wait. */
	expire(): void {
		const { sight, drops, alarm } = this.#shop;
		const now = this.now[0] as number;
		sight.now = now;
		if (now >= alarm.at || drops.next < now) this.#expireAt(now);
	}

	#expireAt(now: number): void {
		const { paths, suspects, flooded, orphans, closed, ordered, lost, drops, alarm } = this.#shop;
		alarm.at = Number.POSITIVE_INFINITY;
		if (drops.next < now) this.#applyDrops(now);
		for (let path = flooded.due(now); path !== 0; path = flooded.due(now)) this.#open.judge(path, "due");
		for (let path = orphans.due(now); path !== 0; path = orphans.due(now)) this.#open.expireOrphan(path);
		for (let path = suspects.due(now); path !== 0; path = suspects.due(now)) {
			const since = paths.doubles[(path >> 1) | PathF64.since] as number;
			const latest = paths.doubles[(path >> 1) | PathF64.latest] as number;
			if (latest - since > suspects.waitNs / 2) {
				suspects.remove(path);
				suspects.add(path, latest);
			} else {
				this.#open.judge(path, "due");
			}
		}
		while (closed.dueAt <= now) this.#open.free(closed.take());
		while (ordered.dueAt <= now) this.#open.free(ordered.take());
		while (lost.dueAt <= now) this.#open.free(lost.take());
		for (const { dueAt } of [flooded, orphans, suspects]) alarm.lower(dueAt);
		for (const { dueAt } of [closed, ordered, lost]) alarm.lower(dueAt);
	}

	/** The trace is over: judges everything that is open. */
	finish(): void {
		const { suspects, flooded, orphans } = this.#shop;
		this.#applyDrops(Number.POSITIVE_INFINITY);
		for (let path = orphans.oldest; path !== 0; path = orphans.oldest) this.#open.expireOrphan(path);
		for (let path = flooded.oldest; path !== 0; path = flooded.oldest) this.#open.judge(path, "end");
		for (let path = suspects.oldest; path !== 0; path = suspects.oldest) this.#open.judge(path, "end");
	}

	#place(sight: Sight): void {
		const { carriers, paths } = this.#shop;
		const { rows, i } = sight;
		const carrier = carriers.find(sight.source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
		if (
			carrier !== 0 &&
			((paths.words[(carriers.words[carrier | CarrierAt.path] as number) | PathAt.marks] as number) &
				Mark.fragments) !==
				0
		) {
			if (this.#byDatagram.follow(carrier, sight)) return;
			this.#open.vacate(carrier, sight);
		} else if (carrier !== 0) {
			if (this.#byPointer.goesOn(carrier, sight)) {
				this.#follow(carrier, sight);
				return;
			}
			this.#open.vacate(carrier, sight);
		}
		this.#enter(sight);
	}

	/** The carrier's packet is seen further on. */
	#follow(carrier: number, sight: Sight): void {
		const { carriers, paths, closing } = this.#shop;
		const open = this.#open;
		const path = carriers.words[carrier | CarrierAt.path] as number;
		open.advance(carrier, sight);
		if (carriers.words[carrier | CarrierAt.whole] === 0) {
			if (!this.#byRange.join(sight, true) && paths.words[path | PathAt.state] === State.open)
				open.pass(path, carrier, sight);
			return;
		}
		open.pass(path, carrier, sight);
		if (paths.words[path | PathAt.state] === State.open) open.settle(path, sight);
		else open.revise(path, closing.suspect(path, sight.now, "due"));
	}

	/** No pointer leads here. */
	#enter(sight: Sight): void {
		const { datagrams } = this.#shop;
		const { rank } = sight;
		if (isFragment(sight)) {
			if (!this.#byDatagram.join(sight)) this.#byDatagram.begin(sight);
			return;
		}
		const begins = rank === Rank.podIngress || rank === Rank.insideEgress;
		if (!begins) {
			if (this.#byKey.joinAcross(sight)) return;
			if (this.#byKey.joinFlood(sight)) return;
			if (this.#byRange.join(sight, false)) return;
			if (datagrams.size > 0 && this.#byDatagram.join(sight)) return;
		}
		this.#open.open(sight);
	}

	#applyDrops(now: number): void {
		const { drops } = this.#shop;
		for (let drop = drops.take(now); drop !== null; drop = drops.take(now)) this.#drop(drop);
	}

	#drop({ source, time, report }: PendingDrop): void {
		const { carriers, counters } = this.#shop;
		const carrier = carriers.find(source, report.skbLow >>> 0, report.skbHigh >>> 0);
		if (carrier === 0 || (carriers.doubles[(carrier >> 1) | CarrierF64.time] as number) > time) {
			counters.strayDrops++;
			return;
		}
		counters.drops++;
		this.#open.drop(carrier, report);
	}
}
