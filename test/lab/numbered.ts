import type { HookId } from "../../src/packet/hook.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { PathView } from "../../src/path/path-view.js";

const MASK = (1n << 64n) - 1n;
/** WEFT_ODD_1 and WEFT_ODD_8 of bpf/mix.h. */
const ODD_1 = 0x6a09e667f3bcc909n;
const ODDS = [ODD_1, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n];
const ODD_8 = 0x5be0cd19137e2179n;

/** Bytes of a datagram of `flood send --size 22`: its number, the flow's (0), nothing. */
export const DATAGRAM_BYTES = 22;

/**
 * Reads the number of a flood's datagram off a sighting: its payload hash is keyed with a salt that the test knows, so
 * the hashes of all numbers can be made beforehand (weft_hash_payload of bpf/details.h). Numbers whose hashes collide are
 * not told apart, and not told.
 */
export class Numbers {
	readonly #mask: number;
	/** Open addressing by hash: the hash, and its number + 1; 0: more than one has it. */
	readonly #hashes: Uint32Array;
	readonly #numbers: Uint32Array;

	constructor(count: number, salt: bigint) {
		const slots = 2 ** Math.ceil(Math.log2(count * 2.5));
		this.#mask = slots - 1;
		this.#hashes = new Uint32Array(slots);
		this.#numbers = new Uint32Array(slots);
		const rest = ODDS.slice(1).reduce((sum, odd) => sum + salt * odd, BigInt(DATAGRAM_BYTES));
		for (let number = 0; number < count; number++) this.#add(hashOf(number, salt, rest), number);
	}

	/** Null: it has a twin, or is no datagram of the flood. */
	of(hash: number): number | null {
		let slot = hash & this.#mask;
		while (this.#hashes[slot] !== 0) {
			if (this.#hashes[slot] === hash) {
				const found = this.#numbers[slot] as number;
				return found === 0 ? null : found - 1;
			}
			slot = (slot + 1) & this.#mask;
		}
		return null;
	}

	#add(hash: number, number: number): void {
		let slot = hash & this.#mask;
		while (this.#hashes[slot] !== 0 && this.#hashes[slot] !== hash) slot = (slot + 1) & this.#mask;
		this.#numbers[slot] = this.#hashes[slot] === hash ? 0 : number + 1;
		this.#hashes[slot] = hash;
	}
}

function hashOf(number: number, salt: bigint, rest: bigint): number {
	let sum = ((BigInt(number) ^ salt) * ODD_1 + rest) & MASK;
	sum ^= sum >> 32n;
	sum = (sum * ODD_8) & MASK;
	sum ^= sum >> 29n;
	return Number(sum >> 32n) || 1;
}

const UNTOLD = -1;

/** Which datagram passed a hook when. */
export class Passages {
	readonly #numbers: Numbers;
	readonly #hooks = new Map<HookId, { readonly times: Float64Array; readonly rows: Int32Array; count: number }>();
	readonly #capacity: number;

	/** @param capacity sightings at a hook at the most; later ones are not kept */
	constructor(numbers: Numbers, capacity: number) {
		this.#numbers = numbers;
		this.#capacity = capacity;
	}

	add(rows: Sightings): void {
		for (let i = 0; i < rows.count; i++) {
			const hook = this.#hookOf(rows.hook[i] as HookId);
			if (hook.count === this.#capacity) continue;
			hook.times[hook.count] = rows.time[i] as number;
			hook.rows[hook.count++] = this.#numbers.of(rows.hash[i] as number) ?? UNTOLD;
		}
	}

	/**
	 * The datagram whose path it is, if it is one's alone. `unknown`: a hop's is not told. `mixed`: of two. `tied`: two were
	 * at all these hooks at the same times, on two CPUs.
	 */
	of(path: PathView): number | "unknown" | "mixed" | "tied" {
		const there = Array.from({ length: path.hopCount }, (_, n) => this.#at(path.hook(n), path.first(n)));
		if (there.some((numbers) => numbers.length === 0 || numbers.includes(UNTOLD))) return "unknown";
		const common = there.reduce((those, numbers) => those.filter((one) => numbers.includes(one)));
		const [number] = common;
		if (number === undefined || there.some((_, n) => path.packets(n) !== 1)) return "mixed";
		return common.length === 1 ? number : "tied";
	}

	/** The datagrams that were at a hook at exactly that time: two may be, on two CPUs whose clock has steps. */
	#at(hook: number, time: number): readonly number[] {
		const passed = this.#hooks.get(hook as HookId);
		if (passed === undefined) return [];
		const { times, rows, count } = passed;
		let low = 0;
		let high = count;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((times[middle] as number) < time) low = middle + 1;
			else high = middle;
		}
		const numbers: number[] = [];
		for (; low < count && times[low] === time; low++) numbers.push(rows[low] as number);
		return numbers;
	}

	get counts(): readonly number[] {
		return [...this.#hooks.values()].map(({ count }) => count);
	}

	#hookOf(id: HookId) {
		let hook = this.#hooks.get(id);
		if (hook === undefined) {
			hook = { times: new Float64Array(this.#capacity), rows: new Int32Array(this.#capacity), count: 0 };
			this.#hooks.set(id, hook);
		}
		return hook;
	}
}
