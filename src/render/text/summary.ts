import type { Summary } from "../../collector/report.js";
import { Line } from "./line.js";
import { duration, grouped } from "./units.js";

/** What a trace saw in all, and whether every event is accounted for. */
export function summaryLines(summary: Summary, notShown: number): Line[] {
	return [
		new Line().add(
			`${duration(summary.durationMs)}, ${plural(summary.flows, "flow")}, ${plural(summary.hooks, "hook")} removed`,
		),
		paths(summary),
		events(summary),
		...kernel(summary),
		...rows(notShown),
	];
}

function paths({ paths, blames }: Summary): Line {
	const all = Object.values(paths).reduce((sum, count) => sum + count, 0);
	const line = new Line().add(`→ ${plural(all, "path")}: ${grouped(paths.delivered)} delivered`, "bold");
	if (paths.forwarded > 0) line.add(`, ${grouped(paths.forwarded)} forwarded`);
	for (const verdict of ["lost", "dropped"] as const) {
		if (paths[verdict] === 0) continue;
		const places = blames.filter((blame) => blame.verdict === verdict && blame.count > 0);
		const shown = places
			.slice(0, 3)
			.map(({ place, count }) => (places.length === 1 ? place : `${grouped(count)} ${place}`));
		if (places.length > 3) shown.push("…");
		line.add(`, ${grouped(paths[verdict])} ${verdict}${shown.length === 0 ? "" : ` (${shown.join(", ")})`}`, "red");
	}
	if (paths.incomplete > 0) line.add(`, ${grouped(paths.incomplete)} incomplete`, "yellow");
	return line;
}

/** seen = joined + unjoined + lost. Where that does not hold the difference is said, not hidden. */
function events({ events }: Summary): Line {
	const unjoined = sum(events.unjoined);
	const lost = sum(events.lost);
	const line = new Line().add(
		`events ${grouped(events.seen)} seen = ${grouped(events.joined)} joined + ${grouped(unjoined)} unjoined`,
	);
	line.add(reasons(events.unjoined)).add(" + ");
	line.add(`${grouped(lost)} lost${reasons(events.lost)}`, lost > 0 ? "red" : "reset");
	const missing = events.seen - events.joined - unjoined - lost;
	return missing === 0
		? line
		: line.add(`   does not balance: ${missing > 0 ? "" : "−"}${grouped(Math.abs(missing))}`, "red");
}

function kernel({ kernel }: Summary): Line[] {
	const lines: Line[] = [];
	if (kernel.ringFull > 0) {
		const text = `kernel ${grouped(kernel.matched)} matched = ${grouped(kernel.emitted)} emitted + ${grouped(kernel.ringFull)} ring full`;
		lines.push(new Line().add(text, "yellow"));
	}
	const unparseable = sum(kernel.unparseable);
	if (unparseable > 0) {
		lines.push(new Line().add(`kernel ${grouped(unparseable)} not parseable${reasons(kernel.unparseable)}`, "yellow"));
	}
	return lines;
}

function rows(notShown: number): Line[] {
	if (notShown === 0) return [];
	return [new Line().add(`${plural(notShown, "row")} not shown: terminal too slow`, "yellow")];
}

/** " (3 retransmitted, 2 late)"; "" when all are zero. */
function reasons(counts: Readonly<Record<string, number>>): string {
	const some = Object.entries(counts).filter(([, count]) => count > 0);
	return some.length === 0 ? "" : ` (${some.map(([reason, count]) => `${grouped(count)} ${reason}`).join(", ")})`;
}

function sum(counts: Readonly<Record<string, number>>): number {
	return Object.values(counts).reduce((total, count) => total + count, 0);
}

function plural(count: number, noun: string): string {
	return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}
