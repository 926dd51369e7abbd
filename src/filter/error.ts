/** What END and FILTER throw, and nothing else: where, what was expected there, and what to write instead. */
export class FilterError extends Error {
	override readonly name = "FilterError";
	/** Where in `text`, from 1. */
	readonly column: number;
	/** What could have stood there, as a noun: "a port number". */
	readonly expected: string;
	/** What to write instead; null when nothing comes to mind. */
	readonly suggestion: string | null;
	/** The whole END or FILTER. */
	readonly text: string;

	constructor(at: { text: string; column: number; found?: string; expected: string; suggestion?: string | null }) {
		const found = at.found === undefined ? "" : `, found ${quote(at.found)}`;
		const suggestion = at.suggestion ?? null;
		super(
			`${quote(at.text)}, column ${at.column}: expected ${at.expected}${found}${suggestion === null ? "" : `; ${suggestion}`}`,
		);
		this.column = at.column;
		this.expected = at.expected;
		this.suggestion = suggestion;
		this.text = at.text;
	}
}

const LONGEST_QUOTE = 80;

/** Untrusted text for one line of a message: control characters escaped, cut when long. */
export function quote(text: string): string {
	const whole = JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text);
	// JSON leaves DEL and the C1 controls alone, which terminals obey.
	return whole.replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
		return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
	});
}

/** The candidate that differs least from `word`, if it is close enough to be meant. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
	let best: string | null = null;
	let least = Math.max(1, Math.floor(word.length / 3)) + 1;
	for (const candidate of candidates) {
		const distance = editDistance(word.slice(0, 64), candidate.slice(0, 64), least + 1);
		// Slips spare the first letter.
		const closer = distance === least && best !== null && best[0] !== word[0] && candidate[0] === word[0];
		if (distance < least || closer) {
			least = distance;
			best = candidate;
		}
	}
	return best;
}

/** "did you mean x?", or null. */
export function didYouMean(word: string, candidates: Iterable<string>): string | null {
	const meant = nearest(word, candidates);
	return meant === null ? null : `did you mean ${meant}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours; `limit` when it is at least that. */
function editDistance(a: string, b: string, limit: number): number {
	if (Math.abs(a.length - b.length) >= limit) return limit;
	let before: number[] = [];
	let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			let least = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
			if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
				least = Math.min(least, (before[j - 2] ?? 0) + 1);
			}
			row.push(least);
		}
		before = previous;
		previous = row;
	}
	return previous[b.length] ?? limit;
}
