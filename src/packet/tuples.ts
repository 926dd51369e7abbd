import { formatWords, networkWord, parseWords } from "./addresses.js";
import { Interner } from "./interner.js";
import { Family } from "./sightings.js";
import type { Tuple } from "./tuple.js";

/** Words of an entry: source and destination as loaded, source port | destination port << 16, family | protocol << 8. */
const PORTS = 8;
const KIND = 9;
export const TUPLE_WORDS = 10;

/** Tuples kept as objects, some 200 bytes each; beyond it the cache starts anew. */
const TEXT_CACHE = 65536;

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

/**
 * Family, protocol, addresses and ports → a dense id in 1…capacity; 0: none, or no room (count `tupleTableFull`).
 * The law of ids and how they are reclaimed: see Interner. Columns carry ids; objects are made at the edge, by `get`.
 */
export class TupleTable {
	readonly #interner: Interner;
	readonly #texts = new Map<number, Tuple>();

	constructor(capacity = 2 ** 17) {
		this.#interner = new Interner(2, capacity);
	}

	get capacity(): number {
		return this.#interner.capacity;
	}

	get used(): number {
		return this.#interner.used;
	}

	get crowded(): boolean {
		return this.#interner.crowded;
	}

	get epoch(): number {
		return this.#interner.epoch;
	}

	/**
	 * The hot path: source and destination are the eight words at `words[at]`, as loaded from the wire's bytes.
	 * @param ports source port | destination port << 16, each in host order
	 * @param kind family | protocol << 8
	 */
	internRaw(words: Uint32Array, at: number, ports: number, kind: number): number {
		return this.#interner.intern(words, at, ports, kind);
	}

	/** The words that `internRaw` took, ports and kind behind the addresses: 10 words to `to[at]`. */
	copyRaw(id: number, to: Uint32Array, at: number): void {
		for (let i = 0; i < TUPLE_WORDS; i++) to[at + i] = this.#entryWord(id, i);
	}

	/** @throws RangeError when an address of the tuple is not one. */
	intern(tuple: Tuple): number {
		const words = new Uint32Array(8);
		writeAddress(words, 0, tuple.source);
		writeAddress(words, 4, tuple.destination);
		return this.internRaw(
			words,
			0,
			portsOf(tuple.sourcePort, tuple.destinationPort),
			tuple.family | (tuple.protocol << 8),
		);
	}

	/** @throws RangeError for an id that is not in use. */
	get(id: number): Tuple {
		const known = this.#texts.get(id);
		if (known !== undefined) return known;
		if (!this.#interner.has(id)) throw new RangeError(`tuple ${id} is not in use`);
		const tuple = this.#format(id);
		if (this.#texts.size >= TEXT_CACHE) this.#texts.clear();
		this.#texts.set(id, tuple);
		return tuple;
	}

	has(id: number): boolean {
		return this.#interner.has(id);
	}

	/**
	 * The id of the tuple that answers carry: ends swapped; ICMP requests become replies and back, with the same echo
	 * id (as conntrack inverts them: nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c). 0: no room.
	 */
	reverse(id: number): number {
		const start = id * this.#interner.stride;
		const words = new Uint32Array(8);
		words.set(this.#interner.entries.subarray(start + 4, start + 8), 0);
		words.set(this.#interner.entries.subarray(start, start + 4), 4);
		return this.internRaw(words, 0, this.#reversePorts(id), this.#entryWord(id, KIND));
	}

	/** Word 0…3 of the source, 4…7 of the destination, as the number that it spells: 10.244.1.2 has 0x0af40102 in word 3. */
	word(id: number, index: number): number {
		return networkWord(this.#entryWord(id, index));
	}

	sourcePort(id: number): number {
		return this.#entryWord(id, PORTS) & 0xffff;
	}

	/** ICMP: type << 8 | code. */
	destinationPort(id: number): number {
		return this.#entryWord(id, PORTS) >>> 16;
	}

	family(id: number): number {
		return this.#entryWord(id, KIND) & 0xff;
	}

	protocol(id: number): number {
		return (this.#entryWord(id, KIND) >>> 8) & 0xff;
	}

	/** See Interner.tick. */
	tick(): number {
		return this.#interner.tick();
	}

	/** See Interner.keep. */
	keep(id: number): void {
		this.#interner.keep(id);
	}

	/** See Interner.retire. */
	retire(epoch: number, onFreed?: (id: number) => void): number {
		return this.#interner.retire(epoch, (id) => {
			this.#texts.delete(id);
			onFreed?.(id);
		});
	}

	#entryWord(id: number, index: number): number {
		return this.#interner.entries[id * this.#interner.stride + index] as number;
	}

	#format(id: number): Tuple {
		const family = this.family(id);
		const address = (at: number) =>
			formatWords(this.word(id, at), this.word(id, at + 1), this.word(id, at + 2), this.word(id, at + 3));
		return {
			family,
			protocol: this.protocol(id),
			source: family === Family.other ? null : address(0),
			destination: family === Family.other ? null : address(4),
			sourcePort: this.sourcePort(id),
			destinationPort: this.destinationPort(id),
		};
	}

	#reversePorts(id: number): number {
		const source = this.sourcePort(id);
		const destination = this.destinationPort(id);
		const family = this.family(id);
		const protocol = this.protocol(id);
		if (family === Family.other) return portsOf(source, destination);
		if (family === Family.arp) return portsOf(source, ARP_ANSWER.get(destination) ?? destination);
		if (protocol === IPPROTO_ICMP) return portsOf(source, answerOf(ICMP_ANSWER, destination));
		if (protocol === IPPROTO_ICMPV6) return portsOf(source, answerOf(ICMPV6_ANSWER, destination));
		return portsOf(destination, source);
	}
}

/** Operation (RFC 826): request, reply. */
const ARP_ANSWER = bothWays([[1, 2]]);
/** Types: echo, timestamp, information, address mask (RFC 792, RFC 950). */
const ICMP_ANSWER = bothWays([
	[8, 0],
	[13, 14],
	[15, 16],
	[17, 18],
]);
/** Types: echo, node information (RFC 4443, RFC 4620). */
const ICMPV6_ANSWER = bothWays([
	[128, 129],
	[139, 140],
]);

function bothWays(pairs: readonly (readonly [number, number])[]): ReadonlyMap<number, number> {
	return new Map(pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));
}

/** Of type << 8 | code: another type, the same code. */
function answerOf(answers: ReadonlyMap<number, number>, typeAndCode: number): number {
	const type = typeAndCode >>> 8;
	return ((answers.get(type) ?? type) << 8) | (typeAndCode & 0xff);
}

function portsOf(source: number, destination: number): number {
	return (source | (destination << 16)) >>> 0;
}

/** As the kernel would have loaded it; null is all zeros. */
function writeAddress(words: Uint32Array, at: number, text: string | null): void {
	if (text === null) return;
	const parsed = parseWords(text);
	if (parsed === null) throw new RangeError(`${JSON.stringify(text)} is not an address`);
	parsed.forEach((word, i) => {
		words[at + i] = networkWord(word);
	});
}
