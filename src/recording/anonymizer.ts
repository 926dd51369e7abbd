import { createHmac, randomBytes } from "node:crypto";
import { formatWords, networkWord, parsePrefix, parseWords, prefixOf } from "../packet/addresses.js";
import type { Hook } from "../packet/hook.js";
import type { SourceId } from "../packet/source.js";
import { AddressCipher } from "./addresscipher.js";
import type { Json } from "./format.js";

/** A part of a name with `*` and `?`, as somebody asked for it, and the names that it means. */
export interface Glob {
	readonly pattern: string;
	matches(name: string): boolean;
}

/**
 * Replaces who, keeps what: the same address, name or MAC is always replaced by the same other one in a recording, so
 * that paths, subnets and wiring still fit together; another recording has another key. Addresses keep their common
 * prefixes (a pod subnet stays one) and their kind. Kept as they are: ports, protocols, times, sizes, IP IDs and sequence
 * numbers, the keyed hashes of payloads, ifindexes and well-known device names. A glob becomes another, that means the
 * other names of those that it meant.
 */
export class Anonymizer {
	readonly #key: Uint8Array;
	readonly #cipher: AddressCipher;
	readonly #names = new Map<string, string>();
	readonly #globs: readonly Glob[];

	/** @param key 32 bytes; random by default  @param globs those that what is written may hold */
	constructor(key: Uint8Array = randomBytes(32), globs: readonly Glob[] = []) {
		this.#key = key;
		this.#globs = globs;
		this.#cipher = new AddressCipher(createHmac("sha256", key).update("addresses").digest().subarray(0, 16));
	}

	/** Replaces the four words of an address, as loaded from the wire, in place. */
	rewriteWords(words: Uint32Array, at: number): void {
		const address = [0, 1, 2, 3].map((i) => networkWord(words[at + i] as number));
		this.#cipher.encrypt([address[0] ?? 0, address[1] ?? 0, address[2] ?? 0, address[3] ?? 0]).forEach((word, i) => {
			words[at + i] = networkWord(word);
		});
	}

	/** A text address; null when it is none. */
	address(text: string): string | null {
		const words = parseWords(text);
		return words === null ? null : formatWords(...this.#cipher.encrypt(words));
	}

	/** Letters and digits that stand for a name: of a pod, a node, a namespace. Empty stays empty. */
	name(text: string): string {
		if (text === "") return "";
		let pseudonym = this.#names.get(text);
		if (pseudonym === undefined) {
			pseudonym = `x${this.#tags(text)}${this.#digest(text).toString("hex").slice(0, 10)}`;
			this.#names.set(text, pseudonym);
		}
		return pseudonym;
	}

	hook(hook: Hook): Hook {
		return { ...hook, node: this.#text(hook.node), device: this.#text(hook.device) };
	}

	source(source: SourceId): SourceId {
		return this.#text(source) as SourceId;
	}

	/** Devices keep names that say only what they are. */
	device(text: string): string {
		return DEVICE.test(text) && this.#tags(text) === "" ? text : this.name(text);
	}

	/** Says of a name which globs mean it: letters that no digest has. */
	#tags(text: string): string {
		return this.#globs.map((glob, n) => (glob.matches(text) ? tagOf(n) : "")).join("");
	}

	/**
	 * A snapshot, whatever its shape: keys, numbers and the words of `PLAIN` stay; addresses, prefixes, addresses with
	 * ports and MACs are replaced as such wherever they stand; each part of every other text is replaced as a name.
	 */
	json(value: Json): Json {
		if (typeof value === "string") return this.#text(value);
		if (value === null || typeof value !== "object") return value;
		if (isArray(value)) return value.map((item) => this.json(item));
		return Object.fromEntries(
			Object.entries(value).map(([key, item]) => [
				PLAIN_KEY.test(key) ? key : this.#text(key),
				typeof item === "string" && PLAIN.has(key) ? item : this.json(item),
			]),
		);
	}

	#text(text: string): string {
		return (
			this.#addressOrPrefix(text) ??
			this.#addressAndPort(text) ??
			(MAC.test(text) ? this.#mac(text) : null) ??
			(PLAIN_TEXT.test(text) ? text : null) ??
			// namespace/name, and whatever else is made of names: its structure stays readable.
			text.replace(/[^\s/:,;=()[\]{}"'@]+/g, (part) => this.#part(part))
		);
	}

	#part(part: string): string {
		if (ANYTHING.test(part)) return part;
		const glob = this.#globs.findIndex(({ pattern }) => pattern === part);
		if (glob >= 0) return `*${tagOf(glob)}*`;
		return this.#addressOrPrefix(part) ?? (NUMBER.test(part) ? part : this.device(part));
	}

	#addressOrPrefix(text: string): string | null {
		const slash = text.indexOf("/");
		if (slash < 0) return this.address(text);
		const prefix = parsePrefix(text);
		const address = parseWords(text.slice(0, slash));
		if (prefix === null || address === null) return null;
		const encrypted = this.#cipher.encrypt(address);
		// 10.244.1.0/24 is a network, 10.244.1.7/24 an address in one: host bits stay clear only where they were.
		const network = prefix.words.every((word, i) => word === address[i]);
		return `${formatWords(...(network ? prefixOf(encrypted, prefix.bits).words : encrypted))}${text.slice(slash)}`;
	}

	#addressAndPort(text: string): string | null {
		const match = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text);
		if (match === null) return null;
		const address = this.address(match[1] ?? match[2] ?? "");
		if (address === null) return null;
		return match[1] === undefined ? `${address}:${match[3]}` : `[${address}]:${match[3]}`;
	}

	/** Locally administered, unicast; broadcast, zero and multicast stay. */
	#mac(text: string): string {
		const lower = text.toLowerCase();
		if (/^(..:)?00:00:00:00:00(:00)?$/.test(lower) || (Number.parseInt(lower.slice(0, 2), 16) & 1) === 1) return text;
		const bytes = [...this.#digest(lower).subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, "0"));
		return ["02", ...bytes].join(":");
	}

	#digest(text: string): Buffer {
		return createHmac("sha256", this.#key).update("name\0").update(text).digest();
	}
}

function tagOf(glob: number): string {
	return `g${glob}z`;
}

/** Means the same whatever names are. */
const ANYTHING = /^\*+$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;
const NUMBER = /^[0-9.]+$/;

/** Numbers in text (cookies, versions, sizes), times and nothing. */
const PLAIN_TEXT = /^(|-?\d+(\.\d+)*|\d{4}-\d\d-\d\dT[\d:.]+Z)$/;

/** Keys are field names; an object used as a map has its keys replaced like text. */
const PLAIN_KEY = /^[a-z][a-zA-Z0-9]{0,31}$/;

/** Names that programs give to devices; they say what a device is, not whose. */
const DEVICE =
	/^(lo|(eth|en[ospx]?|wl|bond|br|cni|docker|veth|cali|tun|tap|wg|kube-bridge|cilium_|lxc|flannel[.-]?(v6\.)?(wg|ipip)?|cbr)[0-9a-f.]*[spf0-9]*)$/;

/** Fields whose texts are the words of a protocol or of weft itself. */
const PLAIN = new Set([
	"type",
	"kind",
	"role",
	"direction",
	"protocol",
	"operstate",
	"evidence",
	"verdict",
	"phase",
	"change",
	"cause",
	"weft",
	"attach",
	"what",
	"word",
	"netns",
	"cookie",
]);

/** Array.isArray does not narrow readonly arrays. */
function isArray(value: Json): value is readonly Json[] {
	return Array.isArray(value);
}
