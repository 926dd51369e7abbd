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
 * What joining needs to know of a tuple, as columns by its id, and which tuples are faces of one direction of a
 * connection: NAT gives a packet another tuple on its way, and the first that is seen to do so tells it for all.
 */
export class TupleFacts {
	readonly #tuples: TupleTable;
	readonly #kinds: Uint32Array;
	/** The root of a tuple's direction; 0: the tuple itself. */
	readonly #roots: Uint32Array;
	/** The next of its direction, in a circle; 0: it is alone. */
	readonly #ring: Uint32Array;

	constructor(tuples: TupleTable) {
		this.#tuples = tuples;
		this.#kinds = new Uint32Array(tuples.capacity + 1);
		this.#roots = new Uint32Array(tuples.capacity + 1);
		this.#ring = new Uint32Array(tuples.capacity + 1);
	}

	/** See Kind. */
	kind(tuple: number): number {
		const kind = this.#kinds[tuple] as number;
		return kind !== 0 ? kind : this.#learn(tuple);
	}

	root(tuple: number): number {
		const root = this.#roots[tuple] as number;
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
			this.#roots[member] = root;
			member = this.#next(member);
		} while (member !== other);
		const next = this.#next(root);
		this.#ring[root] = this.#next(other);
		this.#ring[other] = next;
		this.#roots[root] = root;
		return other;
	}

	/** The id was retired from the table: what it means next is another story, and its direction is learned anew. */
	forget(id: number): void {
		this.#kinds[id] = 0;
		let member = id;
		while (this.#roots[member] !== 0) {
			const next = this.#next(member);
			this.#roots[member] = 0;
			this.#ring[member] = 0;
			member = next;
		}
	}

	#next(member: number): number {
		const next = this.#ring[member] as number;
		return next === 0 ? member : next;
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
		this.#kinds[tuple] = kind;
		return kind;
	}
}
