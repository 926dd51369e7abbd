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
		// The key's words, in variables: an array would be written and read again for every path.
		let low = 0;
		let middle = 0;
		let high = 0;
		for (let i = 0; i < count; i++) {
			const tuple = path.tuple(i);
			if (tuple !== after) {
				if (turn !== 0) return this.#test(path);
				after = tuple;
				turn = i;
			}
			const hook = path.hook(i);
			if (i < PER_WORD) low = low * 65536 + hook;
			else if (i < 2 * PER_WORD) middle = middle * 65536 + hook;
			else high = high * 65536 + hook;
			mix = Math.imul(mix, 31) + hook;
		}
		const shape = count * 16 + turn;
		const slot = (Math.imul(mix ^ (after << 7), 0x9e3779b1) >>> 20) & (SLOTS - 1);
		const at = slot * WORDS;
		const known = this.#answers[slot] as number;
		if (
			known !== 0 &&
			this.#before[slot] === before &&
			this.#after[slot] === after &&
			this.#shape[slot] === shape &&
			this.#hooks[at] === low &&
			this.#hooks[at + 1] === middle &&
			this.#hooks[at + 2] === high
		) {
			return known === 2;
		}
		const answer = this.#test(path);
		this.#hooks[at] = low;
		this.#hooks[at + 1] = middle;
		this.#hooks[at + 2] = high;
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
