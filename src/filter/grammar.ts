import { formatPrefix, type Prefix, parseAddress, parsePrefix } from "../packet/addresses.js";
import {
	type Arithmetic,
	type ArithmeticOperator,
	calculate,
	EVERYTHING,
	type Expression,
	type Header,
	isIpv4Prefix,
	type Link,
	type NameKind,
	type Relation,
	type Side,
} from "./ast.js";
import { didYouMean, FilterError } from "./error.js";
import { FIELDS, fieldName, findField, OFFSET_NAMES, unmaskedField } from "./fields.js";
import { nameTokenAt, offsetTokenAt, type Token, tokenAt } from "./lexer.js";
import { type NameOptions, namePattern } from "./pattern.js";
import { CONSTANTS, ETHERTYPES, KEYWORDS, PORTS, PROTOCOL_WORDS, PROTOCOLS, REFUSED } from "./words.js";

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
const DEEPEST_NESTING = 200;
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

const HEADERS: ReadonlySet<string> = new Set<Header>(["ip", "ip6", "tcp", "udp", "icmp", "icmp6"]);
const RELATIONS: ReadonlyMap<string, Relation> = new Map([
	[">", ">"],
	["<", "<"],
	[">=", ">="],
	["<=", "<="],
	["=", "=="],
	["==", "=="],
	["!=", "!="],
]);
/** Loosest first, as in libpcap's grammar.y. */
const PRECEDENCE: readonly (readonly ArithmeticOperator[])[] = [
	["|", "^"],
	["&"],
	["<<", ">>"],
	["+", "-"],
	["*", "/", "%"],
];
const ARITHMETIC: ReadonlySet<string> = new Set(PRECEDENCE.flat());
const TRANSPORTS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };
const NUMBER = /^(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/;

class Parser {
	readonly #text: string;
	readonly #options: NameOptions;
	#position = 0;
	#depth = 0;
	#latest: Qualifier | null = null;
	readonly #parentheses: ReadonlyMap<number, number>;

	constructor(text: string, options: NameOptions) {
		this.#text = text;
		this.#options = options;
		this.#parentheses = matchParentheses(text);
	}

	filter(): Expression {
		if (this.#text.length > LONGEST_FILTER) {
			throw this.#error(LONGEST_FILTER, `at most ${LONGEST_FILTER} characters`);
		}
		if (this.#peek().kind === "end") return EVERYTHING;
		const expression = this.#expression();
		const rest = this.#peek();
		if (rest.kind !== "end") {
			const suggestion = rest.text === ")" ? "there is no ( for it" : "join two primitives with and or or";
			throw this.#unexpected(rest, "and, or, or the end", this.#refusal(rest.text) ?? suggestion);
		}
		return expression;
	}

	#expression(): Expression {
		let left = this.#term();
		for (let terms = 1; ; terms++) {
			const operator = this.#peek();
			const kind = CONNECTIVES.get(operator.text);
			if (kind === undefined) return left;
			if (terms >= MOST_TERMS) throw this.#unexpected(operator, `at most ${MOST_TERMS} primitives`);
			this.#take();
			left = { kind, left, right: this.#term() };
		}
	}

	#term(): Expression {
		const token = this.#peek();
		if (token.text === "not" || token.text === "!") {
			this.#take();
			return this.#nested(token, () => ({ kind: "not", term: this.#term() }));
		}
		if (token.text === "(" && !this.#isArithmetic(token)) {
			this.#take();
			return this.#nested(token, () => {
				const inner = this.#expression();
				this.#expect(")");
				return inner;
			});
		}
		return this.#primitive();
	}

	#nested<T>(at: Token, read: () => T): T {
		if (++this.#depth > DEEPEST_NESTING) throw this.#unexpected(at, `at most ${DEEPEST_NESTING} levels of nesting`);
		const result = read();
		this.#depth--;
		return result;
	}

	#primitive(): Expression {
		const token = this.#peek();
		if (this.#startsArithmetic(token)) return this.#relation();
		if (token.kind === "word" && this.#isKeyword(token.text)) {
			this.#take();
			return this.#keyword(token);
		}
		const qualifier = this.#latest;
		if (qualifier !== null && this.#mayBeValue(token, qualifier)) return this.#value(qualifier);
		throw this.#notAPrimitive(token);
	}

	#isKeyword(text: string): boolean {
		return KEYWORDS.has(text) || Object.hasOwn(REFUSED, text);
	}

	#mayBeValue(token: Token, qualifier: Qualifier): boolean {
		return token.kind === "word" || (isNameKind(qualifier.type) && token.text === "*");
	}

	#notAPrimitive(token: Token): FilterError {
		const expected = token.kind === "end" ? "a primitive, as host, port or tcp" : "a primitive";
		if (token.kind !== "word") return this.#unexpected(token, expected);
		if (parsePrefix(token.text) !== null) {
			return this.#unexpected(token, expected, `write ${token.text.includes("/") ? "net" : "host"} ${token.text}`);
		}
		if (NUMBER.test(token.text)) return this.#unexpected(token, expected, `write port ${token.text}`);
		return this.#unexpected(token, expected, didYouMean(token.text, KEYWORDS) ?? HOST_NAMES);
	}

	#keyword(token: Token): Expression {
		const word = token.text;
		const refusal = this.#refusal(word);
		if (refusal !== null) throw this.#unexpected(token, "a primitive that weft can answer", refusal);
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
				this.#position = token.start;
				return this.#typed(token, "any", null);
		}
		if (Object.hasOwn(PROTOCOL_WORDS, word) || Object.hasOwn(ETHERTYPES, word)) return this.#protocolFirst(token);
		throw this.#unexpected(token, "a primitive", word === "mask" ? "write net 10.0.0.0 mask 255.0.0.0" : null);
	}

	/** `tcp`, `tcp port 80`, `ip host A`, `ip6 proto 58`. */
	#protocolFirst(token: Token): Expression {
		const next = this.#peek();
		if (next.text === "src" || next.text === "dst") {
			this.#take();
			return this.#typed(next, this.#side(next), token);
		}
		if (TYPES.has(next.text)) return this.#typed(next, "any", token);
		const refusal = this.#refusal(next.text);
		if (refusal !== null) throw this.#unexpected(next, "a primitive that weft can answer", refusal);
		this.#latest = null;
		const known = PROTOCOL_WORDS[token.text];
		if (known !== undefined) return { kind: "protocol", family: known.family, protocol: known.protocol };
		return { kind: "ethertype", value: ETHERTYPES[token.text] ?? 0 };
	}

	/** Behind `src`: `src or dst`, `src and dst`, or src itself. */
	#side(first: Token): Side {
		const other = first.text === "src" ? "dst" : "src";
		const connective = CONNECTIVES.get(this.#peek().text);
		if (connective === undefined) return first.text === "src" ? "src" : "dst";
		this.#take();
		const second = this.#take();
		if (second.text !== other) throw this.#unexpected(second, other, `write ${first.text} ${connective} ${other}`);
		return connective === "or" ? "any" : "both";
	}

	/** From the word for the type on; `first` is the protocol before it, if there was one. */
	#typed(at: Token, side: Side, first: Token | null): Expression {
		const token = this.#peek();
		const qualifier = this.#qualifier(token, side, first);
		if (qualifier.type !== "address") this.#take();
		else if (token.kind !== "word" && token.text !== "(") {
			throw this.#unexpected(token, `host, net, port, portrange, pod, svc, node or an address after ${at.text}`);
		}
		this.#latest = qualifier;
		return this.#values(qualifier);
	}

	#qualifier(token: Token, side: Side, first: Token | null): Qualifier {
		switch (token.text) {
			case "port":
			case "portrange":
				return { type: token.text, side, protocol: this.#portProtocol(first) };
			case "proto":
				if (side !== "any") throw this.#unexpected(token, "host, net or port", "proto has no direction");
				return { type: "proto", family: this.#protoFamily(first) };
			case "pod":
			case "svc":
			case "node":
				if (first !== null) {
					throw this.#unexpected(token, "host, net or port", `write ${first.text} and ${token.text} NAME`);
				}
				return { type: token.text, side };
			case "host":
			case "net":
				return { type: token.text, side, link: this.#link(first) };
		}
		const refusal = this.#refusal(token.text);
		if (refusal !== null) throw this.#unexpected(token, "host, net or port", refusal);
		if (KEYWORDS.has(token.text)) throw this.#unexpected(token, "host, net, port, pod, svc, node or an address");
		return { type: "address", side, link: this.#link(first) };
	}

	#portProtocol(first: Token | null): number | null {
		if (first === null) return null;
		const protocol = TRANSPORTS[first.text];
		if (protocol !== undefined && Object.hasOwn(TRANSPORTS, first.text)) return protocol;
		throw this.#unexpected(first, "tcp, udp or sctp before port", `write ${first.text} and port N`);
	}

	#protoFamily(first: Token | null): "ip" | "ip6" | null {
		if (first === null) return null;
		if (first.text === "ip" || first.text === "ip6") return first.text;
		throw this.#unexpected(first, "ip or ip6 before proto", "write proto N, or ether proto N");
	}

	#link(first: Token | null): Link | null {
		if (first === null) return null;
		if (first.text === "ip" || first.text === "ip6" || first.text === "arp") return first.text;
		throw this.#unexpected(first, "ip, ip6 or arp before an address", `write ${first.text} and host ADDRESS`);
	}

	/** One value, or several in parentheses: `port (80 or 443)`. */
	#values(qualifier: Qualifier): Expression {
		const token = this.#peek();
		if (token.text !== "(") return this.#value(qualifier);
		this.#take();
		return this.#nested(token, () => {
			let left = this.#negatableValue(qualifier);
			for (;;) {
				const kind = CONNECTIVES.get(this.#peek().text);
				if (kind === undefined) break;
				this.#take();
				left = { kind, left, right: this.#negatableValue(qualifier) };
			}
			this.#expect(")");
			return left;
		});
	}

	#negatableValue(qualifier: Qualifier): Expression {
		const token = this.#peek();
		if (token.text !== "not" && token.text !== "!") return this.#values(qualifier);
		this.#take();
		return this.#nested(token, () => ({ kind: "not", term: this.#negatableValue(qualifier) }));
	}

	#value(qualifier: Qualifier): Expression {
		switch (qualifier.type) {
			case "address":
			case "host":
			case "net":
				return this.#address(qualifier);
			case "port":
				return this.#port(qualifier.side, qualifier.protocol);
			case "portrange":
				return this.#portRange(qualifier.side, qualifier.protocol);
			case "proto":
				return { kind: "protocol", family: qualifier.family, protocol: this.#protocolNumber() };
			case "ethertype":
				return { kind: "ethertype", value: this.#ethertype() };
			case "pod":
			case "svc":
			case "node": {
				const token = nameTokenAt(this.#text, this.#position);
				this.#position = token.stop;
				if (token.kind !== "word") throw this.#unexpected(token, NAME_EXPECTED[qualifier.type]);
				const at = { text: this.#text, start: token.start };
				return {
					kind: "name",
					what: qualifier.type,
					side: qualifier.side,
					name: namePattern(token.text, qualifier.type, this.#options, at),
				};
			}
		}
	}

	#address(qualifier: Qualifier & { type: "address" | "host" | "net" }): Expression {
		const token = this.#take();
		const expected = qualifier.type === "net" ? "a network, as 10.244.0.0/16" : "an IPv4 or IPv6 address";
		if (token.kind !== "word") throw this.#unexpected(token, expected);
		const prefix = qualifier.type === "net" ? this.#network(token) : this.#host(token, qualifier.type, expected);
		const written: Link = isIpv4Prefix(prefix) ? "ip" : "ip6";
		if (qualifier.link !== null && (written === "ip6") !== (qualifier.link === "ip6")) {
			throw this.#unexpected(token, `an address of ${qualifier.link}`);
		}
		return { kind: "net", side: qualifier.side, link: qualifier.link, prefix };
	}

	#host(token: Token, type: "address" | "host", expected: string): Prefix {
		const { text } = token;
		if (text.includes("/")) {
			if (type === "address" && parsePrefix(text) !== null) return this.#wholePrefix(token);
			throw this.#unexpected(token, expected, parsePrefix(text) === null ? null : `write net ${text}`);
		}
		const prefix = parseAddress(text) === null ? null : parsePrefix(text);
		if (prefix !== null) return prefix;
		if (/^[0-9.]+$/.test(text)) {
			throw this.#unexpected(token, expected, type === "address" ? `for a port write port ${text}` : `or net ${text}`);
		}
		throw this.#unexpected(token, expected, HOST_NAMES);
	}

	/** `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, and tcpdump's short `10.244`. */
	#network(token: Token): Prefix {
		const short = /^[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}$/.exec(token.text);
		if (short !== null) {
			const octets = token.text.split(".");
			const prefix = parsePrefix(`${[...octets, "0", "0", "0"].slice(0, 4).join(".")}/${octets.length * 8}`);
			if (prefix !== null) return prefix;
		}
		if (this.#peek().text === "mask") return this.#masked(token);
		if (parsePrefix(token.text) === null) {
			const name = /[a-z]/i.test(token.text) && !token.text.includes(":") ? HOST_NAMES : null;
			throw this.#unexpected(token, "a network, as 10.244.0.0/16", name);
		}
		return this.#wholePrefix(token);
	}

	#masked(token: Token): Prefix {
		this.#take();
		const maskToken = this.#take();
		const mask = /^[0-9.]+$/.test(maskToken.text) ? parseAddress(maskToken.text) : null;
		const bits = mask === null ? null : leadingOnes(new DataView(mask.buffer).getUint32(12));
		if (bits === null) throw this.#unexpected(maskToken, "a contiguous IPv4 mask, as 255.255.0.0");
		const prefix = { ...token, text: `${token.text}/${bits}` };
		if (parsePrefix(prefix.text) === null) throw this.#unexpected(token, "an IPv4 network before mask");
		return this.#wholePrefix(prefix);
	}

	/** tcpdump refuses a network with bits behind its prefix, for it is mostly a slip. */
	#wholePrefix(token: Token): Prefix {
		const prefix = parsePrefix(token.text);
		const address = parsePrefix(token.text.split("/")[0] ?? "");
		if (prefix === null || address === null) throw this.#unexpected(token, "a network, as 10.244.0.0/16");
		if (prefix.words.some((word, i) => word !== address.words[i])) {
			throw this.#unexpected(token, "a network without host bits", `did you mean ${formatPrefix(prefix)}?`);
		}
		return prefix;
	}

	#port(side: Side, protocol: number | null): Expression {
		const token = this.#take();
		if (/^[0-9]+-[0-9]+$/.test(token.text)) {
			throw this.#unexpected(token, "a port", `write portrange ${token.text}`);
		}
		const port = this.#portNumber(token, token.text);
		return { kind: "port", side, protocol, min: port, max: port };
	}

	#portRange(side: Side, protocol: number | null): Expression {
		const token = this.#take();
		const named = PORTS[token.text];
		if (token.kind === "word" && named !== undefined && Object.hasOwn(PORTS, token.text)) {
			return { kind: "port", side, protocol, min: named, max: named };
		}
		const parts = token.text.split("-");
		if (parts.length > 2) throw this.#unexpected(token, "a range of ports, as 8000-8080");
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
			throw this.#unexpected(token, "a port, 0 to 65535", word ?? (port === null ? "give it as a number" : null));
		}
		return port;
	}

	#protocolNumber(): number {
		const token = this.#take();
		const name = token.text.replace(/^\\/, "");
		const named = PROTOCOLS[name];
		if (named !== undefined && Object.hasOwn(PROTOCOLS, name)) return named;
		if (NUMBER.test(token.text) && Number(token.text) <= 255) return Number(token.text);
		throw this.#unexpected(token, "a protocol number, 0 to 255", didYouMean(name, Object.keys(PROTOCOLS)));
	}

	#ether(): Expression {
		const token = this.#take();
		if (token.text !== "proto") {
			const why = this.#refusal(token.text) ?? "MAC addresses are not recorded: use host, pod or node";
			throw this.#unexpected(token, "proto after ether", why);
		}
		const qualifier: Qualifier = { type: "ethertype" };
		this.#latest = qualifier;
		return this.#values(qualifier);
	}

	#ethertype(): number {
		const token = this.#take();
		const name = token.text.replace(/^\\/, "");
		const named = ETHERTYPES[name];
		if (named !== undefined && Object.hasOwn(ETHERTYPES, name)) return named;
		const value = NUMBER.test(token.text) ? Number(token.text) : 0;
		if (value >= 0x600 && value <= 0xffff) return value;
		throw this.#unexpected(token, "an ethertype, 0x600 to 0xffff, or ip, ip6, arp", this.#refusal(name));
	}

	#lengthPrimitive(operator: ">=" | "<="): Expression {
		const token = this.#take();
		if (!NUMBER.test(token.text)) throw this.#unexpected(token, "a length in bytes");
		this.#latest = null;
		const right: Arithmetic = { kind: "constant", value: Number(token.text) >>> 0 };
		return { kind: "relation", left: { kind: "length" }, operator, right };
	}

	#vlan(): Expression {
		const token = this.#peek();
		this.#latest = null;
		if (!NUMBER.test(token.text)) return { kind: "vlan", id: null };
		this.#take();
		const id = Number(token.text);
		if (id > 4095) throw this.#unexpected(token, "a VLAN id, 0 to 4095");
		return { kind: "vlan", id };
	}

	/** A parenthesis opens an arithmetic when an operator of one stands behind its match. */
	#isArithmetic(open: Token): boolean {
		const close = this.#parentheses.get(open.start);
		if (close === undefined) return false;
		const next = tokenAt(this.#text, close + 1).text;
		return RELATIONS.has(next) || ARITHMETIC.has(next);
	}

	#startsArithmetic(token: Token): boolean {
		if (token.text === "(") return true;
		if (token.kind !== "word") return false;
		const next = tokenAt(this.#text, token.stop).text;
		if (token.text === "len" || next === "[") return true;
		const constant = NUMBER.test(token.text) || Object.hasOwn(CONSTANTS, token.text);
		return constant && (RELATIONS.has(next) || ARITHMETIC.has(next));
	}

	#relation(): Expression {
		const left = this.#maskedArithmetic();
		const token = this.#take();
		const operator = RELATIONS.get(token.text);
		if (operator === undefined) throw this.#unexpected(token, "a comparison: = != < > <= >=", "as tcp[13] & 2 != 0");
		const right = this.#maskedArithmetic();
		this.#latest = null;
		return { kind: "relation", left, operator, right };
	}

	/** Bits that are not recorded must not decide. */
	#maskedArithmetic(): Arithmetic {
		const { start } = this.#peek();
		const arithmetic = this.#arithmetic(0);
		const field = unmaskedField(arithmetic);
		if (field === null) return arithmetic;
		const name = fieldName(field);
		throw new FilterError({
			text: this.#text,
			column: start + 1,
			expected: `a mask on ${name}`,
			suggestion: `only some of its bits are recorded: ${name} & 0x${field.known.toString(16)}`,
		});
	}

	#arithmetic(level: number): Arithmetic {
		const operators = PRECEDENCE[level];
		if (operators === undefined) return this.#operand();
		let left = this.#arithmetic(level + 1);
		for (let terms = 1; ; terms++) {
			const token = this.#peek();
			const operator = operators.find((known) => known === token.text);
			if (operator === undefined) return left;
			if (terms >= MOST_TERMS) throw this.#unexpected(token, `at most ${MOST_TERMS} operands`);
			this.#take();
			const right = this.#arithmetic(level + 1);
			this.#checkDivisor(token, operator, right);
			left =
				left.kind === "constant" && right.kind === "constant"
					? { kind: "constant", value: calculate(operator, left.value, right.value) }
					: { kind: "binary", operator, left, right };
		}
	}

	#checkDivisor(token: Token, operator: ArithmeticOperator, right: Arithmetic): void {
		if (right.kind !== "constant") return;
		if ((operator === "/" || operator === "%") && right.value === 0)
			throw this.#unexpected(token, "no division by zero");
		if ((operator === "<<" || operator === ">>") && right.value > 31)
			throw this.#unexpected(token, "a shift by 0 to 31");
	}

	#operand(): Arithmetic {
		const token = this.#take();
		if (token.text === "(") {
			return this.#nested(token, () => {
				const inner = this.#arithmetic(0);
				this.#expect(")");
				return inner;
			});
		}
		if (token.text === "len") return { kind: "length" };
		if (token.kind === "word" && this.#peek().text === "[") return this.#field(token);
		const named = CONSTANTS[token.text];
		if (named !== undefined && Object.hasOwn(CONSTANTS, token.text)) return { kind: "constant", value: named };
		if (NUMBER.test(token.text) && Number(token.text) <= 0xffffffff) {
			return { kind: "constant", value: Number(token.text) };
		}
		throw this.#unexpected(token, "a number, len or header[offset]", didYouMean(token.text, Object.keys(CONSTANTS)));
	}

	/** `tcp[tcpflags]`, `icmp[0]`, `ip[4:2]`. */
	#field(token: Token): Arithmetic {
		this.#take();
		const header = [...HEADERS].find((known): known is Header => known === token.text);
		if (header === undefined) {
			throw this.#unexpected(token, "ip, ip6, tcp, udp, icmp or icmp6 before [", this.#refusal(token.text));
		}
		const offsetToken = this.#takeOffset();
		const offset = this.#offset(header, offsetToken);
		let size = 1;
		if (offsetTokenAt(this.#text, this.#position).text === ":") {
			this.#takeOffset();
			const sizeToken = this.#takeOffset();
			if (!/^[124]$/.test(sizeToken.text)) throw this.#unexpected(sizeToken, "a size of 1, 2 or 4 bytes");
			size = Number(sizeToken.text);
		}
		this.#expect("]");
		if (findField(header, offset, size) === null) {
			throw this.#unexpected(offsetToken, `a field of ${header} that weft records`, this.#fieldRemedy(header, offset));
		}
		return { kind: "field", header, offset, size };
	}

	#offset(header: Header, token: Token): number {
		if (NUMBER.test(token.text)) return Number(token.text);
		const named = OFFSET_NAMES[token.text];
		if (named === undefined || !Object.hasOwn(OFFSET_NAMES, token.text)) {
			throw this.#unexpected(token, "an offset in bytes", didYouMean(token.text, Object.keys(OFFSET_NAMES)));
		}
		if (named.header !== header && !(header === "icmp6" && named.header === "icmp")) {
			throw this.#unexpected(token, `an offset in ${header}`, `write ${named.header}[${token.text}]`);
		}
		return named.offset;
	}

	#fieldRemedy(header: Header, offset: number): string {
		if (header === "ip" && (offset === 2 || offset === 3)) return "for lengths use len, greater or less";
		if (header === "ip" && offset >= 12) return "for addresses use src net and dst net";
		if (header === "ip6" && offset === 6) return "use ip6 proto";
		if (header === "ip6" && offset >= 8) return "for addresses use src net and dst net";
		const names = FIELDS.filter((field) => field.header === header).map(fieldName);
		return `there are ${names.join(" ")}`;
	}

	#refusal(word: string): string | null {
		return Object.hasOwn(REFUSED, word) ? (REFUSED[word] ?? null) : null;
	}

	#expect(operator: string): void {
		const token = this.#take();
		if (token.text !== operator) throw this.#unexpected(token, `a ${operator}`);
	}

	#peek(): Token {
		return tokenAt(this.#text, this.#position);
	}

	#take(): Token {
		const token = this.#peek();
		this.#position = token.stop;
		return token;
	}

	#takeOffset(): Token {
		const token = offsetTokenAt(this.#text, this.#position);
		this.#position = token.stop;
		return token;
	}

	#unexpected(token: Token, expected: string, suggestion: string | null = null): FilterError {
		const found = token.kind === "end" ? {} : { found: token.text };
		return new FilterError({ text: this.#text, column: token.start + 1, ...found, expected, suggestion });
	}

	#error(position: number, expected: string): FilterError {
		return new FilterError({ text: this.#text, column: position + 1, expected });
	}
}

const CONNECTIVES: ReadonlyMap<string, "and" | "or"> = new Map([
	["and", "and"],
	["&&", "and"],
	["or", "or"],
	["||", "or"],
]);
const TYPES: ReadonlySet<string> = new Set(["host", "net", "port", "portrange", "proto", "pod", "svc", "node"]);
const HOST_NAMES = "host names are not resolved: give an address, or pod NAME, svc NAME, node NAME";
const NAME_EXPECTED: Readonly<Record<NameKind, string>> = {
	pod: "a pod, as default/web or web-*",
	svc: "a service, as default/web",
	node: "a node's name",
};

/** Where each opening parenthesis is closed; in this language they stand in no word. */
function matchParentheses(text: string): ReadonlyMap<number, number> {
	const matches = new Map<number, number>();
	const open: number[] = [];
	for (let i = 0; i < text.length; i++) {
		if (text[i] === "(") open.push(i);
		if (text[i] !== ")") continue;
		const start = open.pop();
		if (start !== undefined) matches.set(start, i);
	}
	return matches;
}

function isNameKind(type: string): type is NameKind {
	return type === "pod" || type === "svc" || type === "node";
}

/** Of a mask without holes; null when it has one. */
function leadingOnes(mask: number): number | null {
	const bits = Math.clz32(~mask);
	return mask >>> 0 === (bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0) ? bits : null;
}
