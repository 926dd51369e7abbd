import { createCipheriv } from "node:crypto";
import {
	type AddressWords,
	bytesOf,
	isIpv4Mapped,
	type Prefix,
	parsePrefix,
	prefixContains,
} from "../packet/addresses.js";

/**
 * Replaces addresses so that two that share their first n bits still share exactly n: subnets stay subnets (the scheme
 * of Xu, Fan, Ammar and Moon, "Prefix-preserving IP address anonymization", 2002). Bit n is flipped or not as a keyed
 * function of the bits before it says. No bit is flipped on the way to a special prefix, so private, link-local and
 * unique local addresses stay what they are, and IPv4 stays IPv4; loopback, multicast and broadcast stay themselves.
 * One to one, and not meant to be undone.
 */
export class AddressCipher {
	readonly #key: Uint8Array;
	readonly #known = new Map<string, AddressWords>();

	/** @param key 16 bytes */
	constructor(key: Uint8Array) {
		this.#key = key;
	}

	encrypt(address: AddressWords): AddressWords {
		const text = address.join();
		const known = this.#known.get(text);
		if (known !== undefined) return known;
		const encrypted = KEPT.some((prefix) => prefixContains(prefix, address)) ? address : this.#flipped(address);
		if (this.#known.size >= CACHE) this.#known.clear();
		this.#known.set(text, encrypted);
		return encrypted;
	}

	#flipped(address: AddressWords): AddressWords {
		const flips = this.#flips(address);
		const start = isIpv4Mapped(address) ? 96 : 0;
		const words: [number, number, number, number] = [...address];
		for (let bit = start; bit < 128; bit++) {
			if (flips(bit) && !leadsToSpecial(address, bit)) {
				const word = (bit >>> 5) as 0 | 1 | 2 | 3;
				words[word] = (words[word] ^ (1 << (31 - (bit & 31)))) >>> 0;
			}
		}
		return words;
	}

	/** Of every bit at once: block n is the first n bits and n itself; one bit of its cipher text decides. */
	#flips(address: AddressWords): (bit: number) => boolean {
		const whole = bytesOf(address);
		const input = new Uint8Array(128 * BLOCK);
		for (let bit = 0; bit < 128; bit++) {
			const block = input.subarray(bit * BLOCK, (bit + 1) * BLOCK);
			block.set(whole.subarray(0, (bit >>> 3) + 1));
			const partial = bit >>> 3;
			block[partial] = (block[partial] ?? 0) & (0xff00 >>> (bit & 7)) & 0xff;
			// A one ends the prefix: a longer one with zeros behind is another block.
			block[partial] = (block[partial] ?? 0) | (0x80 >>> (bit & 7));
		}
		const cipher = createCipheriv("aes-128-ecb", this.#key, null).setAutoPadding(false);
		const output = cipher.update(input);
		return (bit) => ((output[bit * BLOCK] ?? 0) & 1) === 1;
	}
}

const BLOCK = 16;
const CACHE = 2 ** 16;

const prefixes = (...texts: string[]): Prefix[] => texts.flatMap((text) => parsePrefix(text) ?? []);

/** Addresses in these say nothing about anybody: this host, loopback, multicast, reserved and broadcast. */
const KEPT = prefixes("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/120", "ff00::/8");

/** Addresses in these stay in them: private, shared, link-local, unique local; and IPv4 among 16 bytes. */
const SPECIAL = [
	...KEPT,
	...prefixes("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
	...prefixes("fe80::/64", "fd00::/8", "fc00::/7", "2000::/3", "0.0.0.0/0"),
];

/** Is there a special prefix longer than `bit` bits that begins like the address does up to there? */
function leadsToSpecial(address: AddressWords, bit: number): boolean {
	return SPECIAL.some(({ words, bits }) => bits > bit && sameBits(words, address, bit));
}

function sameBits(a: AddressWords, b: AddressWords, bits: number): boolean {
	for (const i of [0, 1, 2, 3] as const) {
		const ones = Math.min(32, Math.max(0, bits - i * 32));
		if (ones > 0 && (a[i] ^ b[i]) >>> (32 - ones) !== 0) return false;
	}
	return true;
}
