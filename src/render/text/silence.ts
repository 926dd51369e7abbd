import type { Ready, ResolvedName, Status } from "../../collector/report.js";
import { Line } from "./line.js";
import { grouped } from "./units.js";

/** No packet for some seconds: what each END's own veth saw in all, and what to check because of it. */
export function silenceLines(seconds: number, status: Status, { from, to }: Ready): Line[] {
	const seen = [sawOf(from, status.fromSeen), sawOf(to, status.toSeen)].filter((text) => text !== null);
	const what = seen.length === 0 ? "" : `: ${seen.join(", ")}`;
	return [
		new Line().add(`  no packet for ${Math.round(seconds)} s${what}`, "yellow"),
		new Line().add(`  check: ${advice(status, from, to)}`, "yellow"),
	];
}

function sawOf(end: ResolvedName, seen: number | null): string | null {
	if (seen === null) return null;
	return `${end.name}'s veth saw ${grouped(seen)} ${seen === 1 ? "packet" : "packets"}`;
}

function advice({ fromSeen, toSeen }: Status, from: ResolvedName, to: ResolvedName): string {
	if (fromSeen === null && toSeen === null) {
		return "is anything being sent, and does it cross a watched node? Neither END is a pod of one";
	}
	if (fromSeen === 0 && toSeen === 0) return `is ${from.name} sending at all? Both veths are watched and idle`;
	if (fromSeen === 0) return `is ${from.name} sending at all? Its veth is watched and idle`;
	if (fromSeen === null) return `does ${from.name} reach ${to.name}'s node, and does FILTER fit what it sends?`;
	const elsewhere = `${from.name} sends, but nothing that fits: is it meant for ${to.name}, and does FILTER fit?`;
	return toSeen === 0 ? `${elsewhere} Nothing reaches ${to.name} either` : elsewhere;
}
