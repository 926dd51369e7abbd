import { EventFlag } from "../packet/sightings.js";
import { makeAdoption } from "./adoption.js";
import { CarrierAt, CarrierF64 } from "./carrier-table.js";
import { type ClosedRing, ringOf } from "./closed-ring.js";
import type { Occasion } from "./closing.js";
import { Next } from "./due-cache.js";
import { makeEquals } from "./equals.js";
import { allocateHop, freeHops, HopAt, HopF64 } from "./hop-table.js";
import { type DropReport, type Judgement, verdictIndex } from "./judgement.js";
import { setPacket } from "./key.js";
import { makeListing } from "./listing.js";
import { allocatePath, freePath, Mark, PathAt, PathF64, PathMore, protocolOf, State } from "./path-table.js";
import { Protocol } from "./protocols.js";
import { isFull } from "./records.js";
import type { Workshop } from "./workshop.js";

/** 65,536 IP IDs last longer than this at any rate that a hook can keep up with, ns. */
const ID_WRAP_NS = 5e6;
/** Delivered ones come before. */
const FORWARDED = verdictIndex("forwarded");

/** The life of a path, from its first sighting to the sink: what all ways of joining do with it. */
export type OpenPaths = ReturnType<typeof makeOpenPaths>;

export function makeOpenPaths(shop: Workshop) {
	const {
		carriers,
		closed,
		closing,
		counters,
		datagrams,
		dropped,
		dues,
		facts,
		flooded,
		hooks,
		hops,
		losses,
		lost,
		ordered,
		orphans,
		paths,
		pointers,
		ranges,
		rings,
		sight,
		sink,
		suspects,
		view,
	} = shop;
	const self = {
		open,
		expireOrphan,
		openFragments,
		becomeFragments,
		carry,
		carryPart,
		advance,
		move,
		vacate,
		dropCarrier,
		pass,
		append,
		addTo,
		hopAt,
		settle,
		settleAt,
		adopt,
		mark,
		alias,
		doubt,
		crossed,
		judge,
		drop,
		endDropped,
		revise,
		free,
		forget,
	};
	const equals = makeEquals(shop, self);
	const listing = makeListing(shop, equals.repeated);
	const adoption = makeAdoption(shop, self);
	let serial = 0;
	return self;

	/** A new path that begins with this sighting. */
	function open(): void {
		const { hook, tuple } = sight;
		const path = begin();
		if (isOrphan()) {
			waitForSender(path);
			return;
		}
		const next = dues.next(hook, tuple);
		if (next === Next.arrived || next === Next.gone) finishAt(path, next);
		else wait(path, next);
	}

	/** Off the wire, where the node that sent it may be watched and its clock be late. */
	function isOrphan(): boolean {
		return hooks.nodes > 1 && hooks.egress[sight.hook] === 0 && hooks.isEntry(sight.hook);
	}

	function waitForSender(path: number): void {
		mark(path, Mark.orphan);
		orphans.add(path, sight.now);
		const crowded = listing.list(path, Next.across, sight.hook);
		if (crowded !== 0) giveUp(crowded);
	}

	/** The orphan has waited for its sender. */
	function expireOrphan(path: number): void {
		adoption.expire(path);
	}

	/** A new path of which this sighting is a fragment: it is settled when a hop has seen all. Returns the path. */
	function openFragments(): number {
		const path = begin();
		mark(path, Mark.fragments);
		paths.more[(path >> 1) | PathMore.total] = 0;
		suspects.add(path, sight.now);
		return path;
	}

	/** The open path, whole so far, goes on in fragments: those are found otherwise than by key or range. */
	function becomeFragments(path: number): void {
		listing.unlist(path);
		mark(path, Mark.fragments);
	}

	function begin(): number {
		const { rows, i, hook, tuple } = sight;
		const path = allocate();
		const flags = rows.flags[i] as number;
		paths.doubles[(path >> 1) | PathF64.serial] = ++serial;
		paths.doubles[(path >> 1) | PathF64.first] = sight.now;
		paths.words[path | PathAt.tuple] = tuple;
		setPacket(paths.words, path | PathAt.ipId, sight);
		paths.words[path | PathAt.length] = rows.length[i] as number;
		paths.words[path | PathAt.gso] = (rows.gsoSize[i] as number) | ((rows.segments[i] as number) << 16);
		paths.words[path | PathAt.flags] = flags | (sight.kind << 16);
		paths.words[path | PathAt.subscribers] = 0;
		paths.words[path | PathAt.firstHop] = 0;
		paths.words[path | PathAt.lastHop] = 0;
		carry(path);
		if (hooks.isMidway(hook, sight.ingress, (flags & EventFlag.inner) !== 0))
			paths.words[path | PathAt.marks] = Mark.midway;
		append(path, 0);
		return path;
	}

	/** The sighting's pointer carries this path from now on. Returns the carrier. */
	function carry(path: number): number {
		const { rows, i, hook } = sight;
		const carrier = sight.vacant || pointers.add(sight.source, rows.skbLow[i] as number, rows.skbHigh[i] as number);
		sight.vacant = 0;
		const sibling = paths.words[path | PathAt.carrier] as number;
		carriers.words[carrier | CarrierAt.path] = path;
		carriers.words[carrier | CarrierAt.sibling] = sibling;
		carriers.words[carrier | CarrierAt.elder] = 0;
		if (sibling !== 0) carriers.words[sibling | CarrierAt.elder] = carrier;
		paths.words[path | PathAt.carrier] = carrier;
		carriers.words[carrier | CarrierAt.hook] = hook;
		carriers.words[carrier | CarrierAt.cameBy] =
			hooks.egress[hook] === 0 ? (hooks.ifindex[hook] as number) : sight.ingress;
		carriers.words[carrier | CarrierAt.tuple] = sight.tuple;
		carriers.words[carrier | CarrierAt.branch] = 0;
		carriers.words[carrier | CarrierAt.whole] = 1;
		carriers.doubles[(carrier >> 1) | CarrierF64.time] = sight.now;
		return carrier;
	}

	/** The same for a sighting that holds a part of the path, or parts of several. */
	function carryPart(path: number): void {
		const carrier = carry(path);
		carriers.words[carrier | CarrierAt.whole] = 0;
		setPacket(carriers.more, carrier >> 1, sight);
	}

	/** The carrier's packet is seen further on. */
	function advance(carrier: number): void {
		const before = carriers.words[carrier | CarrierAt.tuple] as number;
		if (before !== sight.tuple) alias(before, sight.tuple);
		const since = carriers.doubles[(carrier >> 1) | CarrierF64.time] as number;
		if (losses.youngest >= since) doubt(carriers.words[carrier | CarrierAt.path] as number, since);
		move(carrier);
	}

	/** The carrier is at this hook now. */
	function move(carrier: number): void {
		carriers.words[carrier | CarrierAt.hook] = sight.hook;
		carriers.words[carrier | CarrierAt.tuple] = sight.tuple;
		carriers.doubles[(carrier >> 1) | CarrierF64.time] = sight.now;
		if (hooks.egress[sight.hook] === 0)
			carriers.words[carrier | CarrierAt.cameBy] = hooks.ifindex[sight.hook] as number;
	}

	/** The sighting's pointer carries another packet now: its carrier waits for the path that the sighting belongs to. */
	function vacate(carrier: number): void {
		sight.vacant = carrier;
		unload(carrier);
	}

	/** The pointer carries nothing any more. */
	function dropCarrier(carrier: number): void {
		unload(carrier);
		pointers.remove(carrier);
	}

	/** Takes the carrier from its path. A closed path that nothing carries any more is forgotten. */
	function unload(carrier: number): void {
		const path = carriers.words[carrier | CarrierAt.path] as number;
		const sibling = carriers.words[carrier | CarrierAt.sibling] as number;
		const elder = carriers.words[carrier | CarrierAt.elder] as number;
		if (elder === 0) paths.words[path | PathAt.carrier] = sibling;
		else carriers.words[elder | CarrierAt.sibling] = sibling;
		if (sibling !== 0) carriers.words[sibling | CarrierAt.elder] = elder;
		if (paths.words[path | PathAt.state] !== State.closed || paths.words[path | PathAt.carrier] !== 0) return;
		if (!mayBeDoubted(path)) free(path);
	}

	/** Adds a hop that sees the whole path; on a manifold one the hop may be there already. */
	function pass(path: number, carrier: number): void {
		const branch = carriers.words[carrier | CarrierAt.branch] as number;
		const manifold = ((paths.words[path | PathAt.marks] as number) & Mark.manifold) !== 0;
		const hop = manifold ? hopAt(path, sight.hook, branch) : 0;
		if (hop === 0) append(path, branch);
		else addTo(path, hop);
	}

	/** A new last hop, complete unless the caller says otherwise. */
	function append(path: number, branch: number): number {
		const { rows, i } = sight;
		const hop = allocateHop(hops);
		hops.words[hop | HopAt.hook] = sight.hook;
		hops.doubles[(hop >> 1) | HopF64.first] = sight.now;
		hops.doubles[(hop >> 1) | HopF64.last] = sight.now;
		hops.words[hop | HopAt.packets] = 1;
		hops.words[hop | HopAt.bytes] = rows.length[i] as number;
		hops.words[hop | HopAt.tuple] = sight.tuple;
		hops.words[hop | HopAt.outer] = rows.outer[i] as number;
		hops.words[hop | HopAt.branch] = branch;
		hops.words[hop | HopAt.header] = (rows.ttl[i] as number) | ((rows.vlan[i] as number) << 8);
		hops.words[hop | HopAt.coverLow] = 0xffffffff;
		hops.words[hop | HopAt.coverHigh] = 0xffffffff;
		const last = paths.words[path | PathAt.lastHop] as number;
		if (last === 0) paths.words[path | PathAt.firstHop] = hop;
		else hops.words[last | HopAt.next] = hop;
		paths.words[path | PathAt.lastHop] = hop;
		paths.doubles[(path >> 1) | PathF64.latest] = sight.now;
		paths.words[path | PathAt.subscribers] =
			(paths.words[path | PathAt.subscribers] as number) | (rows.subscribers[i] as number);
		return hop;
	}

	/** One more skb at a hop of the path. */
	function addTo(path: number, hop: number): void {
		hops.words[hop | HopAt.packets] = (hops.words[hop | HopAt.packets] as number) + 1;
		hops.words[hop | HopAt.bytes] = (hops.words[hop | HopAt.bytes] as number) + sight.length;
		hops.doubles[(hop >> 1) | HopF64.last] = sight.now;
		paths.doubles[(path >> 1) | PathF64.latest] = sight.now;
		paths.words[path | PathAt.subscribers] =
			(paths.words[path | PathAt.subscribers] as number) | (sight.rows.subscribers[sight.i] as number);
	}

	/** 0: it has not passed there. */
	function hopAt(path: number, hook: number, branch: number): number {
		// Segments come one behind the other.
		const last = paths.words[path | PathAt.lastHop] as number;
		if (hops.words[last | HopAt.hook] === hook && hops.words[last | HopAt.branch] === branch) return last;
		let hop = paths.words[path | PathAt.firstHop] as number;
		while (hop !== 0 && (hops.words[hop | HopAt.hook] !== hook || hops.words[hop | HopAt.branch] !== branch))
			hop = hops.words[hop | HopAt.next] as number;
		return hop;
	}

	/** The open path's newest hop has seen all of it: it has arrived, or waits on. */
	function settle(path: number): void {
		settleAt(path, sight.hook, sight.tuple);
	}

	function settleAt(path: number, hook: number, tuple: number): void {
		const next = dues.next(hook, tuple);
		const marks = paths.words[path | PathAt.marks] as number;
		if (next === Next.wait || next === Next.across) {
			if ((marks & Mark.fragments) !== 0) return;
			const crowded = listing.list(path, next, hook);
			if (crowded !== 0) giveUp(crowded);
			if (next === Next.across) adoption.adopt(path);
			if ((marks & (Mark.arrived | Mark.flooded)) === Mark.arrived) finishIfSeen(path);
		} else if ((marks & Mark.orphan) !== 0) {
			return;
		} else if ((marks & Mark.flooded) !== 0) {
			mark(path, Mark.arrived);
		} else if ((marks & (Mark.manifold | Mark.fragments)) === Mark.manifold && !isSeenWhole(path)) {
			if (next === Next.arrived) mark(path, Mark.arrived);
		} else {
			finishAt(path, next);
		}
	}

	/** A part of the path has left its node: takes over what came of it elsewhere already. */
	function adopt(path: number): void {
		if (orphans.count === 0) return;
		if (dues.next(sight.hook, sight.tuple) === Next.across) adoption.adopt(path);
	}

	/** It has arrived before the clock of its sender showed all of it leaving: that was the last of it. */
	function finishIfSeen(path: number): void {
		if (paths.words[path | PathAt.state] === State.open && isSeenWhole(path)) finishAt(path, Next.arrived);
	}

	/** Has every hop seen all of it? */
	function isSeenWhole(path: number): boolean {
		let hop = paths.words[path | PathAt.firstHop] as number;
		while (
			hop !== 0 &&
			hops.words[hop | HopAt.coverLow] === 0xffffffff &&
			hops.words[hop | HopAt.coverHigh] === 0xffffffff
		) {
			hop = hops.words[hop | HopAt.next] as number;
		}
		return hop === 0;
	}

	function mark(path: number, mark: number): void {
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | mark;
	}

	/** NAT made `after` of `before`: all that is known of one holds for the other. */
	function alias(before: number, after: number): void {
		const moved = facts.alias(before, after);
		if (moved !== 0) ranges.merge(moved, facts.root(after));
	}

	/** Between `since` and now something may have been lost: then what only order tells apart is not certain. */
	function doubt(path: number, since: number): void {
		if (losses.youngest < since) return;
		const { protocol, now } = sight;
		if (listing.isStrong(path) && (protocol === Protocol.tcp || now - since < ID_WRAP_NS)) return;
		const from = hooks.source[
			hops.words[(paths.words[path | PathAt.lastHop] as number) | HopAt.hook] as number
		] as number;
		if (losses.touches(from, since, now) || losses.touches(sight.source, since, now)) mark(path, Mark.ambiguous);
	}

	/** Joined across the wire: by fields of its own? A segment without an IP ID has none that its copy has not. */
	function crossed(path: number): void {
		if (protocolOf(paths, path) === Protocol.tcp && !listing.isStrong(path)) mark(path, Mark.repeatable);
	}

	/** Says how the open path ended, as far as is known. */
	function judge(path: number, occasion: Occasion): void {
		const drop = dropped.size === 0 ? undefined : dropped.get(path);
		if (drop !== undefined) {
			close(path, closing.dropped(hopAt(path, drop.hook.id, 0), drop.report));
			return;
		}
		const judgement = closing.suspect(path, sight.now, occasion);
		const equal = Mark.keyed | Mark.shared;
		const oneOfMany = judgement.verdict === "lost" && ((paths.words[path | PathAt.marks] as number) & equal) === equal;
		if (!oneOfMany) close(path, judgement);
		else closeOneOfMany(path, judgement);
	}

	/**
	 * Of packets that nothing tells apart one is missing; order alone says that it was this one, and of which path each
	 * that arrived before it was the rest.
	 */
	function closeOneOfMany(path: number, judgement: Judgement): void {
		// On a node pointers tell them apart: what was lost there has come that far, as all others have.
		const before = judgement.due?.kind === "leaves" ? equals.before(path) : [];
		mark(path, Mark.ambiguous);
		close(path, judgement);
		equals.tellAgain(before, Mark.ambiguous);
	}

	/** The kernel threw away what the carrier carried: the end of its path, unless copies or other segments go on. */
	function drop(carrier: number, report: DropReport): void {
		const path = carriers.words[carrier | CarrierAt.path] as number;
		const marks = paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.flooded) !== 0) return;
		const hook = carriers.words[carrier | CarrierAt.hook] as number;
		const hop = hopAt(path, hook, carriers.words[carrier | CarrierAt.branch] as number);
		const isAll = carriers.words[carrier | CarrierAt.whole] === 1 && (marks & Mark.fragments) === 0;
		if (paths.words[path | PathAt.state] === State.closed) revise(path, closing.dropped(hop, report));
		else if (isAll && (marks & Mark.orphan) === 0) close(path, closing.dropped(hop, report));
		// Of an orphan it is the end, but where it came from may still be told.
		else dropped.set(path, { report, hook: hooks.get(hook), isAll });
	}

	/** Closes an open path all of which was dropped while it waited for its sender. Returns whether it was. */
	function endDropped(path: number): boolean {
		const drop = dropped.size === 0 ? undefined : dropped.get(path);
		if (drop === undefined || !drop.isAll) return false;
		close(path, closing.dropped(hopAt(path, drop.hook.id, 0), drop.report));
		return true;
	}

	/** What was said of a closed path no longer holds. */
	function revise(path: number, judgement: Judgement): void {
		paths.words[path | PathAt.revision] = (paths.words[path | PathAt.revision] as number) + 1;
		const verdict = verdictIndex(judgement.verdict);
		count(counters.verdicts, paths.words[path | PathAt.verdict] as number, -1);
		count(counters.verdicts, verdict, 1);
		counters.revised++;
		paths.words[path | PathAt.verdict] = verdict;
		sink.revise(view.show(path, judgement));
	}

	/** Forgets a closed path and its carriers. @param path 0: none */
	function free(path: number): void {
		if (path === 0) return;
		if (paths.words[path | PathAt.state] === State.closed)
			rings[ringOf(paths.words[path | PathAt.closedAt] as number)]?.forget(path);
		for (let carrier = paths.words[path | PathAt.carrier] as number; carrier !== 0; ) {
			const next = carriers.words[carrier | CarrierAt.sibling] as number;
			pointers.remove(carrier);
			carrier = next;
		}
		release(path);
	}

	function wait(path: number, next: number): void {
		suspects.add(path, sight.now);
		const crowded = listing.list(path, next, sight.hook);
		if (crowded !== 0) giveUp(crowded);
		if (next === Next.across) adoption.adopt(path);
	}

	/** Forgets an open path of which nothing is to be said: another has its hops. */
	function forget(path: number): void {
		listing.unlist(path);
		free(path);
	}

	/** Room for a path, if need be by giving up the oldest. */
	function allocate(): number {
		while (isFull(paths) && !closed.isEmpty()) free(closed.take());
		while (isFull(paths) && !ordered.isEmpty()) free(ordered.take());
		while (isFull(paths) && !lost.isEmpty()) free(lost.take());
		if (isFull(paths)) {
			const oldest = suspects.oldest || flooded.oldest || orphans.oldest;
			giveUp(oldest);
			if (paths.words[oldest | PathAt.state] !== State.free) free(oldest);
		}
		return allocatePath(paths);
	}

	function giveUp(path: number): void {
		counters.evicted++;
		judge(path, "full");
	}

	function finishAt(path: number, next: number): void {
		close(path, next === Next.arrived ? closing.arrived(path) : closing.gone(path));
	}

	/** Where a closed path waits for what may revise it. */
	function ringFor({ verdict }: Judgement, doubtful: boolean): ClosedRing {
		if (doubtful) return ordered;
		return verdict === "lost" ? lost : closed;
	}

	function close(path: number, judgement: Judgement): void {
		if (((paths.words[path | PathAt.marks] as number) & (Mark.keyed | Mark.ranged)) !== 0) listing.unlist(path);
		if (suspects.has(path)) suspects.remove(path);
		else if (flooded.has(path)) flooded.remove(path);
		else if (orphans.has(path)) orphans.remove(path);
		if (dropped.size > 0) dropped.delete(path);
		if (((paths.words[path | PathAt.marks] as number) & Mark.fragments) !== 0) datagrams.remove(path);
		paths.words[path | PathAt.state] = State.closed;
		const verdict = verdictIndex(judgement.verdict);
		paths.words[path | PathAt.verdict] = verdict;
		count(counters.verdicts, verdict, 1);
		sink.path(view.show(path, judgement));
		const doubtful = mayBeDoubted(path);
		if (paths.words[path | PathAt.carrier] === 0 && !doubtful) {
			release(path);
			return;
		}
		const forgotten = ringFor(judgement, doubtful).add(path, sight.now);
		if (forgotten !== 0) free(forgotten);
	}

	/** It rests on order, or may yet, and has arrived: when another is missing, it may be the one. */
	function mayBeDoubted(path: number): boolean {
		const marks = paths.words[path | PathAt.marks] as number;
		if ((marks & Mark.ambiguous) !== 0 || (marks & (Mark.order | Mark.repeatable)) === 0) return false;
		return (paths.words[path | PathAt.verdict] as number) <= FORWARDED;
	}

	function release(path: number): void {
		freeHops(hops, paths.words[path | PathAt.firstHop] as number, paths.words[path | PathAt.lastHop] as number);
		freePath(paths, path);
	}
}

function count(verdicts: Float64Array, verdict: number, by: number): void {
	verdicts[verdict] = (verdicts[verdict] as number) + by;
}
