import { readFileSync } from "node:fs";

/** Names of functions in the kernel's text, from /proc/kallsyms; read when the first is asked for (some 100 ms). */
export class KernelSymbols {
	#table: { readonly addresses: BigUint64Array; readonly names: readonly string[] } | null = null;
	readonly #known = new Map<bigint, string | null>();

	/** The function that an address lies in; null without one, or where the kernel hides its addresses. */
	functionAt(address: bigint): string | null {
		let name = this.#known.get(address);
		if (name === undefined) {
			this.#table ??= parse(readFileSync("/proc/kallsyms", "latin1"));
			name = find(this.#table.addresses, this.#table.names, address);
			this.#known.set(address, name);
		}
		return name;
	}
}

/** Lines as "ffffffff81000000 T name [module]". The file is sorted but for modules and the kernel's own init text. */
function parse(text: string): { addresses: BigUint64Array; names: readonly string[] } {
	const found: { address: bigint; name: string }[] = [];
	for (const [, address, name] of text.matchAll(/^([0-9a-f]+) [tTwW] (\S+)/gm)) {
		if (address !== undefined && name !== undefined) found.push({ address: BigInt(`0x${address}`), name });
	}
	found.sort((a, b) => (a.address < b.address ? -1 : Number(a.address > b.address)));
	return { addresses: BigUint64Array.from(found, ({ address }) => address), names: found.map(({ name }) => name) };
}

/** Kernel functions are smaller: what lies further behind the last symbol before it belongs to none. */
const LONGEST_FUNCTION = 1n << 20n;

function find(addresses: BigUint64Array, names: readonly string[], address: bigint): string | null {
	let [low, high] = [0, addresses.length];
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((addresses[middle] as bigint) <= address) low = middle + 1;
		else high = middle;
	}
	const start = addresses[low - 1];
	if (start === undefined || start === 0n || address - start > LONGEST_FUNCTION) return null;
	return names[low - 1] ?? null;
}
