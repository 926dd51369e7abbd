import { readFileSync } from "node:fs";

/** Names of functions in the kernel's text, from /proc/kallsyms; read when the first is asked for. */
export class KernelSymbols {
	readonly #read: () => Uint8Array;
	#table: SymbolTable | null = null;
	readonly #known = new Map<bigint, string | null>();

	/** @param read for tests: another file of that format */
	constructor(read: () => Uint8Array = () => readFileSync("/proc/kallsyms")) {
		this.#read = read;
	}

	/** The function that an address lies in; null without one, or where the kernel hides its addresses. */
	functionAt(address: bigint): string | null {
		let name = this.#known.get(address);
		if (name === undefined) {
			this.#table ??= new SymbolTable(this.#read());
			name = this.#table.find(Number(BigInt.asUintN(ADDRESS_BITS, address)));
			this.#known.set(address, name);
		}
		return name;
	}
}

/** As many as a number holds exactly. Above them all addresses of a kernel are alike. */
const ADDRESS_BITS = 52;
const ADDRESS_DIGITS = ADDRESS_BITS / 4;
/** Kernel functions are smaller: what lies further behind the last symbol before it belongs to none. */
const LONGEST_FUNCTION = 1 << 20;
const NEWLINE = 10;
const SPACE = 32;
const FUNCTION_TYPES = new Set([..."tTwW"].map((type) => type.charCodeAt(0)));

/**
 * Lines as "ffffffff81000000 T name [module]", 200,000 and more of them, of which a few are ever asked for: only
 * addresses are read, names stay bytes. Nothing is sorted (the file is, but for modules): to look through all of them
 * takes less than that would.
 */
class SymbolTable {
	readonly #text: Uint8Array;
	readonly #addresses: Float64Array;
	/** Where in the text each name begins. */
	readonly #names: Uint32Array;
	readonly #count: number;

	constructor(text: Uint8Array) {
		// The shortest line has 8 digits, two blanks, a type, one letter and its end.
		const most = Math.ceil(text.length / 13);
		this.#text = text;
		this.#addresses = new Float64Array(most);
		this.#names = new Uint32Array(most);
		let count = 0;
		for (let line = 0; line < text.length; ) {
			const blank = text.indexOf(SPACE, line);
			if (blank === -1) break;
			if (FUNCTION_TYPES.has(text[blank + 1] as number)) {
				this.#addresses[count] = hexadecimal(text, Math.max(line, blank - ADDRESS_DIGITS), blank);
				this.#names[count] = blank + 3;
				count++;
			}
			const end = text.indexOf(NEWLINE, blank);
			line = end === -1 ? text.length : end + 1;
		}
		this.#count = count;
	}

	find(address: number): string | null {
		let [best, start] = [-1, 0];
		for (let at = 0; at < this.#count; at++) {
			const candidate = this.#addresses[at] as number;
			// Of several names for one place the last, as the file gives them.
			if (candidate > address || candidate < start) continue;
			best = at;
			start = candidate;
		}
		if (best === -1 || start === 0 || address - start > LONGEST_FUNCTION) return null;
		return this.#nameFrom(this.#names[best] as number);
	}

	#nameFrom(begin: number): string {
		let end = begin;
		while (end < this.#text.length && (this.#text[end] as number) > SPACE) end++;
		return Buffer.from(this.#text.subarray(begin, end)).toString("latin1");
	}
}

/** Digits from `begin` to `end`, at most 13. */
function hexadecimal(text: Uint8Array, begin: number, end: number): number {
	let value = 0;
	for (let at = begin; at < end; at++) {
		const character = text[at] as number;
		value = value * 16 + (character < 58 ? character - 48 : (character | 32) - 87);
	}
	return value;
}
