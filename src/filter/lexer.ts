/** One token at a time, on demand: the grammar knows whether a name, an offset or an operator may stand where it is. */
export interface Token {
	readonly kind: "word" | "operator" | "end" | "unknown";
	readonly text: string;
	/** Index of its first character, and of the first one behind it. */
	readonly start: number;
	readonly stop: number;
}

const BLANKS = /[ \t\r\n\f]*/y;
/** A keyword, number, address, prefix or range. */
const WORD = /\\?[A-Za-z0-9_:][A-Za-z0-9_.:-]*(?:\/[A-Za-z0-9_.:-]+)?/y;
/** In brackets a colon parts offset and size. */
const OFFSET_WORD = /[A-Za-z0-9_]+/y;
/** namespace/name with globs, or what claims to be one. */
const NAME = /\\?[^\s()!&|<>=,;'"`$\\[\]]+/y;
const OPERATOR = /&&|\|\||<<|>>|<=|>=|==|!=|[()![\]:<>=+\-*/%&|^,]/y;

/** The token at or behind `position`. */
export function tokenAt(text: string, position: number): Token {
	return lex(text, position, WORD);
}

export function offsetTokenAt(text: string, position: number): Token {
	return lex(text, position, OFFSET_WORD);
}

export function nameTokenAt(text: string, position: number): Token {
	return lex(text, position, NAME);
}

function lex(text: string, position: number, word: RegExp): Token {
	const start = position + matchAt(BLANKS, text, position).length;
	if (start >= text.length) return { kind: "end", text: "", start: text.length, stop: text.length };
	const wordText = matchAt(word, text, start);
	if (wordText !== "") return { kind: "word", text: wordText, start, stop: start + wordText.length };
	const operator = matchAt(OPERATOR, text, start);
	if (operator !== "") return { kind: "operator", text: operator, start, stop: start + operator.length };
	const character = String.fromCodePoint(text.codePointAt(start) ?? 0);
	return { kind: "unknown", text: character, start, stop: start + character.length };
}

function matchAt(pattern: RegExp, text: string, position: number): string {
	pattern.lastIndex = position;
	return pattern.exec(text)?.[0] ?? "";
}

/** Of 32 bits at the most, as far as digits tell. */
export const NUMBER = /^(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/;
