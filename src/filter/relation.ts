import {
	type Arithmetic,
	type ArithmeticOperator,
	calculate,
	type Expression,
	type Header,
	type Relation,
} from "./ast.js";
import { type Cursor, refusal } from "./cursor.js";
import { didYouMean, FilterError } from "./error.js";
import { FIELDS, fieldName, findField, OFFSET_NAMES, unmaskedField } from "./fields.js";
import { NUMBER, offsetTokenAt, type Token, tokenAt } from "./lexer.js";
import { CONSTANTS } from "./words.js";

/** Operands on one level: the tree leans left, and what walks it recurses. */
const MOST_OPERANDS = 1000;
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

/** Reads comparisons of numbers, `tcp[tcpflags] & tcp-syn != 0`: as libpcap's grammar.y, whose words they are. */
export class Relations {
	readonly #at: Cursor;
	readonly #parentheses: ReadonlyMap<number, number>;

	constructor(at: Cursor) {
		this.#at = at;
		this.#parentheses = matchParentheses(at.text);
	}

	/** A parenthesis opens an arithmetic when an operator of one stands behind its match. */
	opens(open: Token): boolean {
		const close = this.#parentheses.get(open.start);
		if (close === undefined) return false;
		const next = tokenAt(this.#at.text, close + 1).text;
		return RELATIONS.has(next) || ARITHMETIC.has(next);
	}

	starts(token: Token): boolean {
		if (token.text === "(") return true;
		if (token.kind !== "word") return false;
		const next = this.#at.behind(token).text;
		if (token.text === "len" || next === "[") return true;
		const constant = NUMBER.test(token.text) || Object.hasOwn(CONSTANTS, token.text);
		return constant && (RELATIONS.has(next) || ARITHMETIC.has(next));
	}

	relation(): Expression {
		const left = this.#maskedArithmetic();
		const token = this.#at.take();
		const operator = RELATIONS.get(token.text);
		if (operator === undefined) throw this.#at.unexpected(token, "a comparison: = != < > <= >=", "as tcp[13] & 2 != 0");
		const right = this.#maskedArithmetic();
		return { kind: "relation", left, operator, right };
	}

	/** Bits that are not recorded must not decide. */
	#maskedArithmetic(): Arithmetic {
		const { start } = this.#at.peek();
		const arithmetic = this.#arithmetic(0);
		const field = unmaskedField(arithmetic);
		if (field === null) return arithmetic;
		const name = fieldName(field);
		throw new FilterError({
			text: this.#at.text,
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
			const token = this.#at.peek();
			const operator = operators.find((known) => known === token.text);
			if (operator === undefined) return left;
			if (terms >= MOST_OPERANDS) throw this.#at.unexpected(token, `at most ${MOST_OPERANDS} operands`);
			this.#at.take();
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
			throw this.#at.unexpected(token, "no division by zero");
		if ((operator === "<<" || operator === ">>") && right.value > 31)
			throw this.#at.unexpected(token, "a shift by 0 to 31");
	}

	#operand(): Arithmetic {
		const token = this.#at.take();
		if (token.text === "(") {
			return this.#at.nested(token, () => {
				const inner = this.#arithmetic(0);
				this.#at.expect(")");
				return inner;
			});
		}
		if (token.text === "len") return { kind: "length" };
		if (token.kind === "word" && this.#at.peek().text === "[") return this.#field(token);
		const named = CONSTANTS[token.text];
		if (named !== undefined && Object.hasOwn(CONSTANTS, token.text)) return { kind: "constant", value: named };
		if (NUMBER.test(token.text) && Number(token.text) <= 0xffffffff) {
			return { kind: "constant", value: Number(token.text) };
		}
		throw this.#at.unexpected(token, "a number, len or header[offset]", didYouMean(token.text, Object.keys(CONSTANTS)));
	}

	/** `tcp[tcpflags]`, `icmp[0]`, `ip[4:2]`. */
	#field(token: Token): Arithmetic {
		this.#at.take();
		const header = [...HEADERS].find((known): known is Header => known === token.text);
		if (header === undefined) {
			throw this.#at.unexpected(token, "ip, ip6, tcp, udp, icmp or icmp6 before [", refusal(token.text));
		}
		const offsetToken = this.#at.takeOffset();
		const offset = this.#offset(header, offsetToken);
		let size = 1;
		if (offsetTokenAt(this.#at.text, this.#at.position).text === ":") {
			this.#at.takeOffset();
			const sizeToken = this.#at.takeOffset();
			if (!/^[124]$/.test(sizeToken.text)) throw this.#at.unexpected(sizeToken, "a size of 1, 2 or 4 bytes");
			size = Number(sizeToken.text);
		}
		this.#at.expect("]");
		if (findField(header, offset, size) === null) {
			throw this.#at.unexpected(
				offsetToken,
				`a field of ${header} that weft records`,
				this.#fieldRemedy(header, offset),
			);
		}
		return { kind: "field", header, offset, size };
	}

	#offset(header: Header, token: Token): number {
		if (NUMBER.test(token.text)) return Number(token.text);
		const named = OFFSET_NAMES[token.text];
		if (named === undefined || !Object.hasOwn(OFFSET_NAMES, token.text)) {
			throw this.#at.unexpected(token, "an offset in bytes", didYouMean(token.text, Object.keys(OFFSET_NAMES)));
		}
		if (named.header !== header && !(header === "icmp6" && named.header === "icmp")) {
			throw this.#at.unexpected(token, `an offset in ${header}`, `write ${named.header}[${token.text}]`);
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
}

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
