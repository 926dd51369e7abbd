import type { DropReport } from "../../latency/drop-report.js";
import type { Endpoint } from "../../path/path.js";
import { Clock, type TimeForm, type UtcOffset } from "./clock.js";
import { type Colours, coloursFor } from "./colours.js";
import { Line } from "./line.js";
import { joinFace } from "./names.js";
import { type TableColumn, tableLines } from "./table.js";
import { grouped } from "./units.js";

export interface DropTableOptions {
	readonly colour: boolean;
	readonly width: () => number;
	readonly time: TimeForm;
	readonly utcOffset?: UtcOffset;
}

/** Kinds of drops that the table keeps apart; further ones are counted as "other". */
const KINDS = 1000;

interface Kind {
	readonly drop: DropReport;
	count: number;
}

/** Rows of `weft drops` as they come, and the table of what there was in all. */
export class DropTable {
	readonly #options: DropTableOptions;
	readonly #colours: Colours;
	readonly #clock: Clock;
	readonly #kinds = new Map<string, Kind>();
	readonly #explained = new Set<string>();
	#other = 0;

	constructor(options: DropTableOptions) {
		this.#options = options;
		this.#colours = coloursFor(options.colour);
		this.#clock = new Clock(options.time, options.utcOffset);
	}

	/** A live row; under the first of its kind what it means and how to see to it. */
	drop(drop: DropReport): string[] {
		this.#count(drop);
		const row = new Line().add(this.#clock.format(drop.time), "dim").add(" ✗ ", "red").add(diagnosisOf(drop), "red");
		if (drop.count > 1) row.add(` ×${grouped(drop.count)}`);
		row.add(`  ${placeOf(drop)}  ${flowOf(drop)}`);
		return [
			row.toString(this.#colours, this.#options.width()),
			...this.#explain(drop).map((line) => line.toString(this.#colours)),
		];
	}

	/** What was dropped in all, most frequent first. */
	table(seconds: number): string[] {
		const kinds = [...this.#kinds.values()].sort((left, right) => right.count - left.count);
		const all = kinds.reduce((sum, kind) => sum + kind.count, this.#other);
		if (all === 0) return [new Line().add("nothing was dropped", "green").toString(this.#colours)];
		const rate = (count: number) => (seconds > 0 ? (count / seconds).toFixed(1) : "·");
		const rows = kinds.map(({ drop, count }) => ({
			cells: [grouped(count), rate(count), diagnosisOf(drop), kernelOf(drop), placeOf(drop), flowOf(drop, false)],
		}));
		if (this.#other > 0) rows.push({ cells: [grouped(this.#other), rate(this.#other), "other", "", "", ""] });
		return tableLines(columns, rows, this.#options.width()).map((line) =>
			line.toString(this.#colours, this.#options.width()),
		);
	}

	#count(drop: DropReport): void {
		const key = [diagnosisOf(drop), kernelOf(drop), placeOf(drop), flowOf(drop, false)].join("\n");
		const kind = this.#kinds.get(key);
		if (kind !== undefined) kind.count += drop.count;
		else if (this.#kinds.size < KINDS) this.#kinds.set(key, { drop, count: drop.count });
		else this.#other += drop.count;
	}

	#explain(drop: DropReport): Line[] {
		const key = `${diagnosisOf(drop)} ${drop.remedy ?? ""}`;
		if (this.#explained.has(key) || this.#explained.size >= KINDS) return [];
		this.#explained.add(key);
		const lines: Line[] = [];
		if (drop.diagnosis !== null) lines.push(new Line().add(`  the kernel says ${kernelOf(drop)}`, "dim"));
		if (drop.explanation !== null) lines.push(new Line().add(`  ${drop.explanation}`));
		if (drop.remedy !== null) lines.push(new Line().add("  → ").add(drop.remedy, "bold"));
		return lines;
	}
}

const columns: readonly TableColumn[] = [
	{ title: "count", align: "right" },
	{ title: "/s", align: "right" },
	{ title: "why", align: "left", least: 20 },
	{ title: "kernel", align: "left", least: 12 },
	{ title: "last at", align: "left", least: 14 },
	{ title: "flow", align: "left", least: 20 },
];

function diagnosisOf(drop: DropReport): string {
	return drop.diagnosis ?? drop.kernelReason;
}

function kernelOf({ kernelReason, kernelFunction }: DropReport): string {
	return kernelFunction === null ? kernelReason : `${kernelReason} in ${kernelFunction}`;
}

function placeOf({ hop, node }: DropReport): string {
	return hop === null ? `@${node}` : `${hop.device}→${hop.direction[0] ?? ""} @${node}`;
}

/** With ports for one packet; without them for the table, where a client's many ports are one row. */
function flowOf({ protocol, source, destination }: DropReport, ports = true): string {
	if (source === null && destination === null) return protocol;
	return `${protocol} ${endOf(source, ports)} → ${endOf(destination, true)}`;
}

function endOf(end: Endpoint | null, port: boolean): string {
	if (end === null) return "?";
	const name = end.pod === null ? (end.ip ?? "?") : `${end.namespace ?? "?"}/${end.pod}`;
	return joinFace(name, port ? end.port : null);
}
