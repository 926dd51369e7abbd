import type { LatencyReport, Segment, SegmentEnd } from "../../latency/report.js";
import { type Colours, coloursFor } from "./colours.js";
import { Line } from "./line.js";
import { sparkline } from "./sparkline.js";
import { type TableColumn, type TableRow, tableLines } from "./table.js";
import { grouped, microseconds, plusMinus } from "./units.js";

export interface LatencyTableOptions {
	readonly colour: boolean;
	readonly width: () => number;
	/** Keeps the p99 of the last intervals and draws it beside each segment. */
	readonly watch: boolean;
}

/** Intervals that a sparkline shows. */
const HISTORY = 20;

/** The table of `weft latency`: one row a segment, under the node and the bridge or tunnel that holds the packets. */
export class LatencyTable {
	readonly #options: LatencyTableOptions;
	readonly #colours: Colours;
	/** Segment → p99 of the last intervals. */
	#history = new Map<string, (number | null)[]>();

	constructor(options: LatencyTableOptions) {
		this.#options = options;
		this.#colours = coloursFor(options.colour);
	}

	lines(report: LatencyReport): string[] {
		const segments = [...report.segments].sort(byPlace);
		if (this.#options.watch) this.#remember(segments);
		const rows: TableRow[] = [];
		let above = "";
		for (const segment of segments) {
			const heading = headingOf(segment);
			if (heading !== above) rows.push({ cells: [heading], style: "bold" });
			above = heading;
			rows.push({ cells: this.#cells(segment, report.seconds) });
		}
		const table =
			segments.length === 0
				? [new Line().add("no packets yet: is anything being sent across the devices that are watched?", "yellow")]
				: tableLines(this.#columns(), rows, this.#options.width());
		return [...table, ...footer(report)].map((line) => line.toString(this.#colours, this.#options.width()));
	}

	#columns(): TableColumn[] {
		const numbers = ["count", "/s", "min", "p50", "p90", "p99", "p99.9", "max"];
		const columns: TableColumn[] = [
			{ title: "µs", align: "left", least: 20 },
			...numbers.map((title): TableColumn => ({ title, align: "right" })),
		];
		return this.#options.watch ? [...columns, { title: "p99 over time", align: "left", least: 0 }] : columns;
	}

	#cells(segment: Segment, seconds: number): string[] {
		const { minNs, p50Ns, p90Ns, p99Ns, p999Ns, maxNs } = segment;
		const rate = seconds > 0 ? segment.count / seconds : 0;
		const cells = [
			`  ${labelOf(segment)}`,
			grouped(segment.count),
			rate > 0 && rate < 10 ? rate.toFixed(1) : grouped(rate),
			...[minNs, p50Ns, p90Ns, p99Ns, p999Ns].map(time),
			time(maxNs) + (maxNs === null ? "" : plusMinus(segment.clockErrorNs)),
		];
		return this.#options.watch ? [...cells, sparkline(this.#history.get(keyOf(segment)) ?? [])] : cells;
	}

	/** Segments that are gone for as long as the sparkline reaches back are forgotten. */
	#remember(segments: readonly Segment[]): void {
		const current = new Map(segments.map((segment) => [keyOf(segment), segment.p99Ns]));
		const history = new Map<string, (number | null)[]>();
		for (const key of new Set([...this.#history.keys(), ...current.keys()])) {
			const values = [...(this.#history.get(key) ?? []), current.get(key) ?? null].slice(-HISTORY);
			if (values.some((value) => value !== null)) history.set(key, values);
		}
		this.#history = history;
	}
}

const names: Readonly<Record<Segment["kind"], string>> = {
	"bridge-forward": "forward",
	"bridge-up": "up",
	"bridge-down": "down",
	route: "route",
	encapsulate: "encapsulate",
	decapsulate: "decapsulate",
	"into-pod": "into pod",
	"out-of-pod": "out of pod",
	transit: "transit",
	wire: "wire",
	other: "other",
};

/** In the order in which a packet meets them. */
const order = Object.keys(names);

function byPlace(left: Segment, right: Segment): number {
	return (
		compare(left.node, right.node) ||
		compare(headingRank(left), headingRank(right)) ||
		compare(headingOf(left), headingOf(right)) ||
		order.indexOf(left.kind) - order.indexOf(right.kind) ||
		// The segment as a whole before its port pairs and groups.
		compare(wireTo(left), wireTo(right)) ||
		Number(isPart(left)) - Number(isPart(right)) ||
		right.count - left.count ||
		compare(keyOf(left), keyOf(right))
	);
}

function wireTo({ kind, to }: Segment): string {
	return kind === "wire" ? (to?.node ?? "") : "";
}

function isPart({ kind, from, group }: Segment): boolean {
	return group !== null || (from !== null && kind !== "wire");
}

/** Bridges, then tunnels, then what belongs to the node. */
function headingRank({ kind, device }: Segment): string {
	if (device === null) return "2";
	return isOfBridge(kind) ? "0" : "1";
}

function headingOf({ node, device, kind }: Segment): string {
	if (device === null) return node;
	return `${node}  ${isOfBridge(kind) ? "bridge" : "tunnel"} ${device}`;
}

function isOfBridge(kind: Segment["kind"]): boolean {
	return kind.startsWith("bridge") || kind.endsWith("-pod");
}

function labelOf(segment: Segment): string {
	if (segment.kind === "wire" && segment.to !== null) {
		return `wire to ${segment.to.node}${segment.group === null ? "" : ` ${segment.group}`}`;
	}
	const pair = segment.from === null || segment.to === null ? "" : ` ${endOf(segment.from)} → ${endOf(segment.to)}`;
	return `${names[segment.kind]}${pair}${segment.group === null ? "" : ` ${segment.group}`}`;
}

/** A port by its pod, where that is known. */
function endOf({ pod, device }: SegmentEnd): string {
	return pod ?? device;
}

function keyOf({ kind, node, device, from, to, group }: Segment): string {
	return [kind, node, device, from?.node, from?.device, to?.node, to?.device, group].join(" ");
}

function time(ns: number | null): string {
	return ns === null ? "·" : microseconds(ns);
}

function compare(left: string, right: string): number {
	return left < right ? -1 : left > right ? 1 : 0;
}

/** How exact it is, and what got no sample. */
function footer({ segments, quantileError, seconds, packets, warnings }: LatencyReport): Line[] {
	const unmatched = new Map<string, number>();
	for (const segment of segments) {
		for (const [reason, count] of Object.entries(segment.unmatched)) {
			unmatched.set(reason, (unmatched.get(reason) ?? 0) + count);
		}
	}
	const some = [...unmatched].filter(([, count]) => count > 0).map(([reason, count]) => `${grouped(count)} ${reason}`);
	const untracked = packets?.untracked ?? 0;
	if (untracked > 0) some.push(`${grouped(untracked)} untracked (the kernel's table is full)`);
	const without = some.length === 0 ? "every packet has a sample" : `without a sample: ${some.join(", ")}`;
	const exact = `µs over ${seconds.toFixed(1)} s; quantiles within ${Math.round(quantileError * 1000) / 10} %`;
	return [
		new Line().add(`${exact}; ${without}`, "dim"),
		...warnings.map((warning) => new Line().add(`note: ${warning}`, "yellow")),
	];
}
