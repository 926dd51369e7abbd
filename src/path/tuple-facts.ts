import { Family } from "../packet/sightings.js";
import type { TupleTable } from "../packet/tuples.js";

/**
 * What a tuple is, in bits: the protocol (8), then the type of ICMP or the operation of ARP (8), which no NAT changes
 * (together `packet`), then the others.
 */
export const enum Kind {
	packet = 0xffff,
	icmpError = 0x10000,
	noNat = 0x20000,
	known = 0x40000,
}

const ICMP = 1;
const ICMPV6 = 58;
/** RFC 792: unreachable, quench, redirect, time exceeded, parameter problem. They quote headers that NAT rewrites. */
const ICMP_ERRORS = new Set([3, 4, 5, 11, 12]);

/**
 * Members of a tuple's record: all that joining asks of a tuple stands in one cache line, so that a packet of a flow that
 * was not seen lately costs one wait and not one for each question.
 *
 *     words[tuple << TupleSize.shift | n]
 */
export const enum TupleAt {
	/** See Kind; 0: not worked out yet. */
	kind = 0,
	/** The root of its direction; 0: the tuple itself. */
	root = 1,
	/** The next of its direction, in a circle; 0: it is alone. */
	ring = 2,
	/** RangeIndex's, of a root. */
	ranges = 3,
	/** DueCache's, to the end of the line. */
	dues = 4,
}
export const enum TupleSize {
	shift = 4,
	dues = 12,
}

/**
 * What joining needs to know of a tuple, and which tuples are faces of one direction of a connection: NAT gives a packet
 * another tuple on its way, and the first that is seen to do so tells it for all.
 */
export class TupleFacts {
	readonly words: Uint32Array;
	readonly #tuples: TupleTable;

	constructor(tuples: TupleTable) {
		this.#tuples = tuples;
		this.words = new Uint32Array((tuples.capacity + 1) << TupleSize.shift);
	}

	/** See Kind. */
	kind(tuple: number): number {
		const kind = this.words[(tuple << TupleSize.shift) | TupleAt.kind] as number;
		return kind !== 0 ? kind : this.#learn(tuple);
	}

	root(tuple: number): number {
		const root = this.words[(tuple << TupleSize.shift) | TupleAt.root] as number;
		return root === 0 ? tuple : root;
	}

	sameDirection(a: number, b: number): boolean {
		return a === b || this.root(a) === this.root(b);
	}

	/**
	 * Can NAT have made `after` of `before`? Not where there is none, and never the answer to it: a request's skb is soon
	 * used again for its reply, which may be equal in all else.
	 */
	isNat(before: number, after: number): boolean {
		if ((this.kind(after) & Kind.noNat) !== 0) return false;
		const tuples = this.#tuples;
		if (tuples.family(before) !== tuples.family(after)) return false;
		const protocol = this.kind(after) & 0xff;
		// Their answers are of another type, which is part of what identifies a packet.
		if (protocol === ICMP || protocol === ICMPV6) return true;
		if (tuples.destinationPort(after) !== tuples.sourcePort(before)) return true;
		for (let word = 0; word < 4; word++) {
			if (tuples.word(after, 4 + word) !== tuples.word(before, word)) return true;
		}
		return false;
	}

	/** NAT made `after` of `before`. Returns the root that lost its standing, whose ranges move; 0: nothing new. */
	alias(before: number, after: number): number {
		const root = this.root(before);
		const other = this.root(after);
		if (root === other) return 0;
		let member = other;
		do {
			this.#set(member, TupleAt.root, root);
			member = this.#next(member);
		} while (member !== other);
		const next = this.#next(root);
		this.#set(root, TupleAt.ring, this.#next(other));
		this.#set(other, TupleAt.ring, next);
		this.#set(root, TupleAt.root, root);
		return other;
	}

	/**
	 * The id was retired from the table: what it means next is another story, and its direction is learned anew. Its ranges
	 * are the caller's to take out before.
	 */
	forget(id: number): void {
		let member = id;
		while (this.words[(member << TupleSize.shift) | TupleAt.root] !== 0) {
			const next = this.#next(member);
			this.#set(member, TupleAt.root, 0);
			this.#set(member, TupleAt.ring, 0);
			member = next;
		}
		this.words.fill(0, id << TupleSize.shift, (id + 1) << TupleSize.shift);
	}

	#next(member: number): number {
		const next = this.words[(member << TupleSize.shift) | TupleAt.ring] as number;
		return next === 0 ? member : next;
	}

	#set(tuple: number, member: TupleAt, value: number): void {
		this.words[(tuple << TupleSize.shift) | member] = value;
	}

	#learn(tuple: number): number {
		const protocol = this.#tuples.protocol(tuple);
		const family = this.#tuples.family(tuple);
		const port = this.#tuples.destinationPort(tuple);
		const isIp = family === Family.ipv4 || family === Family.ipv6;
		const icmp = isIp && (protocol === ICMP || protocol === ICMPV6);
		const type = icmp ? port >>> 8 : family === Family.arp ? port & 0xff : 0;
		const isError = icmp && (protocol === ICMP ? ICMP_ERRORS.has(type) : type < 128);
		const kind = protocol | (type << 8) | Kind.known | (isError ? Kind.icmpError : 0) | (isIp ? 0 : Kind.noNat);
		this.#set(tuple, TupleAt.kind, kind);
		return kind;
	}
}
