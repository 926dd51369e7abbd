import type { Role } from "../../packet/hook.js";
import type { Hop, Path } from "../../path/path.js";

/** A column of the table: one hook that paths pass, in the order in which a request passes them. */
export interface Column {
	readonly node: string;
	readonly device: string;
	/** Short, for the header. */
	readonly label: string;
}

/** Which hop of a path stands in which column. */
export interface Placement {
	/** For each column its hop, or null. */
	readonly hops: readonly (Hop | null)[];
	/** Column behind the last hop, in reading direction: where ✗ stands. −1: none left. */
	readonly behind: number;
}

/** The columns that a path by itself needs. A lost one has one more, for the hook that missed it. */
export function shapeOf(path: Path, reply: boolean): readonly Column[] {
	const columns: Column[] = trunk(path).map((hop) => column(hop.node, hop.device, hop.role));
	const expected = path.blame?.expected?.split("→")[0];
	if (path.verdict === "lost" && expected) columns.push(column(path.blame?.node ?? "", expected, "host"));
	return reply ? columns.reverse() : columns;
}

/**
 * Fits a path into the columns of the header, or answers null: then it needs a header of its own. A path that reached
 * its end must begin and end where the columns do, and may pass over others (an optional hook); a broken one may stop.
 */
export function place(path: Path, reply: boolean, columns: readonly Column[]): Placement | null {
	const order = reply ? columns.length - 1 : 0;
	const step = reply ? -1 : 1;
	const hops: (Hop | null)[] = columns.map(() => null);
	let at = order;
	let first = -1;
	let last = -1;
	for (const hop of trunk(path)) {
		while (columns[at] !== undefined && !(columns[at]?.node === hop.node && columns[at]?.device === hop.device))
			at += step;
		if (columns[at] === undefined) return null;
		if (first === -1) first = at;
		last = at;
		hops[at] = hop;
		at += step;
	}
	const whole = path.verdict === "delivered" || path.verdict === "forwarded";
	if (whole && (first !== order || last !== columns.length - 1 - order)) return null;
	return { hops, behind: columns[at] === undefined ? -1 : at };
}

/** Without the copies of flooded frames. */
export function trunk(path: Path): readonly Hop[] {
	return path.hops.filter((hop) => hop.branch === 0);
}

function column(node: string, device: string, role: Role): Column {
	return { node, device, label: role === "pod" ? "veth" : role === "inside" ? "pod" : device.slice(0, 4) };
}
