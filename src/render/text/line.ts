import { sanitize } from "../sanitize.js";
import type { Colours, Style } from "./colours.js";
import { textWidth, truncate } from "./width.js";

/**
 * One line of a table. Whatever is added is sanitised here, so that no renderer can forget it; styles are put on last,
 * so that they never count as width.
 */
export class Line {
	readonly #parts: { readonly text: string; readonly style: Style }[] = [];
	#width = 0;

	get width(): number {
		return this.#width;
	}

	add(text: string, style: Style = "reset"): this {
		const clean = sanitize(text);
		this.#parts.push({ text: clean, style });
		this.#width += textWidth(clean);
		return this;
	}

	/** Puts `text` so that it ends at this column, or one blank behind what is there: the next ones catch up again. */
	endAt(column: number, text: string, style: Style = "reset"): this {
		const gap = Math.max(column - this.#width - textWidth(sanitize(text)), this.#width === 0 ? 0 : 1);
		return this.add(" ".repeat(gap)).add(text, style);
	}

	/** Blanks up to this column. */
	to(column: number): this {
		return this.add(" ".repeat(Math.max(0, column - this.#width)));
	}

	/** At most `columns` wide (Infinity: as it is), with … where it was cut and no blanks at its end. */
	toString(colours: Colours, columns = Number.POSITIVE_INFINITY): string {
		let left = columns;
		let out = "";
		let blanks = "";
		for (const { text, style } of this.#parts) {
			const cut = truncate(text, left);
			const bare = cut.trimEnd();
			if (bare !== "") {
				out += blanks + (style === "reset" ? bare : colours[style](bare));
				blanks = "";
			}
			blanks += cut.slice(bare.length);
			left -= textWidth(cut);
			if (cut !== text) break;
		}
		return out;
	}
}
