import { giveBack, makeRecords, type Records, take } from "./records.js";

/** Of PathAt.state. */
export const enum State {
	free = 0,
	open = 1,
	closed = 2,
}

/** Bits of PathAt.marks. */
export const enum Mark {
	/** Another open path has the same key: a join by key rests on order. */
	shared = 0x0001,
	/** A join rested on order. */
	order = 0x0002,
	/** … and something was lost in between. */
	ambiguous = 0x0004,
	/** First seen at a hook that is not where packets begin. */
	midway = 0x0008,
	/** Copies left by several ports. */
	flooded = 0x0010,
	/** Listed by key. */
	keyed = 0x0020,
	/** Listed by range. */
	ranged = 0x0040,
	/** Fragments of one datagram. */
	fragments = 0x0080,
	/** Came off the wire; the node that sent it may be watched. */
	orphan = 0x0100,
	/** Carried by several skbs: the same hook may come again. */
	manifold = 0x0200,
	/** The terminal hook saw it. */
	arrived = 0x0400,
	/** An orphan whose hops a path has taken over in part. */
	adopted = 0x0800,
	/** Joined across the wire by fields that a copy sent within one tick of TSval has, too: one that follows soon may be it. */
	repeatable = 0x1000,
}

/** Members of a path's record in doubles: see Records. */
export const enum PathF64 {
	/** In order of opening; names the path. */
	serial = 0,
	/** Joiner time of the first sighting and of the latest, ns. */
	first = 1,
	latest = 2,
	/** Since when it waits, ns. */
	since = 3,
}

/** … and in words, behind the doubles. What every path needs stands in the first two cache lines. */
export const enum PathAt {
	state = 8,
	marks = 9,
	tuple = 10,
	firstHop = 11,
	lastHop = 12,
	/** First of its carriers. */
	carrier = 13,
	subscribers = 14,
	/** Index into VERDICTS, once closed. */
	verdict = 15,
	/** The next seven as PacketAt has them. */
	ipId = 16,
	sequence = 17,
	payload = 18,
	acknowledgement = 19,
	tsval = 20,
	shape = 21,
	hash = 22,
	length = 23,
	/** gso_size | segments << 16: see gsoSizeOf and segmentsOf. */
	gso = 24,
	/** EventFlag bits | Kind.packet of its tuple << 16. */
	flags = 25,
	revision = 26,
	branches = 27,
	/** Which waiting list, and its neighbours there. */
	waiting = 28,
	older = 29,
	newer = 30,
	/** Its place in a ring of closed paths, and which: see ClosedRing. */
	closedAt = 31,
}
/** … and of what some paths need, in `more`. */
export const enum PathMore {
	/** See key.ts. Signed. */
	keyHash = 0,
	/** Same packet, in order of opening. */
	sameNext = 1,
	samePrevious = 2,
	/** Of the first with its packet: the next such in the bucket, and the last of its own. */
	groupNext = 3,
	groupTail = 4,
	/** Range on a circle of 2^32: TCP bytes, or UDP IPv4 IDs << 16. */
	rangeStart = 5,
	rangeSpan = 6,
	/** Span of one bit of a hop's coverage, and how many units the range has: see coverage.ts. */
	unit = 7,
	units = 8,
	/** Bytes behind the IP header that a hop has to see of a datagram, when fragments told; 0: unknown. */
	total = 9,
}
const SIZE = 32;

/**
 * Paths as records. A closed path stays (state `closed`) until its pointer carries another packet or newer closed ones
 * push it out, so that a drop report or a late hop can still revise it.
 */
export type PathTable = Records;

/** @param limit paths at the most */
export function makePathTable(capacity: number, limit: number): PathTable {
	return makeRecords(SIZE, PathAt.newer, capacity, { limit });
}

/** 0 when full. The caller sets every member but state, marks, revision, carrier and branches. */
export function allocatePath(paths: PathTable): number {
	const id = take(paths);
	if (id === 0) return 0;
	paths.words[id | PathAt.state] = State.open;
	paths.words[id | PathAt.marks] = 0;
	paths.words[id | PathAt.revision] = 0;
	paths.words[id | PathAt.carrier] = 0;
	paths.words[id | PathAt.branches] = 0;
	return id;
}

export function freePath(paths: PathTable, id: number): void {
	paths.words[id | PathAt.state] = State.free;
	giveBack(paths, id);
}

/** Payload bytes of a segment; 0: not GSO. */
export function gsoSizeOf(paths: PathTable, id: number): number {
	return (paths.words[id | PathAt.gso] as number) & 0xffff;
}

export function segmentsOf(paths: PathTable, id: number): number {
	return (paths.words[id | PathAt.gso] as number) >>> 16;
}

/** See Kind.packet. */
export function kindOf(paths: PathTable, id: number): number {
	return (paths.words[id | PathAt.flags] as number) >>> 16;
}

export function setKind(paths: PathTable, id: number, kind: number): void {
	paths.words[id | PathAt.flags] = ((paths.words[id | PathAt.flags] as number) & 0xffff) | (kind << 16);
}

export function protocolOf(paths: PathTable, id: number): number {
	return kindOf(paths, id) & 0xff;
}
