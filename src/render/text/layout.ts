import { Line } from "./line.js";
import type { Column } from "./shape.js";

/** Where the parts of a row stand, for one shape and one width of the terminal. */
export interface Layout {
	readonly columns: readonly Column[];
	/** Characters of the time that are cut from its front (the hours) and from its end (below ms). */
	readonly cutFront: number;
	readonly cutEnd: number;
	/** First column of the packet's description. */
	readonly packet: number;
	/** Behind the last character of each cell. */
	readonly ends: readonly number[];
	/** Where ║ stands, by the index of the column behind it. */
	readonly borders: ReadonlyMap<number, number>;
	readonly total: number;
}

const TIME = "12:00:00.123456".length;
/** Blank, arrow, blank. */
const ARROW = 3;
/** " ✓", and a little for "→ node-b". */
const VERDICT = 2;

/** From roomy to tight: what is given up when a terminal is narrow, the least missed first. */
const tightness = [
	{ cutFront: 0, cutEnd: 0, packet: 11 },
	{ cutFront: "12:".length, cutEnd: 0, packet: 11 },
	{ cutFront: "12:".length, cutEnd: 3, packet: 11 },
	{ cutFront: "12:".length, cutEnd: 3, packet: 8 },
] as const;

/** The roomiest layout that fits; the tightest where none does (rows are then cut at the edge). */
export function layOut(columns: readonly Column[], width: number): Layout {
	const candidates = tightness.map((tight) => arrange(columns, tight));
	return candidates.find((layout) => layout.total + VERDICT <= width) ?? (candidates.at(-1) as Layout);
}

function arrange(columns: readonly Column[], tight: (typeof tightness)[number]): Layout {
	const packet = TIME - tight.cutFront - tight.cutEnd + ARROW;
	const borders = new Map<number, number>();
	const ends: number[] = [];
	let end = packet + tight.packet;
	for (const [index, column] of columns.entries()) {
		const previous = columns[index - 1];
		if (previous !== undefined && previous.node !== column.node) {
			borders.set(index, end + 1);
			end += 3;
		}
		// Behind a border the cell carries the error of two clocks.
		end += borders.has(index) ? 5 : 1 + Math.max(4, column.label.length);
		ends.push(end);
	}
	return { columns, cutFront: tight.cutFront, cutEnd: tight.cutEnd, packet, ends, borders, total: end + 7 };
}

/** "time   packet   veth cni0 ║ …  total" */
export function headerRow(layout: Layout): Line {
	const line = new Line().add("time", "dim").to(layout.packet).add("packet", "dim");
	for (const [index, column] of layout.columns.entries()) {
		const border = layout.borders.get(index);
		if (border !== undefined) line.endAt(border + 1, "║", "dim");
		line.endAt(layout.ends[index] ?? 0, column.label, "dim");
	}
	return line.endAt(layout.total, "total", "dim");
}
