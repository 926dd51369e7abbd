/** How many columns of a terminal a text takes. Text must be sanitised first: control characters have no width. */

const marks = /\p{M}/u;
const wide =
	/[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Columns: combining marks take none, East Asian wide characters and emoji two (Unicode UAX 11). */
export function textWidth(text: string): number {
	let width = 0;
	for (const character of text) width += characterWidth(character);
	return width;
}

/** The longest beginning of `text` that fits, with … where something was cut. */
export function truncate(text: string, columns: number): string {
	if (textWidth(text) <= columns) return text;
	if (columns < 1) return "";
	let kept = "";
	let width = 0;
	for (const character of text) {
		width += characterWidth(character);
		if (width > columns - 1) break;
		kept += character;
	}
	return `${kept}…`;
}

function characterWidth(character: string): number {
	const code = character.codePointAt(0) ?? 0;
	if (code < 0x300) return 1;
	if (marks.test(character)) return 0;
	return wide.test(character) ? 2 : 1;
}
