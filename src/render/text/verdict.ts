import type { Path } from "../../path/path.js";
import type { Style } from "./colours.js";
import { Line } from "./line.js";

/** How a path ended, in the last column. */
export function verdictMark(
	path: Path,
	watched: ReadonlySet<string>,
): { readonly text: string; readonly style: Style } {
	const how = path.evidence === "exact" ? "" : ` (${path.evidence === "order" ? "by order" : path.evidence})`;
	switch (path.verdict) {
		case "delivered":
			return { text: `✓${how}`, style: "green" };
		case "forwarded":
			return { text: `→ ${destination(path, watched)}${how}`, style: "green" };
		case "lost":
		case "dropped":
			return { text: `✗${how}`, style: "red" };
		case "incomplete":
			return { text: `?${how}`, style: "yellow" };
	}
}

/** Where a forwarded packet went: the node by name, else the VTEP by address. */
function destination(path: Path, watched: ReadonlySet<string>): string {
	const node = path.flow.destination.node;
	if (node !== null && !watched.has(node)) return `${node}, not watched`;
	const last = path.hops.at(-1);
	return last?.outer?.destination ?? (node === null ? "outside" : node);
}

/** Why a path broke, and what would repair it: below its row. */
export function blameLines(path: Path): Line[] {
	const { blame } = path;
	if (blame === null) return [];
	const style = path.verdict === "lost" || path.verdict === "dropped" ? "red" : "yellow";
	const place = blame.device === null ? "" : ` after ${blame.device}→${blame.direction?.[0] ?? "?"}`;
	const node = blame.node === null ? "" : ` on ${blame.node}`;
	const repair = new Line().add(`  ${blame.reason}`);
	if (blame.remedy !== null) repair.add(" → ").add(blame.remedy, "bold");
	// The Joiner's own reason, for want of a better one, is the first line again.
	const told = blame.remedy === null && (blame.reason === "" || blame.reason.startsWith(`${path.verdict} after `));
	return [new Line().add(`  ${path.verdict}${node}${place}${cause(path)}`, style), ...(told ? [] : [repair])];
}

function cause({ verdict, blame }: Path): string {
	if (verdict === "lost" && blame?.expected) {
		return `: ${blame.expected.split("→")[0] ?? blame.expected} watched, 0 events lost`;
	}
	if (!blame?.kernelReason) return "";
	return `: ${blame.kernelReason}${blame.kernelFunction === null ? "" : ` in ${blame.kernelFunction}`}`;
}
