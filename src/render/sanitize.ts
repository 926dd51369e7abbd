/**
 * Names of pods and devices, and whatever the kernel or a recording says, are other people's text: written raw they
 * could move the cursor, recolour the screen or turn the reading order round.
 */

/**
 * Control (C0, C1, DEL), format (bidi, tags), surrogate, private-use and unassigned characters, line and paragraph
 * separators, whatever is ignorable by default (zero width, soft hyphen, fillers, variation selectors), braille blank.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** Nearly everything is, and a plain range is told ten times faster than properties of Unicode. */
const printableAscii = /^[ -~]*$/;

/** The text with every character that a terminal would obey or hide shown as \xNN, \uNNNN or \u{NNNNN}. */
export function sanitize(text: string): string {
	return printableAscii.test(text) ? text : text.replace(unprintable, escaped);
}

/**
 * What JSON.stringify leaves raw although some reader may obey it: the same characters, escaped as JSON escapes them,
 * so that whoever parses it gets the exact string back.
 */
export function sanitizeJson(json: string): string {
	if (printableAscii.test(json)) return json;
	return json.replace(unprintable, (character) =>
		[...Array(character.length).keys()].map((at) => `\\u${hex(character.charCodeAt(at), 4)}`).join(""),
	);
}

function escaped(character: string): string {
	const code = character.codePointAt(0) ?? 0;
	if (code < 0x100) return `\\x${hex(code, 2)}`;
	return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\u{${hex(code, 5)}}`;
}

function hex(code: number, digits: number): string {
	return code.toString(16).padStart(digits, "0");
}
