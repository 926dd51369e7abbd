import { formatWords, networkWord, parseWords } from "./addresses.js";
import { Interner } from "./interner.js";
import type { Outer } from "./tuple.js";

/** Words of an entry: peer as loaded, VNI. */
const VNI = 4;
export const OUTER_WORDS = 5;

/** Tunnel peer and VNI → a dense id in 1…capacity; 0: none, or no room. The law of ids: see Interner. */
export class OuterTable {
	readonly #interner: Interner;
	readonly #texts = new Map<number, Outer>();

	constructor(capacity = 2 ** 12) {
		this.#interner = new Interner(1, capacity);
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

	/** The hot path: the peer is the four words at `words[at]`, as loaded from the wire's bytes. */
	internRaw(words: Uint32Array, at: number, vni: number): number {
		return this.#interner.intern(words, at, vni, 0);
	}

	/** The words that `internRaw` took, the VNI behind the peer: 5 words to `to[at]`. */
	copyRaw(id: number, to: Uint32Array, at: number): void {
		for (let i = 0; i < OUTER_WORDS; i++) to[at + i] = this.#entryWord(id, i);
	}

	/** @throws RangeError when the peer is not an address. */
	intern(outer: Outer): number {
		const peer = parseWords(outer.peer);
		if (peer === null) throw new RangeError(`${JSON.stringify(outer.peer)} is not an address`);
		return this.internRaw(Uint32Array.from(peer, networkWord), 0, outer.vni);
	}

	/** @throws RangeError for an id that is not in use. */
	get(id: number): Outer {
		const known = this.#texts.get(id);
		if (known !== undefined) return known;
		if (!this.#interner.has(id)) throw new RangeError(`outer header ${id} is not in use`);
		const peer = formatWords(this.word(id, 0), this.word(id, 1), this.word(id, 2), this.word(id, 3));
		const outer = { peer, vni: this.vni(id) };
		this.#texts.set(id, outer);
		return outer;
	}

	has(id: number): boolean {
		return this.#interner.has(id);
	}

	/** Word 0…3 of the peer, as the number that it spells. */
	word(id: number, index: number): number {
		return networkWord(this.#entryWord(id, index));
	}

	vni(id: number): number {
		return this.#entryWord(id, VNI);
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
}
