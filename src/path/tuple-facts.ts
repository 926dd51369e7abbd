import { alignedWords } from "../packet/lines.js";
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
export type TupleFacts = ReturnType<typeof makeTupleFacts>;

export function makeTupleFacts(tuples: TupleTable) {
	const words = alignedWords((tuples.capacity + 1) << TupleSize.shift);
	return { words, kind, root, sameDirection, isNat, alias, forget };

	/** See Kind. */
	function kind(tuple: number): number {
		const known = words[(tuple << TupleSize.shift) | TupleAt.kind] as number;
		return known !== 0 ? known : learn(tuple);
	}

	function root(tuple: number): number {
		const known = words[(tuple << TupleSize.shift) | TupleAt.root] as number;
		return known === 0 ? tuple : known;
	}

	function sameDirection(a: number, b: number): boolean {
		return a === b || root(a) === root(b);
	}

	/**
	 * Can NAT have made `after` of `before`? Not where there is none, and never the answer to it: a request's skb is soon
	 * used again for its reply, which may be equal in all else.
	 */
	function isNat(before: number, after: number): boolean {
		if ((kind(after) & Kind.noNat) !== 0) return false;
		if (tuples.family(before) !== tuples.family(after)) return false;
		const protocol = kind(after) & 0xff;
		// Their answers are of another type, which is part of what identifies a packet.
		if (protocol === ICMP || protocol === ICMPV6) return true;
		if (tuples.destinationPort(after) !== tuples.sourcePort(before)) return true;
		for (let word = 0; word < 4; word++) {
			if (tuples.word(after, 4 + word) !== tuples.word(before, word)) return true;
		}
		return false;
	}

	/** NAT made `after` of `before`. Returns the root that lost its standing, whose ranges move; 0: nothing new. */
	function alias(before: number, after: number): number {
		const kept = root(before);
		const other = root(after);
		if (kept === other) return 0;
		let member = other;
		do {
			set(member, TupleAt.root, kept);
			member = next(member);
		} while (member !== other);
		const second = next(kept);
		set(kept, TupleAt.ring, next(other));
		set(other, TupleAt.ring, second);
		set(kept, TupleAt.root, kept);
		return other;
	}

	/**
	 * The id was retired from the table: what it means next is another story, and its direction is learned anew. Its ranges
	 * are the caller's to take out before.
	 */
	function forget(id: number): void {
		let member = id;
		while (words[(member << TupleSize.shift) | TupleAt.root] !== 0) {
			const following = next(member);
			set(member, TupleAt.root, 0);
			set(member, TupleAt.ring, 0);
			member = following;
		}
		words.fill(0, id << TupleSize.shift, (id + 1) << TupleSize.shift);
	}

	function next(member: number): number {
		const known = words[(member << TupleSize.shift) | TupleAt.ring] as number;
		return known === 0 ? member : known;
	}

	function set(tuple: number, member: TupleAt, value: number): void {
		words[(tuple << TupleSize.shift) | member] = value;
	}

	function learn(tuple: number): number {
		const protocol = tuples.protocol(tuple);
		const family = tuples.family(tuple);
		const port = tuples.destinationPort(tuple);
		const isIp = family === Family.ipv4 || family === Family.ipv6;
		const icmp = isIp && (protocol === ICMP || protocol === ICMPV6);
		const type = icmp ? port >>> 8 : family === Family.arp ? port & 0xff : 0;
		const isError = icmp && (protocol === ICMP ? ICMP_ERRORS.has(type) : type < 128);
		const kind = protocol | (type << 8) | Kind.known | (isError ? Kind.icmpError : 0) | (isIp ? 0 : Kind.noNat);
		set(tuple, TupleAt.kind, kind);
		return kind;
	}
}
