import { FilterError } from "./error.js";
import { nameTokenAt, offsetTokenAt, type Token, tokenAt } from "./lexer.js";
import { REFUSED } from "./words.js";

const DEEPEST_NESTING = 200;

/** Where the reading of a FILTER is: its tokens one by one, and errors that say where they were found. */
export class Cursor {
	readonly text: string;
	position = 0;
	#depth = 0;

	constructor(text: string) {
		this.text = text;
	}

	/** Reads what stands inside of `at`, an opening word, at a depth that whoever walks the tree can take. */
	nested<T>(at: Token, read: () => T): T {
		if (++this.#depth > DEEPEST_NESTING) throw this.unexpected(at, `at most ${DEEPEST_NESTING} levels of nesting`);
		const result = read();
		this.#depth--;
		return result;
	}

	expect(operator: string): void {
		const token = this.take();
		if (token.text !== operator) throw this.unexpected(token, `a ${operator}`);
	}

	/** The next token; it stays the next one. */
	peek(): Token {
		return tokenAt(this.text, this.position);
	}

	take(): Token {
		const token = this.peek();
		this.position = token.stop;
		return token;
	}

	/** The next token between the brackets of a header, where names of offsets have hyphens. */
	takeOffset(): Token {
		const token = offsetTokenAt(this.text, this.position);
		this.position = token.stop;
		return token;
	}

	takeName(): Token {
		const token = nameTokenAt(this.text, this.position);
		this.position = token.stop;
		return token;
	}

	/** The token behind the given one. */
	behind(token: Token): Token {
		return tokenAt(this.text, token.stop);
	}

	unexpected(token: Token, expected: string, suggestion: string | null = null): FilterError {
		const found = token.kind === "end" ? {} : { found: token.text };
		return new FilterError({ text: this.text, column: token.start + 1, ...found, expected, suggestion });
	}
}

/** Why weft does not take a word of tcpdump's, and the way round; null: it does, or tcpdump has none such. */
export function refusal(word: string): string | null {
	return Object.hasOwn(REFUSED, word) ? (REFUSED[word] ?? null) : null;
}
