import type { Expression } from "./ast.js";
import type { PathTest } from "./path.js";

const SLOTS = 4096;
/** Hooks of 16 bits that a double holds. */
const PER_WORD = 3;
const WORDS = 3;
const MOST_HOPS = PER_WORD * WORDS;

/**
 * Remembers what a test said of the packets of a flow, which all take the same way: of a filter over addresses, ports
 * and protocols alone the answer follows from the hooks and tuples of a path. Keys are whole, so an answer is never
 * another path's. Direct-mapped; nothing is allocated per path.
 */
export class PathMemo {
	readonly #test: PathTest;
	readonly #worthwhile: boolean;
	readonly #hooks = new Float64Array(SLOTS * WORDS);
	/** Tuple of the first hops, that of the others, and from which hop on. */
	readonly #before = new Uint32Array(SLOTS);
	readonly #after = new Uint32Array(SLOTS);
	readonly #shape = new Uint8Array(SLOTS);
	/** 0: unknown; 1: no; 2: yes. */
	readonly #answers = new Uint8Array(SLOTS);
	readonly #key = new Float64Array(WORDS);
	#empty = true;

	constructor(test: PathTest, expression: Expression) {
		this.#test = test;
		this.#worthwhile = followsFromFaces(expression);
	}

	/** As the test; the answer may be an earlier one. */
	readonly test: PathTest = (path) => {
		const count = path.hops;
		if (!this.#worthwhile || count > MOST_HOPS || count === 0) return this.#test(path);
		const before = path.tuple(0);
		let after = before;
		let turn = 0;
		let mix = before;
		const key = this.#key;
		key.fill(0);
		for (let i = 0; i < count; i++) {
			const tuple = path.tuple(i);
			if (tuple !== after) {
				if (turn !== 0) return this.#test(path);
				after = tuple;
				turn = i;
			}
			const word = (i / PER_WORD) | 0;
			const hook = path.hook(i);
			key[word] = (key[word] as number) * 65536 + hook;
			mix = Math.imul(mix, 31) + hook;
		}
		const shape = count * 16 + turn;
		const slot = (Math.imul(mix ^ (after << 7), 0x9e3779b1) >>> 20) & (SLOTS - 1);
		if (this.#answers[slot] !== 0 && this.#holds(slot, before, after, shape)) return this.#answers[slot] === 2;
		const answer = this.#test(path);
		this.#hooks.set(key, slot * WORDS);
		this.#before[slot] = before;
		this.#after[slot] = after;
		this.#shape[slot] = shape;
		this.#answers[slot] = answer ? 2 : 1;
		this.#empty = false;
		return answer;
	};

	/** Tuple ids were retired: they may mean others from now on. */
	forget(): void {
		if (!this.#empty) this.#answers.fill(0);
		this.#empty = true;
	}

	#holds(slot: number, before: number, after: number, shape: number): boolean {
		const at = slot * WORDS;
		return (
			this.#before[slot] === before &&
			this.#after[slot] === after &&
			this.#shape[slot] === shape &&
			this.#hooks[at] === this.#key[0] &&
			this.#hooks[at + 1] === this.#key[1] &&
			this.#hooks[at + 2] === this.#key[2]
		);
	}
}

/** Is nothing of a single packet asked: no length, flag, TTL or tag? */
function followsFromFaces(expression: Expression): boolean {
	switch (expression.kind) {
		case "true":
		case "protocol":
		case "net":
		case "port":
		case "name":
			return true;
		case "and":
		case "or":
			return followsFromFaces(expression.left) && followsFromFaces(expression.right);
		case "not":
			return followsFromFaces(expression.term);
		case "ethertype":
		case "vlan":
		case "relation":
			return false;
	}
}
