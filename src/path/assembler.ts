import type { Hook } from "../packet/hook.js";
import type { Sightings } from "../packet/sightings.js";
import { EventFlag, Family } from "../packet/sightings.js";
import type { CarrierTable } from "./carrier-table.js";
import type { Closing, Occasion } from "./closing.js";
import type { Counters } from "./counters.js";
import { highBits, lowBits, unitsOf } from "./coverage.js";
import type { PendingDrop, PendingDrops } from "./drops.js";
import { type DueCache, Next } from "./due-cache.js";
import { Rank } from "./hook-table.js";
import type { DropReport, Judgement } from "./judgement.js";
import { VERDICTS } from "./judgement.js";
import { keyA, keyB } from "./key.js";
import type { KeyIndex } from "./key-index.js";
import type { Losses } from "./losses.js";
import type { RowReader, TiedRow } from "./merge.js";
import type { Limits } from "./options.js";
import { Mark, State } from "./path-table.js";
import type { PathSink, PathView, Tables } from "./path-view.js";
import type { RangeIndex } from "./range-index.js";
import type { RecentKeys } from "./recent-keys.js";
import type { RecentPaths } from "./recent-paths.js";
import { compareRows } from "./tie.js";
import type { TupleFacts } from "./tuple-facts.js";
import type { WaitingList } from "./waiting-list.js";

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
/** Equal packets that are looked at for one join. */
const MAX_CANDIDATES = 64;
/** 65,536 IP IDs last longer than this at any rate that a hook can keep up with. */
const ID_WRAP_NS = 5e6;

/** What an Assembler works on; the Joiner makes and owns it all. */
export interface Workshop extends Tables {
	readonly carriers: CarrierTable;
	readonly facts: TupleFacts;
	readonly keys: KeyIndex;
	readonly ranges: RangeIndex;
	readonly recent: RecentKeys;
	readonly recentAt: RecentPaths;
	readonly suspects: WaitingList;
	readonly flooded: WaitingList;
	readonly closed: WaitingList;
	readonly dues: DueCache;
	readonly closing: Closing;
	readonly losses: Losses;
	readonly drops: PendingDrops;
	/** Open paths of which a part was dropped, while the rest may go on. */
	readonly dropped: Map<number, { readonly report: DropReport; readonly hook: Hook }>;
	readonly counters: Counters;
	readonly limits: Limits;
	readonly view: PathView;
	readonly sink: PathSink;
	readonly release: (rows: Sightings) => void;
}

/**
 * Puts rows, which come in their one order, together into paths. In short:
 *
 *     pointer known, same packet, further on   → the path goes on                 (one look-up)
 *     else the pointer carries another packet: the carrier is taken from its path, and
 *     where packets begin                      → a new path
 *     elsewhere: equal key; overlapping range  → the path goes on, by a new carrier
 *     else                                     → a new path
 */
export class Assembler implements RowReader {
	readonly #shop: Workshop;
	#serial = 0;
	/** Joiner time of the row being read, ns: a cell, as doubles that are passed on would be boxed. */
	readonly now = new Float64Array(1).fill(Number.NEGATIVE_INFINITY);

	constructor(shop: Workshop) {
		this.#shop = shop;
	}

	row(source: number, rows: Sightings, i: number): void {
		const { hooks, carriers, facts, counters } = this.#shop;
		this.expire();
		const hook = rows.hook[i] as number;
		const tuple = rows.tuple[i] as number;
		if (hooks.known[hook] === 0) {
			counters.unknownHook++;
			return;
		}
		if (tuple === 0) {
			counters.noTuple++;
			return;
		}
		counters.joined++;
		const kind = facts.kind(tuple);
		const a = keyA(rows, i, kind);
		const b = keyB(rows, i, kind);
		const carrier = carriers.find(source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
		if (carrier !== 0) {
			if (carriers.keyA[carrier] === a && carriers.keyB[carrier] === b && this.#goesOn(carrier, hook, rows, i)) {
				this.#follow(carrier, rows, i, hook, tuple, kind);
				return;
			}
			this.#dropCarrier(carrier);
		}
		this.#enter(source, rows, i, hook, tuple, kind, a, b);
	}

	compare(a: TiedRow, b: TiedRow): number {
		return compareRows(this.#shop.hooks, a, b);
	}

	done(rows: Sightings): void {
		this.#shop.release(rows);
	}

	/** Judges what has waited its time by now, in the order in which it began to wait. */
	expire(): void {
		const { paths, suspects, flooded, closed, drops, limits } = this.#shop;
		const now = this.now[0] as number;
		if (drops.next < now) this.#applyDrops(now);
		for (let path = flooded.oldest; path !== 0; path = flooded.oldest) {
			if ((paths.since[path] as number) + limits.floodNs > now) break;
			this.#judge(path, "due");
		}
		for (let path = suspects.oldest; path !== 0; path = suspects.oldest) {
			const since = paths.since[path] as number;
			if (since + limits.suspectNs > now) break;
			const latest = paths.latest[path] as number;
			if (latest - since > limits.suspectNs / 2) {
				suspects.remove(path);
				suspects.add(path, latest);
			} else {
				this.#judge(path, "due");
			}
		}
		for (let path = closed.oldest; path !== 0; path = closed.oldest) {
			if ((paths.since[path] as number) + limits.suspectNs > now) break;
			this.#free(path);
		}
	}

	/** The trace is over: judges everything that is open. */
	finish(): void {
		const { suspects, flooded } = this.#shop;
		this.#applyDrops(Number.POSITIVE_INFINITY);
		for (let path = flooded.oldest; path !== 0; path = flooded.oldest) this.#judge(path, "end");
		for (let path = suspects.oldest; path !== 0; path = suspects.oldest) this.#judge(path, "end");
	}

	#applyDrops(now: number): void {
		const { drops } = this.#shop;
		for (let drop = drops.take(now); drop !== null; drop = drops.take(now)) this.#drop(drop);
	}

	/** The kernel threw away what a pointer carried: the end of its path, unless copies or other segments go on. */
	#drop({ source, time, report }: PendingDrop): void {
		const { carriers, paths, closing, counters, dropped, hooks } = this.#shop;
		const carrier = carriers.find(source, report.skbLow >>> 0, report.skbHigh >>> 0);
		const path = carrier === 0 ? 0 : (carriers.path[carrier] as number);
		if (path === 0 || (carriers.time[carrier] as number) > time) {
			counters.strayDrops++;
			return;
		}
		counters.drops++;
		const marks = paths.marks[path] as number;
		if ((marks & Mark.flooded) !== 0) return;
		const hop = this.#hopAt(path, carriers.hook[carrier] as number, carriers.branch[carrier] as number);
		if (paths.state[path] === State.closed) this.#revise(path, closing.dropped(hop, report));
		else if (carriers.whole[carrier] === 1 && (marks & Mark.fragments) === 0) {
			this.#close(path, closing.dropped(hop, report));
		} else dropped.set(path, { report, hook: hooks.get(carriers.hook[carrier] as number) });
	}

	/** May the packet of this carrier be seen at `hook` next? */
	#goesOn(carrier: number, hook: number, rows: Sightings, i: number): boolean {
		const { hooks, carriers } = this.#shop;
		const rank = hooks.rank[hook] as number;
		const before = carriers.rank[carrier] as number;
		if (rank <= before && !this.#isNextHost(rank, before, hook, carriers.hook[carrier] as number)) return false;
		const tuple = carriers.tuple[carrier] as number;
		const ingress = rows.ingress[i] as number;
		const cameBy = carriers.cameBy[carrier] as number;
		if (tuple !== rows.tuple[i] && !this.#isTranslated(tuple, rows.tuple[i] as number, hook, cameBy, ingress))
			return false;
		if (hooks.egress[hook] === 0) return hooks.entersAfter(hook, carriers.hook[carrier] as number);
		return ingress === cameBy || hooks.ingressFits(hook, cameBy, ingress);
	}

	/** Is this another face of the same packet? One that the node made itself is not one that came to it. */
	#isTranslated(before: number, after: number, hook: number, cameBy: number, ingress: number): boolean {
		const { facts, hooks } = this.#shop;
		if (facts.sameDirection(before, after)) return true;
		if (hooks.egress[hook] === 1 && ingress === 0 && cameBy !== 0) return false;
		return facts.isNat(before, after);
	}

	/** Devices that are nothing special may stand on each other (VLANs, bonds). */
	#isNextHost(rank: number, before: number, hook: number, last: number): boolean {
		return rank === before && hook !== last && (rank === Rank.hostIngress || rank === Rank.hostEgress);
	}

	/** The carrier's packet is seen further on. */
	#follow(carrier: number, rows: Sightings, i: number, hook: number, tuple: number, kind: number): void {
		const { hooks, carriers, paths, losses } = this.#shop;
		const path = carriers.path[carrier] as number;
		const { state } = paths;
		if (carriers.tuple[carrier] !== tuple) this.#alias(carriers.tuple[carrier] as number, tuple);
		const since = carriers.time[carrier] as number;
		if (losses.youngest >= since) this.#doubt(path, rows, i, since);
		carriers.hook[carrier] = hook;
		carriers.rank[carrier] = hooks.rank[hook] as number;
		carriers.tuple[carrier] = tuple;
		carriers.time[carrier] = this.now[0] as number;
		if (hooks.egress[hook] === 0) carriers.cameBy[carrier] = hooks.ifindex[hook] as number;
		if (carriers.whole[carrier] === 0) {
			const joined = this.#joinByRange(rows, i, hook, tuple, kind, 0);
			if (!joined && state[path] === State.open) this.#passWhole(path, carrier, rows, i, hook, tuple);
			return;
		}
		this.#passWhole(path, carrier, rows, i, hook, tuple);
		if (state[path] === State.closed)
			this.#revise(path, this.#shop.closing.suspect(path, this.now[0] as number, "due"));
		else this.#settle(path, hook, tuple, kind);
	}

	/** No pointer leads here. */
	#enter(
		source: number,
		rows: Sightings,
		i: number,
		hook: number,
		tuple: number,
		kind: number,
		a: number,
		b: number,
	): void {
		const rank = this.#shop.hooks.rank[hook] as number;
		if (rank !== Rank.podIngress && rank !== Rank.insideEgress) {
			if (this.#joinAcross(source, rows, i, hook, tuple, kind, a, b)) return;
			if (this.#joinFlood(source, rows, i, hook, tuple, kind, a, b)) return;
			const carrier = this.#carrierFor(source, rows, i, hook, tuple, a, b);
			if (this.#joinByRange(rows, i, hook, tuple, kind, carrier)) return;
			this.#open(carrier, rows, i, hook, tuple, kind, a, b);
			return;
		}
		const carrier = this.#carrierFor(source, rows, i, hook, tuple, a, b);
		this.#open(carrier, rows, i, hook, tuple, kind, a, b);
	}

	/** A carrier for this sighting's pointer, which has none; its path is set by whoever finds it. */
	#carrierFor(source: number, rows: Sightings, i: number, hook: number, tuple: number, a: number, b: number): number {
		const { hooks, carriers } = this.#shop;
		const carrier = carriers.add(source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
		carriers.path[carrier] = 0;
		carriers.sibling[carrier] = 0;
		carriers.keyA[carrier] = a;
		carriers.keyB[carrier] = b;
		carriers.hook[carrier] = hook;
		carriers.rank[carrier] = hooks.rank[hook] as number;
		carriers.cameBy[carrier] = hooks.egress[hook] === 0 ? (hooks.ifindex[hook] as number) : (rows.ingress[i] as number);
		carriers.tuple[carrier] = tuple;
		carriers.branch[carrier] = 0;
		carriers.whole[carrier] = 1;
		carriers.time[carrier] = this.now[0] as number;
		return carrier;
	}

	#open(
		carrier: number,
		rows: Sightings,
		i: number,
		hook: number,
		tuple: number,
		kind: number,
		a: number,
		b: number,
	): void {
		const { paths, hooks, suspects, dues } = this.#shop;
		const path = this.#allocate();
		const flags = rows.flags[i] as number;
		paths.serial[path] = ++this.#serial;
		paths.first[path] = this.now[0] as number;
		paths.latest[path] = this.now[0] as number;
		paths.keyA[path] = a;
		paths.keyB[path] = b;
		paths.tuple[path] = tuple;
		paths.sequence[path] = rows.sequence[i] as number;
		paths.acknowledgement[path] = rows.acknowledgement[i] as number;
		paths.ipId[path] = rows.ipId[i] as number;
		paths.tsval[path] = rows.tsval[i] as number;
		paths.payload[path] = rows.payload[i] as number;
		paths.hash[path] = rows.hash[i] as number;
		paths.length[path] = rows.length[i] as number;
		paths.gsoSize[path] = rows.gsoSize[i] as number;
		paths.segments[path] = rows.segments[i] as number;
		paths.flags[path] = flags;
		paths.tcpFlags[path] = rows.tcpFlags[i] as number;
		paths.window[path] = rows.window[i] as number;
		paths.subscribers[path] = 0;
		paths.firstHop[path] = 0;
		paths.lastHop[path] = 0;
		this.#own(path, carrier);
		if (hooks.isMidway(hook, rows.ingress[i] as number, (flags & EventFlag.inner) !== 0)) {
			paths.marks[path] = Mark.midway;
		}
		this.#setRange(path, kind);
		this.#append(path, rows, i, hook, tuple, 0);
		const next = dues.next(hook, tuple);
		if (next === Next.arrived || next === Next.gone) {
			this.#finishAt(path, next);
			return;
		}
		suspects.add(path, this.now[0] as number);
		this.#list(path, next, hook, kind);
	}

	/** Lists an open path where its next sighting will look for it, when that may come without its pointer. */
	#list(path: number, next: number, hook: number, kind: number): void {
		const { paths, hooks, keys, recentAt } = this.#shop;
		const rank = hooks.rank[hook] as number;
		if (rank === Rank.bridgeEgress || (hooks.egress[hook] === 0 && hooks.master[hook] !== 0)) recentAt.note(hook, path);
		const leaving = hooks.egress[hook] === 1 && rank >= Rank.tunnelEgress;
		const marks = paths.marks[path] as number;
		if ((marks & Mark.keyed) === 0 && (leaving || next === Next.across || this.#mayBeReallocated(path, hook, rank))) {
			keys.add(path);
			this.#noteWeak(path, kind);
		}
		if ((marks & Mark.ranged) === 0 && (leaving || next === Next.across || this.#mayBeRecut(path, hook, rank))) {
			this.#listRange(path, kind);
		}
	}

	/**
	 * IPv6 makes a new skb where a tunnel wants more headroom than there is (ip6_finish_output2, skb_expand_head): between
	 * cni0→i and flannel-v6.1→e the pointer changes.
	 */
	#mayBeReallocated(path: number, hook: number, rank: number): boolean {
		const { paths, hooks } = this.#shop;
		if (((paths.flags[path] as number) & EventFlag.familyMask) !== Family.ipv6) return false;
		if (rank !== Rank.bridgeIngress && rank !== Rank.hostIngress) return false;
		return hooks.watchesRank(hooks.source[hook] as number, Rank.tunnelEgress);
	}

	/** Did a packet last seen at `before` of the same node come to the tunnel under another pointer? */
	#isReallocated(before: number, hook: number, rows: Sightings, i: number): boolean {
		const { hooks } = this.#shop;
		return (
			hooks.rank[hook] === Rank.tunnelEgress &&
			hooks.egress[before] === 0 &&
			hooks.source[before] === hooks.source[hook] &&
			hooks.ifindex[before] === rows.ingress[i]
		);
	}

	/** May segments be merged, or a big skb be cut, before it leaves this node? */
	#mayBeRecut(path: number, hook: number, rank: number): boolean {
		const { paths, hooks } = this.#shop;
		if (rank === Rank.nicIngress || rank === Rank.tunnelIngress) return true;
		return (paths.segments[path] as number) > 1 && hooks.watchesRank(hooks.source[hook] as number, Rank.nicEgress);
	}

	/** Room for a path, if need be by giving up the oldest. */
	#allocate(): number {
		const { paths, suspects, flooded, closed, counters } = this.#shop;
		const path = paths.allocate();
		if (path !== 0) return path;
		if (closed.oldest !== 0) this.#free(closed.oldest);
		else {
			counters.evicted++;
			const oldest = suspects.oldest !== 0 ? suspects.oldest : flooded.oldest;
			this.#judge(oldest, "full");
			if (paths.state[oldest] !== State.free) this.#free(oldest);
		}
		return paths.allocate();
	}

	#setRange(path: number, kind: number): void {
		const { paths } = this.#shop;
		const segments = paths.segments[path] as number;
		const gsoSize = paths.gsoSize[path] as number;
		const payload = paths.payload[path] as number;
		const each = Math.ceil(segments / 64);
		if ((kind & 0xff) === TCP) {
			paths.rangeStart[path] = paths.sequence[path] as number;
			paths.rangeSpan[path] = payload;
			paths.unit[path] = gsoSize > 0 && segments > 1 ? gsoSize * each : payload;
		} else {
			paths.rangeStart[path] = ((paths.ipId[path] as number) << 16) >>> 0;
			paths.rangeSpan[path] = (segments << 16) >>> 0;
			paths.unit[path] = (each << 16) >>> 0;
		}
	}

	/** Lists the path by its range if segmentation may cut it or merge it with others. */
	#listRange(path: number, kind: number): void {
		const { paths, facts, ranges, limits } = this.#shop;
		const tuple = paths.tuple[path] as number;
		const protocol = kind & 0xff;
		const cut =
			protocol === TCP ? (paths.payload[path] as number) > 0 : protocol === UDP && (paths.segments[path] as number) > 1;
		if (!cut) return;
		const root = facts.root(tuple);
		if (ranges.count(root) >= limits.rangesPerDirection) {
			this.#shop.counters.evicted++;
			this.#judge(ranges.front(root), "full");
		}
		ranges.add(root, path);
		paths.marks[path] = (paths.marks[path] as number) | Mark.ranged;
	}

	/** Remembers packets that have nothing of their own, so that equal ones know of each other even when one is gone. */
	#noteWeak(path: number, kind: number): void {
		const { paths, recent, limits } = this.#shop;
		if (this.#isStrong(path, kind & 0xff)) return;
		const time = this.now[0] as number;
		const seen = recent.note(paths.keyA[path] as number, paths.keyB[path] as number, time);
		if (time - seen < limits.suspectNs) paths.marks[path] = (paths.marks[path] as number) | Mark.shared;
	}

	/** Adds a hop that sees the whole range; on a manifold path the hop may be there. */
	#passWhole(path: number, carrier: number, rows: Sightings, i: number, hook: number, tuple: number): void {
		const { paths, carriers } = this.#shop;
		const branch = carriers.branch[carrier] as number;
		if (((paths.marks[path] as number) & Mark.manifold) !== 0) {
			const hop = this.#hopAt(path, hook, branch);
			if (hop !== 0) {
				this.#addTo(hop, rows, i);
				return;
			}
		}
		this.#append(path, rows, i, hook, tuple, branch);
	}

	#append(path: number, rows: Sightings, i: number, hook: number, tuple: number, branch: number): number {
		const { paths, hops } = this.#shop;
		const hop = hops.allocate();
		hops.hook[hop] = hook;
		hops.first[hop] = this.now[0] as number;
		hops.last[hop] = this.now[0] as number;
		hops.packets[hop] = 1;
		hops.bytes[hop] = rows.length[i] as number;
		hops.tuple[hop] = tuple;
		hops.header[hop] = (rows.ttl[i] as number) | ((rows.vlan[i] as number) << 8);
		hops.outer[hop] = rows.outer[i] as number;
		hops.branch[hop] = branch;
		hops.coverLow[hop] = 0xffffffff;
		hops.coverHigh[hop] = 0xffffffff;
		const last = paths.lastHop[path] as number;
		if (last === 0) paths.firstHop[path] = hop;
		else hops.next[last] = hop;
		paths.lastHop[path] = hop;
		paths.latest[path] = this.now[0] as number;
		paths.subscribers[path] = (paths.subscribers[path] as number) | (rows.subscribers[i] as number);
		return hop;
	}

	#addTo(hop: number, rows: Sightings, i: number): void {
		const { hops } = this.#shop;
		hops.packets[hop] = (hops.packets[hop] as number) + 1;
		hops.bytes[hop] = (hops.bytes[hop] as number) + (rows.length[i] as number);
		hops.last[hop] = this.now[0] as number;
	}

	#hopAt(path: number, hook: number, branch: number): number {
		const { paths, hops } = this.#shop;
		let hop = paths.firstHop[path] as number;
		while (hop !== 0 && (hops.hook[hop] !== hook || hops.branch[hop] !== branch)) hop = hops.next[hop] as number;
		return hop;
	}

	/** An open path has a new newest hop that saw all of it. */
	#settle(path: number, hook: number, tuple: number, kind: number): void {
		const { paths, dues } = this.#shop;
		const next = dues.next(hook, tuple);
		if (next === Next.wait || next === Next.across) {
			this.#list(path, next, hook, kind);
			return;
		}
		if (((paths.marks[path] as number) & (Mark.flooded | Mark.orphan)) !== 0) {
			paths.marks[path] = (paths.marks[path] as number) | Mark.arrived;
			return;
		}
		this.#finishAt(path, next);
	}

	#finishAt(path: number, next: number): void {
		const { closing } = this.#shop;
		this.#close(path, next === Next.arrived ? closing.arrived(path) : closing.gone(path));
	}

	/** The wire: an equal packet that another node has seen leaving; or one that got another skb on its way to a tunnel. */
	#joinAcross(
		source: number,
		rows: Sightings,
		i: number,
		hook: number,
		tuple: number,
		kind: number,
		a: number,
		b: number,
	): boolean {
		const { paths, hops, hooks, keys, facts } = this.#shop;
		let tries = MAX_CANDIDATES;
		for (let path = keys.find(a, b); path !== 0 && tries > 0; path = paths.sameNext[path] as number, tries--) {
			const last = paths.lastHop[path] as number;
			const lastHook = hops.hook[last] as number;
			if (hooks.source[lastHook] === source && !this.#isReallocated(lastHook, hook, rows, i)) continue;
			if (!this.#isSamePacket(path, rows, i, kind) || !this.#isAcross(path, hook, tuple, kind)) continue;
			const before = hops.tuple[last] as number;
			if (!facts.sameDirection(before, tuple)) this.#alias(before, tuple);
			this.#doubt(path, rows, i, paths.latest[path] as number);
			if (((paths.marks[path] as number) & Mark.shared) !== 0) this.#mark(path, Mark.order);
			this.#own(path, this.#carrierFor(source, rows, i, hook, tuple, a, b));
			this.#mark(path, Mark.manifold);
			this.#append(path, rows, i, hook, tuple, 0);
			this.#settle(path, hook, tuple, kind);
			return true;
		}
		return false;
	}

	/** A bridge that floods: a copy under another pointer, behind the port by which its original came. */
	#joinFlood(
		source: number,
		rows: Sightings,
		i: number,
		hook: number,
		tuple: number,
		kind: number,
		a: number,
		b: number,
	): boolean {
		const { paths, recentAt } = this.#shop;
		const before = this.#floodedFrom(hook, rows.ingress[i] as number);
		if (before < 0) return false;
		for (let n = 0; n < recentAt.depth; n++) {
			const path = recentAt.at(before, n);
			if (path === 0) return false;
			if (paths.state[path] !== State.open || paths.keyA[path] !== a || paths.keyB[path] !== b) continue;
			if (!this.#isSamePacket(path, rows, i, kind) || !this.#isBranch(path, before, hook, tuple)) continue;
			const carrier = this.#carrierFor(source, rows, i, hook, tuple, a, b);
			this.#own(path, carrier);
			this.#mark(path, Mark.manifold);
			this.#branchOff(path, carrier);
			this.#append(path, rows, i, hook, tuple, this.#shop.carriers.branch[carrier] as number);
			this.#settle(path, hook, tuple, kind);
			return true;
		}
		return false;
	}

	/** The hook that has seen the original of a copy at a bridge's port: another port, or the bridge itself; -1: none. */
	#floodedFrom(hook: number, ingress: number): number {
		const { hooks } = this.#shop;
		if (hooks.egress[hook] === 0 || hooks.master[hook] === 0) return -1;
		const bridge = hooks.bridgeEgressOf(hook);
		const port = hooks.ingressHookAt(hook, ingress);
		return port >= 0 && hooks.master[port] === hooks.master[hook] ? port : bridge;
	}

	#isSamePacket(path: number, rows: Sightings, i: number, kind: number): boolean {
		const { paths, facts } = this.#shop;
		return (
			paths.sequence[path] === rows.sequence[i] &&
			paths.payload[path] === rows.payload[i] &&
			paths.ipId[path] === rows.ipId[i] &&
			paths.tsval[path] === rows.tsval[i] &&
			paths.acknowledgement[path] === rows.acknowledgement[i] &&
			(facts.kind(paths.tuple[path] as number) & 0xff) === (kind & 0xff)
		);
	}

	/** Has the path passed `before`, and not yet `hook`? */
	#isBranch(path: number, before: number, hook: number, tuple: number): boolean {
		const { paths, hops, facts } = this.#shop;
		let passed = false;
		for (let hop = paths.firstHop[path] as number; hop !== 0; hop = hops.next[hop] as number) {
			if (hops.hook[hop] === hook) return false;
			passed = passed || (hops.hook[hop] === before && facts.sameDirection(hops.tuple[hop] as number, tuple));
		}
		return passed;
	}

	/** A packet that left another node. */
	#isAcross(path: number, hook: number, tuple: number, kind: number): boolean {
		const { paths, hops, hooks, facts, dues } = this.#shop;
		for (let hop = paths.firstHop[path] as number; hop !== 0; hop = hops.next[hop] as number) {
			if (hops.hook[hop] === hook) return false;
		}
		if (facts.sameDirection(hops.tuple[paths.lastHop[path] as number] as number, tuple)) return true;
		// NAT where nobody looks: 96 bits of numbers that only this connection has speak for themselves.
		const last = hops.hook[paths.lastHop[path] as number] as number;
		if (hooks.egress[last] === 1 || (kind & 0xff) !== TCP) return false;
		if (paths.acknowledgement[path] === 0 || paths.tsval[path] === 0) return false;
		return dues.next(last, hops.tuple[paths.lastHop[path] as number] as number) === Next.across;
	}

	#branchOff(path: number, carrier: number): void {
		const { paths, carriers, suspects, flooded } = this.#shop;
		const branch = Math.min(255, (paths.branches[path] as number) + 1);
		paths.branches[path] = branch;
		carriers.branch[carrier] = branch;
		if (((paths.marks[path] as number) & Mark.flooded) !== 0) return;
		this.#mark(path, Mark.flooded);
		suspects.remove(path);
		flooded.add(path, this.now[0] as number);
	}

	/**
	 * Joins a sighting to every path whose range it overlaps, where segmentation broke the pointer's chain.
	 * @param carrier of this sighting, when it is new; 0: it has one
	 */
	#joinByRange(rows: Sightings, i: number, hook: number, tuple: number, kind: number, carrier: number): boolean {
		const { facts, ranges, paths, carriers } = this.#shop;
		const payload = rows.payload[i] as number;
		const protocol = kind & 0xff;
		if (payload === 0) return false;
		const tcp = protocol === TCP;
		if (!tcp && protocol !== UDP) return false;
		const root = facts.root(tuple);
		if (ranges.count(root) === 0) return false;
		const start = tcp ? (rows.sequence[i] as number) : ((rows.ipId[i] as number) << 16) >>> 0;
		const span = tcp ? payload : ((rows.segments[i] as number) << 16) >>> 0;
		const count = this.#chosen(ranges.overlapping(root, start, span), rows, i, hook, tcp, start, span);
		if (count === 0) return false;
		const { found } = ranges;
		if (carrier !== 0) {
			this.#own(found[0] as number, carrier);
			carriers.whole[carrier] = 0;
		}
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			this.#mark(path, Mark.manifold);
			const complete = this.#cover(path, rows, i, hook, tuple, start, span);
			if (complete && paths.state[path] === State.open) this.#settle(path, hook, tuple, kind);
		}
		return true;
	}

	/** Keeps in `ranges.found` those of its first `count` paths that this sighting can be a part of; returns how many. */
	#chosen(count: number, rows: Sightings, i: number, hook: number, tcp: boolean, start: number, span: number): number {
		const { found } = this.#shop.ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			if (this.#mayBePart(path, rows, i, hook, tcp, start, span)) found[kept++] = path;
		}
		return kept < 2 ? kept : this.#unrivalled(kept, rows, i);
	}

	#mayBePart(
		path: number,
		rows: Sightings,
		i: number,
		hook: number,
		tcp: boolean,
		start: number,
		span: number,
	): boolean {
		const { paths, hops, hooks } = this.#shop;
		if (tcp) {
			if (paths.tsval[path] !== rows.tsval[i]) return false;
		} else if (!this.#isDatagramPart(path, rows, i)) return false;
		const last = hops.hook[paths.lastHop[path] as number] as number;
		const hop = this.#hopAt(path, hook, 0);
		if (hop !== 0) return this.#hasRoom(path, hop, start, span);
		if (hooks.source[last] !== hooks.source[hook]) return true;
		if ((paths.segments[path] as number) < 2 && (rows.segments[i] as number) < 2) return false;
		return (hooks.rank[hook] as number) > (hooks.rank[last] as number);
	}

	/** Segments of UDP have the size that the socket asked for, the last one less. */
	#isDatagramPart(path: number, rows: Sightings, i: number): boolean {
		const { paths } = this.#shop;
		if (rows.ipId[i] === 0 || paths.ipId[path] === 0) return false;
		const gsoSize = paths.gsoSize[path] as number;
		const place = ((rows.ipId[i] as number) - (paths.ipId[path] as number)) & 0xffff;
		if ((rows.segments[i] as number) > 1) return rows.gsoSize[i] === gsoSize;
		const isLast = place === (paths.segments[path] as number) - 1;
		return rows.payload[i] === (isLast ? (paths.payload[path] as number) - place * gsoSize : gsoSize);
	}

	/** Among paths with the same bytes (a retransmission within one tick of TSval) the IP ID decides, else the order. */
	#unrivalled(count: number, rows: Sightings, i: number): number {
		const { found } = this.#shop.ranges;
		let kept = 0;
		for (let n = 0; n < count; n++) {
			const path = found[n] as number;
			let rivalled = false;
			for (let m = 0; m < count && !rivalled; m++) {
				const rival = found[m] as number;
				if (m === n || rival === 0 || !this.#overlap(path, rival)) continue;
				rivalled = this.#prefers(rival, path, rows, i);
				if (!rivalled && !this.#idFits(path, rows, i)) this.#mark(path, Mark.order);
			}
			found[n] = 0;
			if (!rivalled) found[kept++] = path;
		}
		return kept;
	}

	#prefers(a: number, b: number, rows: Sightings, i: number): boolean {
		const { paths } = this.#shop;
		const fitsA = this.#idFits(a, rows, i);
		if (fitsA !== this.#idFits(b, rows, i)) return fitsA;
		return (paths.serial[a] as number) < (paths.serial[b] as number);
	}

	#idFits(path: number, rows: Sightings, i: number): boolean {
		const { paths } = this.#shop;
		const id = rows.ipId[i] as number;
		const own = paths.ipId[path] as number;
		if (id === 0 || own === 0) return false;
		const ahead = (id - own) & 0xffff;
		return ahead < (paths.segments[path] as number) || 0x10000 - ahead < (rows.segments[i] as number);
	}

	#overlap(a: number, b: number): boolean {
		const { rangeStart, rangeSpan } = this.#shop.paths;
		const ahead = ((rangeStart[b] as number) - (rangeStart[a] as number)) | 0;
		return ahead < (rangeSpan[a] as number) && ahead + (rangeSpan[b] as number) > 0;
	}

	/** Has the hop not seen all of these units yet? */
	#hasRoom(path: number, hop: number, start: number, span: number): boolean {
		const { hops } = this.#shop;
		const [from, to] = this.#units(path, start, span);
		const low = lowBits(from, to);
		const high = highBits(from, to);
		return (
			((hops.coverLow[hop] as number) & low) >>> 0 !== low || ((hops.coverHigh[hop] as number) & high) >>> 0 !== high
		);
	}

	#units(path: number, start: number, span: number): readonly [number, number] {
		const { paths } = this.#shop;
		const unit = paths.unit[path] as number;
		const length = paths.rangeSpan[path] as number;
		const ahead = (start - (paths.rangeStart[path] as number)) | 0;
		const from = Math.max(0, ahead);
		const to = Math.min(length, ahead + span);
		return [Math.floor(from / unit), Math.ceil(to / unit)];
	}

	/** Adds a part of the range to the hop; returns whether it is complete now. */
	#cover(path: number, rows: Sightings, i: number, hook: number, tuple: number, start: number, span: number): boolean {
		const { paths, hops } = this.#shop;
		const [from, to] = this.#units(path, start, span);
		let hop = this.#hopAt(path, hook, 0);
		if (hop === 0) {
			hop = this.#append(path, rows, i, hook, tuple, 0);
			hops.coverLow[hop] = 0;
			hops.coverHigh[hop] = 0;
		} else {
			this.#addTo(hop, rows, i);
			paths.latest[path] = this.now[0] as number;
			paths.subscribers[path] = (paths.subscribers[path] as number) | (rows.subscribers[i] as number);
			if (from === 0 && ((hops.coverLow[hop] as number) & 1) === 0) hops.first[hop] = this.now[0] as number;
		}
		if (((start - (paths.rangeStart[path] as number)) | 0) < 0) {
			hops.leadingPackets[hop] = (hops.leadingPackets[hop] as number) + 1;
			hops.leadingBytes[hop] = (hops.leadingBytes[hop] as number) + (rows.length[i] as number);
		}
		const low = ((hops.coverLow[hop] as number) | lowBits(from, to)) >>> 0;
		const high = ((hops.coverHigh[hop] as number) | highBits(from, to)) >>> 0;
		const units = unitsOf(paths.rangeSpan[path] as number, paths.unit[path] as number);
		const complete = low === lowBits(0, units) && high === highBits(0, units);
		hops.coverLow[hop] = complete ? 0xffffffff : low;
		hops.coverHigh[hop] = complete ? 0xffffffff : high;
		return complete;
	}

	/** Between `since` and `now` something may have been lost: then what only order tells apart is not certain. */
	#doubt(path: number, rows: Sightings, i: number, since: number): void {
		const { hooks, hops, losses, facts, paths } = this.#shop;
		if (losses.youngest < since) return;
		const protocol = facts.kind(rows.tuple[i] as number) & 0xff;
		const now = this.now[0] as number;
		if (this.#isStrong(path, protocol) && (protocol === TCP || now - since < ID_WRAP_NS)) return;
		const from = hooks.source[hops.hook[paths.lastHop[path] as number] as number] as number;
		const to = hooks.source[rows.hook[i] as number] as number;
		if (losses.touches(from, since, now) || losses.touches(to, since, now)) this.#mark(path, Mark.ambiguous);
	}

	/**
	 * Has the packet a field that tells it from all others? A segment without an IP ID has not: a retransmission within
	 * one tick of TSval repeats every field.
	 */
	#isStrong(path: number, protocol: number): boolean {
		const { paths } = this.#shop;
		if (paths.ipId[path] !== 0) return true;
		return (protocol === ICMP || protocol === ICMPV6) && paths.sequence[path] !== 0;
	}

	#mark(path: number, mark: number): void {
		const { paths } = this.#shop;
		paths.marks[path] = (paths.marks[path] as number) | mark;
	}

	#alias(before: number, after: number): void {
		const { facts, ranges } = this.#shop;
		const moved = facts.alias(before, after);
		if (moved !== 0) ranges.merge(moved, facts.root(after));
	}

	#own(path: number, carrier: number): void {
		const { paths, carriers } = this.#shop;
		carriers.path[carrier] = path;
		carriers.sibling[carrier] = paths.carrier[path] as number;
		paths.carrier[path] = carrier;
	}

	/** The pointer carries another packet now. A closed path that nothing carries any more is forgotten. */
	#dropCarrier(carrier: number): void {
		const { paths, carriers } = this.#shop;
		const path = carriers.path[carrier] as number;
		const rest = carriers.sibling[carrier] as number;
		if (paths.carrier[path] === carrier) paths.carrier[path] = rest;
		else {
			let at = paths.carrier[path] as number;
			while (carriers.sibling[at] !== carrier) at = carriers.sibling[at] as number;
			carriers.sibling[at] = rest;
		}
		carriers.free(carrier);
		if (paths.state[path] === State.closed && paths.carrier[path] === 0) this.#free(path);
	}

	#judge(path: number, occasion: Occasion): void {
		const { dropped, closing } = this.#shop;
		const drop = dropped.size === 0 ? undefined : dropped.get(path);
		if (drop !== undefined) {
			this.#close(path, closing.dropped(this.#hopAt(path, drop.hook.id, 0), drop.report));
			return;
		}
		this.#close(path, this.#shop.closing.suspect(path, this.now[0] as number, occasion));
	}

	#close(path: number, judgement: Judgement): void {
		const { paths, keys, suspects, flooded, closed, counters, view, sink, limits } = this.#shop;
		const marks = paths.marks[path] as number;
		if ((marks & Mark.keyed) !== 0) keys.remove(path);
		if ((marks & Mark.ranged) !== 0) this.#unlistRange(path);
		if (suspects.has(path)) suspects.remove(path);
		else if (flooded.has(path)) flooded.remove(path);
		this.#shop.dropped.delete(path);
		paths.state[path] = State.closed;
		paths.verdict[path] = VERDICTS.indexOf(judgement.verdict);
		counters.verdicts[judgement.verdict]++;
		sink.path(view.show(path, judgement));
		if (paths.carrier[path] === 0) {
			this.#release(path);
			return;
		}
		closed.add(path, this.now[0] as number);
		if (closed.count > limits.closedPaths) this.#free(closed.oldest);
	}

	#unlistRange(path: number): void {
		const { paths, facts, ranges } = this.#shop;
		paths.marks[path] = (paths.marks[path] as number) & ~Mark.ranged;
		ranges.remove(facts.root(paths.tuple[path] as number), path);
	}

	/** What was said of a closed path no longer holds. */
	#revise(path: number, judgement: Judgement): void {
		const { paths, counters, view, sink } = this.#shop;
		paths.revision[path] = (paths.revision[path] as number) + 1;
		counters.verdicts[VERDICTS[paths.verdict[path] as number] ?? "incomplete"]--;
		counters.verdicts[judgement.verdict]++;
		counters.revised++;
		paths.verdict[path] = VERDICTS.indexOf(judgement.verdict);
		sink.revise(view.show(path, judgement));
	}

	/** Forgets a closed path and its carriers. */
	#free(path: number): void {
		const { paths, carriers, closed } = this.#shop;
		if (closed.has(path)) closed.remove(path);
		for (let carrier = paths.carrier[path] as number; carrier !== 0; ) {
			const next = carriers.sibling[carrier] as number;
			carriers.free(carrier);
			carrier = next;
		}
		this.#release(path);
	}

	#release(path: number): void {
		const { paths, hops } = this.#shop;
		hops.freeList(paths.firstHop[path] as number);
		paths.free(path);
	}
}
