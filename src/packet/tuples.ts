import { formatWords, networkWord, parseWords } from "./addresses.js";
import { Interner } from "./interner.js";
import { Family } from "./sightings.js";
import type { Tuple } from "./tuple.js";

/** Key: source (4 words as loaded), destination (4), source port | destination port << 16, family | protocol << 8. */
const WIDTH = 10;
const PORTS = 8;
const KIND = 9;

/** Tuples kept as objects; beyond it the cache starts anew. */
const TEXT_CACHE = 16384;

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

/**
 * Family, protocol, addresses and ports → a dense id in 1…capacity; 0: none, or no room (count `tupleTableFull`).
 * The law of ids and how they are reclaimed: see Interner. Columns carry ids; objects are made at the edge, by `get`.
 */
export class TupleTable {
	readonly #interner: Interner;
	readonly #scratch = new Uint32Array(WIDTH);
	readonly #texts = new Map<number, Tuple>();
	/** The id of the key in #scratch, in this epoch; 0: unknown. Neighbouring rows are mostly of one flow. */
	#latest = 0;

	constructor(capacity = 2 ** 17) {
		this.#interner = new Interner(WIDTH, capacity);
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
		const key = this.#scratch;
		if (
			this.#latest !== 0 &&
			key[PORTS] === ports >>> 0 &&
			key[3] === words[at + 3] &&
			key[7] === words[at + 7] &&
			key[KIND] === kind &&
			key[0] === words[at] &&
			key[1] === words[at + 1] &&
			key[2] === words[at + 2] &&
			key[4] === words[at + 4] &&
			key[5] === words[at + 5] &&
			key[6] === words[at + 6]
		) {
			return this.#latest;
		}
		key[0] = words[at] as number;
		key[1] = words[at + 1] as number;
		key[2] = words[at + 2] as number;
		key[3] = words[at + 3] as number;
		key[4] = words[at + 4] as number;
		key[5] = words[at + 5] as number;
		key[6] = words[at + 6] as number;
		key[7] = words[at + 7] as number;
		key[PORTS] = ports;
		key[KIND] = kind;
		this.#latest = this.#interner.intern(key, 0);
		return this.#latest;
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
		const keys = this.#interner.keys;
		const start = id * WIDTH;
		const words = new Uint32Array(8);
		words.set(keys.subarray(start + 4, start + 8), 0);
		words.set(keys.subarray(start, start + 4), 4);
		return this.internRaw(words, 0, this.#reversePorts(id), keys[start + KIND] as number);
	}

	/** Word 0…3 of the source, 4…7 of the destination, as the number that it spells: 10.244.1.2 has 0x0af40102 in word 3. */
	word(id: number, index: number): number {
		return networkWord(this.#interner.keys[id * WIDTH + index] as number);
	}

	sourcePort(id: number): number {
		return (this.#interner.keys[id * WIDTH + PORTS] as number) & 0xffff;
	}

	/** ICMP: type << 8 | code. */
	destinationPort(id: number): number {
		return (this.#interner.keys[id * WIDTH + PORTS] as number) >>> 16;
	}

	family(id: number): number {
		return (this.#interner.keys[id * WIDTH + KIND] as number) & 0xff;
	}

	protocol(id: number): number {
		return ((this.#interner.keys[id * WIDTH + KIND] as number) >>> 8) & 0xff;
	}

	/** See Interner.tick. */
	tick(): number {
		this.#latest = 0;
		return this.#interner.tick();
	}

	/** See Interner.keep. */
	keep(id: number): void {
		this.#interner.keep(id);
	}

	/** See Interner.retire. */
	retire(epoch: number, onFreed?: (id: number) => void): number {
		this.#latest = 0;
		return this.#interner.retire(epoch, (id) => {
			this.#texts.delete(id);
			onFreed?.(id);
		});
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
