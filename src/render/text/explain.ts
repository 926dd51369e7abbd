import type { Explanation } from "../../identity/explain/explanation.js";
import { coloursFor } from "./colours.js";
import { Line } from "./line.js";
import type { TreeOptions } from "./topology.js";
import { textWidth } from "./width.js";

/** A text that is wider than this is hard to read. */
const COMFORT = 100;

/** An explanation as a few paragraphs, and the evidence under them. */
export function explanationLines(explanation: Explanation, options: TreeOptions): readonly string[] {
	const colours = coloursFor(options.colour);
	const columns = Math.min(options.width, COMFORT);
	const lines: Line[] = wrap(explanation.headline, columns).map((text) => new Line().add(text, "bold"));
	for (const paragraph of explanation.words) {
		lines.push(new Line(), ...wrap(paragraph, columns - 2).map((text) => new Line().add(`  ${text}`)));
	}
	for (const { reason, remedy } of explanation.faults) {
		lines.push(new Line(), ...hanging(`✗ ${reason}`, columns).map((text) => new Line().add(text, "red")));
		// A command is never broken: it is there to be copied.
		if (remedy !== null) lines.push(new Line().add("    → ").add(remedy, "bold"));
	}
	if (explanation.evidence.length > 0) lines.push(new Line(), new Line().add("  how that is known", "dim"));
	for (const { fact, source } of explanation.evidence) {
		lines.push(...hanging(`· ${fact}  [${source}]`, columns).map((text) => new Line().add(text, "dim")));
	}
	if (explanation.unknown.length > 0) lines.push(new Line(), new Line().add("  what is not known", "yellow"));
	for (const unknown of explanation.unknown) {
		lines.push(...hanging(`· ${unknown}`, columns).map((text) => new Line().add(text)));
	}
	return lines.map((line) => line.toString(colours));
}

/** Indented by two, later lines by four. */
function hanging(text: string, columns: number): readonly string[] {
	return wrap(text, columns - 4).map((line, i) => (i === 0 ? `  ${line}` : `    ${line}`));
}

/** Words into lines of at most `columns`; a longer word has a line of its own. */
export function wrap(text: string, columns: number): readonly string[] {
	const lines: string[] = [];
	let line = "";
	for (const word of text.split(" ")) {
		if (line !== "" && textWidth(line) + 1 + textWidth(word) > columns) {
			lines.push(line);
			line = word;
		} else {
			line = line === "" ? word : `${line} ${word}`;
		}
	}
	return [...lines, line];
}
