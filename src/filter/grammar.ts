import { parsePrefix } from "../packet/addresses.js";
import { type Arithmetic, EVERYTHING, type Expression, type Link, type NameKind, type Side } from "./ast.js";
import { Cursor, refusal } from "./cursor.js";
import { didYouMean, FilterError } from "./error.js";
import { NUMBER, type Token } from "./lexer.js";
import { type NameOptions, namePattern } from "./pattern.js";
import { Relations } from "./relation.js";
import { HOST_NAMES, Values } from "./values.js";
import { ETHERTYPES, KEYWORDS, PROTOCOL_WORDS, REFUSED } from "./words.js";

/**
 * Reads a FILTER: tcpdump's language (pcap-filter(7)) as far as a sighting can answer it, plus `pod`, `svc`, `node`.
 * As in tcpdump, `and` and `or` bind equally and from the left, `not` binds tighter, and a value without a qualifier
 * takes the one before it (`port 80 or 443`). A string of blanks is the empty filter.
 * @throws FilterError, and nothing else, whatever the text
 */
export function parseFilter(text: string, options: NameOptions = { namespace: "default" }): Expression {
	return new Parser(text, options).filter();
}

/** Characters; a filter that is longer is a mistake or an attack. */
export const LONGEST_FILTER = 16384;
/** Joined by and/or on one level; the tree leans left, and what walks it recurses. */
const MOST_TERMS = 1000;

/** What a value means: the words before it, kept for values that follow alone. */
type Qualifier =
	| { readonly type: "address"; readonly side: Side; readonly link: Link | null }
	| { readonly type: "host"; readonly side: Side; readonly link: Link | null }
	| { readonly type: "net"; readonly side: Side; readonly link: Link | null }
	| { readonly type: "port" | "portrange"; readonly side: Side; readonly protocol: number | null }
	| { readonly type: "proto"; readonly family: "ip" | "ip6" | null }
	| { readonly type: "ethertype" }
	| { readonly type: NameKind; readonly side: Side };

const TRANSPORTS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

class Parser {
	readonly #at: Cursor;
	readonly #values: Values;
	readonly #relations: Relations;
	readonly #options: NameOptions;
	#latest: Qualifier | null = null;

	constructor(text: string, options: NameOptions) {
		this.#at = new Cursor(text);
		this.#values = new Values(this.#at);
		this.#relations = new Relations(this.#at);
		this.#options = options;
	}

	filter(): Expression {
		const { text } = this.#at;
		if (text.length > LONGEST_FILTER) {
			throw new FilterError({ text, column: LONGEST_FILTER + 1, expected: `at most ${LONGEST_FILTER} characters` });
		}
		if (this.#at.peek().kind === "end") return EVERYTHING;
		const expression = this.#expression();
		const rest = this.#at.peek();
		if (rest.kind !== "end") {
			const suggestion = rest.text === ")" ? "there is no ( for it" : "join two primitives with and or or";
			throw this.#at.unexpected(rest, "and, or, or the end", refusal(rest.text) ?? suggestion);
		}
		return expression;
	}

	#expression(): Expression {
		let left = this.#term();
		for (let terms = 1; ; terms++) {
			const operator = this.#at.peek();
			const kind = CONNECTIVES.get(operator.text);
			if (kind === undefined) return left;
			if (terms >= MOST_TERMS) throw this.#at.unexpected(operator, `at most ${MOST_TERMS} primitives`);
			this.#at.take();
			left = { kind, left, right: this.#term() };
		}
	}

	#term(): Expression {
		const token = this.#at.peek();
		if (token.text === "not" || token.text === "!") {
			this.#at.take();
			return this.#at.nested(token, () => ({ kind: "not", term: this.#term() }));
		}
		if (token.text === "(" && !this.#relations.opens(token)) {
			this.#at.take();
			return this.#at.nested(token, () => {
				const inner = this.#expression();
				this.#at.expect(")");
				return inner;
			});
		}
		return this.#primitive();
	}

	#primitive(): Expression {
		const token = this.#at.peek();
		if (this.#relations.starts(token)) return this.#relation();
		if (token.kind === "word" && this.#isKeyword(token.text)) {
			this.#at.take();
			return this.#keyword(token);
		}
		const qualifier = this.#latest;
		if (qualifier !== null && this.#mayBeValue(token, qualifier)) return this.#value(qualifier);
		throw this.#notAPrimitive(token);
	}

	#relation(): Expression {
		const relation = this.#relations.relation();
		this.#latest = null;
		return relation;
	}

	#isKeyword(text: string): boolean {
		return KEYWORDS.has(text) || Object.hasOwn(REFUSED, text);
	}

	#mayBeValue(token: Token, qualifier: Qualifier): boolean {
		return token.kind === "word" || (isNameKind(qualifier.type) && token.text === "*");
	}

	#notAPrimitive(token: Token): FilterError {
		const expected = token.kind === "end" ? "a primitive, as host, port or tcp" : "a primitive";
		if (token.kind !== "word") return this.#at.unexpected(token, expected);
		if (parsePrefix(token.text) !== null) {
			return this.#at.unexpected(token, expected, `write ${token.text.includes("/") ? "net" : "host"} ${token.text}`);
		}
		if (NUMBER.test(token.text)) return this.#at.unexpected(token, expected, `write port ${token.text}`);
		return this.#at.unexpected(token, expected, didYouMean(token.text, KEYWORDS) ?? HOST_NAMES);
	}

	#keyword(token: Token): Expression {
		const word = token.text;
		const refused = refusal(word);
		if (refused !== null) throw this.#at.unexpected(token, "a primitive that weft can answer", refused);
		switch (word) {
			case "ether":
				return this.#ether();
			case "greater":
				return this.#lengthPrimitive(">=");
			case "less":
				return this.#lengthPrimitive("<=");
			case "vlan":
				return this.#vlan();
			case "src":
			case "dst":
				return this.#typed(token, this.#side(token), null);
			case "host":
			case "net":
			case "port":
			case "portrange":
			case "proto":
			case "pod":
			case "svc":
			case "node":
				this.#at.position = token.start;
				return this.#typed(token, "any", null);
		}
		if (Object.hasOwn(PROTOCOL_WORDS, word) || Object.hasOwn(ETHERTYPES, word)) return this.#protocolFirst(token);
		throw this.#at.unexpected(token, "a primitive", word === "mask" ? "write net 10.0.0.0 mask 255.0.0.0" : null);
	}

	/** `tcp`, `tcp port 80`, `ip host A`, `ip6 proto 58`. */
	#protocolFirst(token: Token): Expression {
		const next = this.#at.peek();
		if (next.text === "src" || next.text === "dst") {
			this.#at.take();
			return this.#typed(next, this.#side(next), token);
		}
		if (TYPES.has(next.text)) return this.#typed(next, "any", token);
		const refused = refusal(next.text);
		if (refused !== null) throw this.#at.unexpected(next, "a primitive that weft can answer", refused);
		this.#latest = null;
		const known = PROTOCOL_WORDS[token.text];
		if (known !== undefined) return { kind: "protocol", family: known.family, protocol: known.protocol };
		return { kind: "ethertype", value: ETHERTYPES[token.text] ?? 0 };
	}

	/** Behind `src`: `src or dst`, `src and dst`, or src itself. */
	#side(first: Token): Side {
		const other = first.text === "src" ? "dst" : "src";
		const connective = CONNECTIVES.get(this.#at.peek().text);
		if (connective === undefined) return first.text === "src" ? "src" : "dst";
		this.#at.take();
		const second = this.#at.take();
		if (second.text !== other) throw this.#at.unexpected(second, other, `write ${first.text} ${connective} ${other}`);
		return connective === "or" ? "any" : "both";
	}

	/** From the word for the type on; `first` is the protocol before it, if there was one. */
	#typed(at: Token, side: Side, first: Token | null): Expression {
		const token = this.#at.peek();
		const qualifier = this.#qualifier(token, side, first);
		if (qualifier.type !== "address") this.#at.take();
		else if (token.kind !== "word" && token.text !== "(") {
			throw this.#at.unexpected(token, `host, net, port, portrange, pod, svc, node or an address after ${at.text}`);
		}
		this.#latest = qualifier;
		return this.#list(qualifier);
	}

	#qualifier(token: Token, side: Side, first: Token | null): Qualifier {
		switch (token.text) {
			case "port":
			case "portrange":
				return { type: token.text, side, protocol: this.#portProtocol(first) };
			case "proto":
				if (side !== "any") throw this.#at.unexpected(token, "host, net or port", "proto has no direction");
				return { type: "proto", family: this.#protoFamily(first) };
			case "pod":
			case "svc":
			case "node":
				if (first !== null) {
					throw this.#at.unexpected(token, "host, net or port", `write ${first.text} and ${token.text} NAME`);
				}
				return { type: token.text, side };
			case "host":
			case "net":
				return { type: token.text, side, link: this.#link(first) };
		}
		const refused = refusal(token.text);
		if (refused !== null) throw this.#at.unexpected(token, "host, net or port", refused);
		if (KEYWORDS.has(token.text)) throw this.#at.unexpected(token, "host, net, port, pod, svc, node or an address");
		return { type: "address", side, link: this.#link(first) };
	}

	#portProtocol(first: Token | null): number | null {
		if (first === null) return null;
		const protocol = TRANSPORTS[first.text];
		if (protocol !== undefined && Object.hasOwn(TRANSPORTS, first.text)) return protocol;
		throw this.#at.unexpected(first, "tcp, udp or sctp before port", `write ${first.text} and port N`);
	}

	#protoFamily(first: Token | null): "ip" | "ip6" | null {
		if (first === null) return null;
		if (first.text === "ip" || first.text === "ip6") return first.text;
		throw this.#at.unexpected(first, "ip or ip6 before proto", "write proto N, or ether proto N");
	}

	#link(first: Token | null): Link | null {
		if (first === null) return null;
		if (first.text === "ip" || first.text === "ip6" || first.text === "arp") return first.text;
		throw this.#at.unexpected(first, "ip, ip6 or arp before an address", `write ${first.text} and host ADDRESS`);
	}

	/** One value, or several in parentheses: `port (80 or 443)`. */
	#list(qualifier: Qualifier): Expression {
		const token = this.#at.peek();
		if (token.text !== "(") return this.#value(qualifier);
		this.#at.take();
		return this.#at.nested(token, () => {
			let left = this.#negatableValue(qualifier);
			for (;;) {
				const kind = CONNECTIVES.get(this.#at.peek().text);
				if (kind === undefined) break;
				this.#at.take();
				left = { kind, left, right: this.#negatableValue(qualifier) };
			}
			this.#at.expect(")");
			return left;
		});
	}

	#negatableValue(qualifier: Qualifier): Expression {
		const token = this.#at.peek();
		if (token.text !== "not" && token.text !== "!") return this.#list(qualifier);
		this.#at.take();
		return this.#at.nested(token, () => ({ kind: "not", term: this.#negatableValue(qualifier) }));
	}

	#value(qualifier: Qualifier): Expression {
		switch (qualifier.type) {
			case "address":
			case "host":
			case "net":
				return this.#values.address(qualifier.type, qualifier.side, qualifier.link);
			case "port":
				return this.#values.port(qualifier.side, qualifier.protocol);
			case "portrange":
				return this.#values.portRange(qualifier.side, qualifier.protocol);
			case "proto":
				return { kind: "protocol", family: qualifier.family, protocol: this.#values.protocolNumber() };
			case "ethertype":
				return { kind: "ethertype", value: this.#values.ethertype() };
			case "pod":
			case "svc":
			case "node": {
				const token = this.#at.takeName();
				if (token.kind !== "word") throw this.#at.unexpected(token, NAME_EXPECTED[qualifier.type]);
				const at = { text: this.#at.text, start: token.start };
				return {
					kind: "name",
					what: qualifier.type,
					side: qualifier.side,
					name: namePattern(token.text, qualifier.type, this.#options, at),
				};
			}
		}
	}

	#ether(): Expression {
		const token = this.#at.take();
		if (token.text !== "proto") {
			const why = refusal(token.text) ?? "MAC addresses are not recorded: use host, pod or node";
			throw this.#at.unexpected(token, "proto after ether", why);
		}
		const qualifier: Qualifier = { type: "ethertype" };
		this.#latest = qualifier;
		return this.#list(qualifier);
	}

	#lengthPrimitive(operator: ">=" | "<="): Expression {
		const token = this.#at.take();
		if (!NUMBER.test(token.text)) throw this.#at.unexpected(token, "a length in bytes");
		this.#latest = null;
		const right: Arithmetic = { kind: "constant", value: Number(token.text) >>> 0 };
		return { kind: "relation", left: { kind: "length" }, operator, right };
	}

	#vlan(): Expression {
		const token = this.#at.peek();
		this.#latest = null;
		if (!NUMBER.test(token.text)) return { kind: "vlan", id: null };
		this.#at.take();
		const id = Number(token.text);
		if (id > 4095) throw this.#at.unexpected(token, "a VLAN id, 0 to 4095");
		return { kind: "vlan", id };
	}
}

const CONNECTIVES: ReadonlyMap<string, "and" | "or"> = new Map([
	["and", "and"],
	["&&", "and"],
	["or", "or"],
	["||", "or"],
]);
const TYPES: ReadonlySet<string> = new Set(["host", "net", "port", "portrange", "proto", "pod", "svc", "node"]);
const NAME_EXPECTED: Readonly<Record<NameKind, string>> = {
	pod: "a pod, as default/web or web-*",
	svc: "a service, as default/web",
	node: "a node's name",
};

function isNameKind(type: string): type is NameKind {
	return type === "pod" || type === "svc" || type === "node";
}
