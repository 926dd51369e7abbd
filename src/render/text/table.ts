import { sanitize } from "../sanitize.js";
import type { Style } from "./colours.js";
import { Line } from "./line.js";
import { textWidth, truncate } from "./width.js";

export interface TableColumn {
	readonly title: string;
	readonly align: "left" | "right";
	/** A left column may shrink to this many columns when the terminal is narrow. */
	readonly least?: number;
}

export interface TableRow {
	readonly cells: readonly string[];
	readonly style?: Style;
}

/** Columns as wide as what they hold, two blanks between; what does not fit is taken from those that may shrink. */
export function tableLines(columns: readonly TableColumn[], rows: readonly TableRow[], width: number): Line[] {
	const widths = fit(columns, naturalWidths(columns, rows), width);
	const titles: TableRow = { cells: columns.map(({ title }) => title), style: "dim" };
	return [titles, ...rows].map(({ cells, style }) => {
		const line = new Line();
		let end = 0;
		for (const [index, column] of columns.entries()) {
			const space = widths[index] ?? 0;
			const text = truncate(sanitize(cells[index] ?? ""), space);
			const begin = index === 0 ? 0 : end + 2;
			end = begin + space;
			line.to(column.align === "right" ? end - textWidth(text) : begin).add(text, style);
		}
		return line;
	});
}

function naturalWidths(columns: readonly TableColumn[], rows: readonly TableRow[]): number[] {
	return columns.map(({ title }, index) =>
		rows.reduce((most, { cells }) => Math.max(most, textWidth(sanitize(cells[index] ?? ""))), textWidth(title)),
	);
}

function fit(columns: readonly TableColumn[], natural: readonly number[], width: number): number[] {
	let excess = natural.reduce((sum, each) => sum + each + 2, -2) - width;
	return natural.map((each, index) => {
		const least = columns[index]?.least;
		if (least === undefined || excess <= 0) return each;
		const cut = Math.min(excess, Math.max(0, each - least));
		excess -= cut;
		return each - cut;
	});
}
