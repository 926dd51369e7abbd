import { formatPrefix, type Prefix, parseAddress, parsePrefix } from "../packet/addresses.js";
import { type Expression, isIpv4Prefix, type Link, type Side } from "./ast.js";
import { type Cursor, refusal } from "./cursor.js";
import { didYouMean } from "./error.js";
import { NUMBER, type Token } from "./lexer.js";
import { ETHERTYPES, PORTS, PROTOCOLS } from "./words.js";

export const HOST_NAMES = "host names are not resolved: give an address, or pod NAME, svc NAME, node NAME";

/** Reads the values of primitives: addresses, networks, ports, numbers of protocols. */
export class Values {
	readonly #at: Cursor;

	constructor(at: Cursor) {
		this.#at = at;
	}

	/** @param type `address`: without a word before it, a host or a network */
	address(type: "address" | "host" | "net", side: Side, link: Link | null): Expression {
		const token = this.#at.take();
		const expected = type === "net" ? "a network, as 10.244.0.0/16" : "an IPv4 or IPv6 address";
		if (token.kind !== "word") throw this.#at.unexpected(token, expected);
		const prefix = type === "net" ? this.#network(token) : this.#host(token, type, expected);
		const written: Link = isIpv4Prefix(prefix) ? "ip" : "ip6";
		if (link !== null && (written === "ip6") !== (link === "ip6")) {
			throw this.#at.unexpected(token, `an address of ${link}`);
		}
		return { kind: "net", side, link, prefix };
	}

	#host(token: Token, type: "address" | "host", expected: string): Prefix {
		const { text } = token;
		if (text.includes("/")) {
			if (type === "address" && parsePrefix(text) !== null) return this.#wholePrefix(token);
			throw this.#at.unexpected(token, expected, parsePrefix(text) === null ? null : `write net ${text}`);
		}
		const prefix = parseAddress(text) === null ? null : parsePrefix(text);
		if (prefix !== null) return prefix;
		if (/^[0-9.]+$/.test(text)) {
			throw this.#at.unexpected(
				token,
				expected,
				type === "address" ? `for a port write port ${text}` : `or net ${text}`,
			);
		}
		throw this.#at.unexpected(token, expected, HOST_NAMES);
	}

	/** `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, and tcpdump's short `10.244`. */
	#network(token: Token): Prefix {
		const short = /^[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}$/.exec(token.text);
		if (short !== null) {
			const octets = token.text.split(".");
			const prefix = parsePrefix(`${[...octets, "0", "0", "0"].slice(0, 4).join(".")}/${octets.length * 8}`);
			if (prefix !== null) return prefix;
		}
		if (this.#at.peek().text === "mask") return this.#masked(token);
		if (parsePrefix(token.text) === null) {
			const name = /[a-z]/i.test(token.text) && !token.text.includes(":") ? HOST_NAMES : null;
			throw this.#at.unexpected(token, "a network, as 10.244.0.0/16", name);
		}
		return this.#wholePrefix(token);
	}

	#masked(token: Token): Prefix {
		this.#at.take();
		const maskToken = this.#at.take();
		const mask = /^[0-9.]+$/.test(maskToken.text) ? parseAddress(maskToken.text) : null;
		const bits = mask === null ? null : leadingOnes(new DataView(mask.buffer).getUint32(12));
		if (bits === null) throw this.#at.unexpected(maskToken, "a contiguous IPv4 mask, as 255.255.0.0");
		const prefix = { ...token, text: `${token.text}/${bits}` };
		if (parsePrefix(prefix.text) === null) throw this.#at.unexpected(token, "an IPv4 network before mask");
		return this.#wholePrefix(prefix);
	}

	/** tcpdump refuses a network with bits behind its prefix, for it is mostly a slip. */
	#wholePrefix(token: Token): Prefix {
		const prefix = parsePrefix(token.text);
		const address = parsePrefix(token.text.split("/")[0] ?? "");
		if (prefix === null || address === null) throw this.#at.unexpected(token, "a network, as 10.244.0.0/16");
		if (prefix.words.some((word, i) => word !== address.words[i])) {
			throw this.#at.unexpected(token, "a network without host bits", `did you mean ${formatPrefix(prefix)}?`);
		}
		return prefix;
	}

	port(side: Side, protocol: number | null): Expression {
		const token = this.#at.take();
		if (/^[0-9]+-[0-9]+$/.test(token.text)) {
			throw this.#at.unexpected(token, "a port", `write portrange ${token.text}`);
		}
		const port = this.#portNumber(token, token.text);
		return { kind: "port", side, protocol, min: port, max: port };
	}

	portRange(side: Side, protocol: number | null): Expression {
		const token = this.#at.take();
		const named = PORTS[token.text];
		if (token.kind === "word" && named !== undefined && Object.hasOwn(PORTS, token.text)) {
			return { kind: "port", side, protocol, min: named, max: named };
		}
		const parts = token.text.split("-");
		if (parts.length > 2) throw this.#at.unexpected(token, "a range of ports, as 8000-8080");
		const first = this.#portNumber(token, parts[0] ?? "");
		const second = this.#portNumber(token, parts[1] ?? parts[0] ?? "");
		return { kind: "port", side, protocol, min: Math.min(first, second), max: Math.max(first, second) };
	}

	#portNumber(token: Token, text: string): number {
		const named = PORTS[text];
		if (named !== undefined && Object.hasOwn(PORTS, text)) return named;
		const port = NUMBER.test(text) ? Number(text) : null;
		if (port === null || port > 65535) {
			const word = token.kind === "word" && /[a-z]/.test(text) ? didYouMean(text, Object.keys(PORTS)) : null;
			throw this.#at.unexpected(token, "a port, 0 to 65535", word ?? (port === null ? "give it as a number" : null));
		}
		return port;
	}

	protocolNumber(): number {
		const token = this.#at.take();
		const name = token.text.replace(/^\\/, "");
		const named = PROTOCOLS[name];
		if (named !== undefined && Object.hasOwn(PROTOCOLS, name)) return named;
		if (NUMBER.test(token.text) && Number(token.text) <= 255) return Number(token.text);
		throw this.#at.unexpected(token, "a protocol number, 0 to 255", didYouMean(name, Object.keys(PROTOCOLS)));
	}

	ethertype(): number {
		const token = this.#at.take();
		const name = token.text.replace(/^\\/, "");
		const named = ETHERTYPES[name];
		if (named !== undefined && Object.hasOwn(ETHERTYPES, name)) return named;
		const value = NUMBER.test(token.text) ? Number(token.text) : 0;
		if (value >= 0x600 && value <= 0xffff) return value;
		throw this.#at.unexpected(token, "an ethertype, 0x600 to 0xffff, or ip, ip6, arp", refusal(name));
	}
}

/** Of a mask without holes; null when it has one. */
function leadingOnes(mask: number): number | null {
	const bits = Math.clz32(~mask);
	return mask >>> 0 === (bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0) ? bits : null;
}
