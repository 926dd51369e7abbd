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
			return { text: `${leftFor(path, watched)}${how}`, style: "green" };
		case "lost":
		case "dropped":
			return { text: `✗${how}`, style: "red" };
		case "incomplete":
			return { text: `?${how}`, style: "yellow" };
	}
}

/** Where a forwarded packet went: as its route said, else the node by name, else the VTEP by address. */
function leftFor(path: Path, watched: ReadonlySet<string>): string {
	if (path.blame?.reason.startsWith("→ ")) return path.blame.reason;
	const node = path.flow.destination.node;
	if (node !== null && !watched.has(node)) return `→ ${node}, not watched`;
	return `→ ${path.hops.at(-1)?.outer?.destination ?? node ?? "outside"}`;
}

/** Why a path broke, and what would repair it: below its row. */
export function blameLines(path: Path): Line[] {
	const { blame } = path;
	if (blame === null || path.verdict === "delivered" || path.verdict === "forwarded") return [];
	if (path.verdict === "incomplete") return [new Line().add(`  incomplete: ${blame.reason}`, "yellow")];
	const place = blame.device === null ? "" : ` after ${blame.device}→${blame.direction?.[0] ?? "?"}`;
	const node = blame.node === null ? "" : ` on ${blame.node}`;
	const repair = new Line().add(`  ${blame.reason}`);
	if (blame.remedy !== null) repair.add(" → ").add(blame.remedy, "bold");
	// The Joiner's own reason, for want of a better one, is the first line again.
	const told = blame.remedy === null && (blame.reason === "" || blame.reason.startsWith(`${path.verdict} after `));
	return [new Line().add(`  ${path.verdict}${node}${place}${cause(path)}`, "red"), ...(told ? [] : [repair])];
}

function cause({ verdict, blame }: Path): string {
	if (verdict === "lost" && blame?.expected) {
		return `: ${blame.expected.split("→")[0] ?? blame.expected} watched, 0 events lost`;
	}
	if (!blame?.kernelReason) return "";
	return `: ${blame.kernelReason}${blame.kernelFunction === null ? "" : ` in ${blame.kernelFunction}`}`;
}
