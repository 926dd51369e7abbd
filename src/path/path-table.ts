import { grown } from "./columns.js";

/** Of PathTable.state. */
export const State = { free: 0, open: 1, closed: 2 } as const;

/** Bits of PathTable.marks. */
export const Mark = {
	/** Another open path has the same key: a join by key rests on order. */
	shared: 0x0001,
	/** A join rested on order. */
	order: 0x0002,
	/** … and something was lost in between. */
	ambiguous: 0x0004,
	/** First seen at a hook that is not where packets begin. */
	midway: 0x0008,
	/** Copies left by several ports. */
	flooded: 0x0010,
	/** Listed by key. */
	keyed: 0x0020,
	/** Listed by range. */
	ranged: 0x0040,
	/** Fragments of one datagram. */
	fragments: 0x0080,
	/** Came off the wire; the node that sent it may be watched. */
	orphan: 0x0100,
	/** Carried by several skbs: the same hook may come again. */
	manifold: 0x0200,
	/** The terminal hook saw it. */
	arrived: 0x0400,
	/** An orphan whose hops a path has taken over in part. */
	adopted: 0x0800,
} as const;

/**
 * Paths as columns; ids start at 1, 0 is none. A closed path stays (state `closed`) until its pointer carries another
 * packet or newer closed ones push it out, so that a drop report or a late hop can still revise it.
 */
export class PathTable {
	capacity: number;
	used = 0;
	readonly limit: number;
	state: Uint8Array;
	marks: Uint16Array;
	/** In order of opening; names the path. */
	serial: Float64Array;
	revision: Uint16Array;
	first: Float64Array;
	latest: Float64Array;
	keyA: Int32Array;
	keyB: Int32Array;
	tuple: Uint32Array;
	sequence: Uint32Array;
	acknowledgement: Uint32Array;
	ipId: Uint32Array;
	tsval: Uint32Array;
	payload: Uint32Array;
	hash: Uint32Array;
	length: Uint32Array;
	gsoSize: Uint16Array;
	segments: Uint16Array;
	flags: Uint16Array;
	tcpFlags: Uint8Array;
	window: Uint16Array;
	subscribers: Uint32Array;
	/** Range on a circle of 2^32: TCP bytes, or UDP IPv4 IDs << 16. */
	rangeStart: Uint32Array;
	rangeSpan: Uint32Array;
	/** Span of one bit of a hop's coverage. */
	unit: Uint32Array;
	firstHop: Uint32Array;
	lastHop: Uint32Array;
	/** First of its carriers. */
	carrier: Uint32Array;
	branches: Uint8Array;
	/** Same key, in order of opening. */
	sameNext: Uint32Array;
	samePrevious: Uint32Array;
	/** Of the first of its key: the next key in the bucket, and the last of its own. */
	groupNext: Uint32Array;
	groupTail: Uint32Array;
	/** Which waiting list, and its neighbours there. */
	waiting: Uint8Array;
	older: Uint32Array;
	newer: Uint32Array;
	/** Since when it waits, ns. */
	since: Float64Array;
	/** Index into VERDICTS, once closed. */
	verdict: Uint8Array;
	/** Bytes of a datagram behind its IP header, when fragments told; 0: unknown. */
	total: Uint32Array;
	#free = 0;
	#highest = 0;

	/** @param limit paths at the most */
	constructor(capacity: number, limit: number) {
		this.limit = limit;
		this.capacity = Math.min(capacity, limit);
		const n = this.capacity + 1;
		this.state = new Uint8Array(n);
		this.marks = new Uint16Array(n);
		this.serial = new Float64Array(n);
		this.revision = new Uint16Array(n);
		this.first = new Float64Array(n);
		this.latest = new Float64Array(n);
		this.keyA = new Int32Array(n);
		this.keyB = new Int32Array(n);
		this.tuple = new Uint32Array(n);
		this.sequence = new Uint32Array(n);
		this.acknowledgement = new Uint32Array(n);
		this.ipId = new Uint32Array(n);
		this.tsval = new Uint32Array(n);
		this.payload = new Uint32Array(n);
		this.hash = new Uint32Array(n);
		this.length = new Uint32Array(n);
		this.gsoSize = new Uint16Array(n);
		this.segments = new Uint16Array(n);
		this.flags = new Uint16Array(n);
		this.tcpFlags = new Uint8Array(n);
		this.window = new Uint16Array(n);
		this.subscribers = new Uint32Array(n);
		this.rangeStart = new Uint32Array(n);
		this.rangeSpan = new Uint32Array(n);
		this.unit = new Uint32Array(n);
		this.firstHop = new Uint32Array(n);
		this.lastHop = new Uint32Array(n);
		this.carrier = new Uint32Array(n);
		this.branches = new Uint8Array(n);
		this.sameNext = new Uint32Array(n);
		this.samePrevious = new Uint32Array(n);
		this.groupNext = new Uint32Array(n);
		this.groupTail = new Uint32Array(n);
		this.waiting = new Uint8Array(n);
		this.older = new Uint32Array(n);
		this.newer = new Uint32Array(n);
		this.since = new Float64Array(n);
		this.verdict = new Uint8Array(n);
		this.total = new Uint32Array(n);
	}

	get full(): boolean {
		return this.used === this.limit;
	}

	/** 0 when full. The caller sets every column but state, marks, revision, carrier and branches. */
	allocate(): number {
		let id = this.#free;
		if (id !== 0) this.#free = this.newer[id] as number;
		else {
			if (this.#highest === this.limit) return 0;
			if (this.#highest === this.capacity) this.#grow();
			id = ++this.#highest;
		}
		this.used++;
		this.state[id] = State.open;
		this.marks[id] = 0;
		this.revision[id] = 0;
		this.carrier[id] = 0;
		this.branches[id] = 0;
		return id;
	}

	free(id: number): void {
		this.used--;
		this.state[id] = State.free;
		this.newer[id] = this.#free;
		this.#free = id;
	}

	#grow(): void {
		this.capacity = Math.min(this.capacity * 2, this.limit);
		const n = this.capacity + 1;
		this.state = grown(this.state, n);
		this.marks = grown(this.marks, n);
		this.serial = grown(this.serial, n);
		this.revision = grown(this.revision, n);
		this.first = grown(this.first, n);
		this.latest = grown(this.latest, n);
		this.keyA = grown(this.keyA, n);
		this.keyB = grown(this.keyB, n);
		this.tuple = grown(this.tuple, n);
		this.sequence = grown(this.sequence, n);
		this.acknowledgement = grown(this.acknowledgement, n);
		this.ipId = grown(this.ipId, n);
		this.tsval = grown(this.tsval, n);
		this.payload = grown(this.payload, n);
		this.hash = grown(this.hash, n);
		this.length = grown(this.length, n);
		this.gsoSize = grown(this.gsoSize, n);
		this.segments = grown(this.segments, n);
		this.flags = grown(this.flags, n);
		this.tcpFlags = grown(this.tcpFlags, n);
		this.window = grown(this.window, n);
		this.subscribers = grown(this.subscribers, n);
		this.rangeStart = grown(this.rangeStart, n);
		this.rangeSpan = grown(this.rangeSpan, n);
		this.unit = grown(this.unit, n);
		this.firstHop = grown(this.firstHop, n);
		this.lastHop = grown(this.lastHop, n);
		this.carrier = grown(this.carrier, n);
		this.branches = grown(this.branches, n);
		this.sameNext = grown(this.sameNext, n);
		this.samePrevious = grown(this.samePrevious, n);
		this.groupNext = grown(this.groupNext, n);
		this.groupTail = grown(this.groupTail, n);
		this.waiting = grown(this.waiting, n);
		this.older = grown(this.older, n);
		this.newer = grown(this.newer, n);
		this.since = grown(this.since, n);
		this.verdict = grown(this.verdict, n);
		this.total = grown(this.total, n);
	}
}
