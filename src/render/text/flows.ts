import type { FlowRecord } from "../../flow/record.js";
import type { Endpoint } from "../../path/path.js";
import { type Colours, coloursFor, type Style } from "./colours.js";
import { Line } from "./line.js";
import { joinFace, nameOfTunnel } from "./names.js";
import { type TableColumn, type TableRow, tableLines } from "./table.js";
import { bytes, grouped, microseconds } from "./units.js";

export interface FlowTableOptions {
	readonly colour: boolean;
	readonly width: () => number;
	/** Rows that fit on the screen; the busiest are shown, the rest is counted. Infinity for pipes. */
	readonly height: () => number;
}

/** The table of `weft flows`: one row a flow, both directions, the busiest first; what went wrong below its row. */
export class FlowTable {
	readonly #options: FlowTableOptions;
	readonly #colours: Colours;

	constructor(options: FlowTableOptions) {
		this.#options = options;
		this.#colours = coloursFor(options.colour);
	}

	lines(flows: readonly FlowRecord[]): string[] {
		if (flows.length === 0) return this.#text([new Line().add("no flows yet", "yellow")]);
		const sorted = [...flows].sort((left, right) => weight(right) - weight(left) || order(left.id, right.id));
		const shown = sorted.slice(0, Math.max(1, this.#options.height()));
		const [titles, ...rows] = tableLines(columns, shown.map(rowOf), this.#options.width()) as [Line, ...Line[]];
		const lines = [titles, ...rows.flatMap((row, at) => [row, ...below(shown[at])])];
		const hidden = sorted.length - shown.length;
		if (hidden > 0) lines.push(new Line().add(`and ${grouped(hidden)} more, less busy`, "dim"));
		return this.#text(lines);
	}

	#text(lines: readonly Line[]): string[] {
		return lines.map((line) => line.toString(this.#colours, this.#options.width()));
	}
}

const columns: readonly TableColumn[] = [
	{ title: "proto", align: "left" },
	{ title: "flow", align: "left", least: 24 },
	{ title: "state", align: "left" },
	{ title: "packets →", align: "right" },
	{ title: "←", align: "right" },
	{ title: "bytes →", align: "right" },
	{ title: "←", align: "right" },
	{ title: "handshake", align: "right" },
	{ title: "rtt p50", align: "right" },
	{ title: "p99", align: "right" },
	{ title: "again", align: "right" },
	{ title: "lost", align: "right" },
];

function rowOf(record: FlowRecord): TableRow {
	const { flow, forward, reverse, tcpState, handshakeRttNs, rtt } = record;
	const style = styleOf(record);
	return {
		cells: [
			flow.protocol,
			ends(record),
			tcpState ?? "",
			grouped(forward.packets),
			grouped(reverse.packets),
			bytes(forward.bytes),
			bytes(reverse.bytes),
			time(handshakeRttNs),
			time(rtt?.p50Ns ?? null),
			time(rtt?.p99Ns ?? null),
			grouped(forward.retransmissions + reverse.retransmissions),
			grouped(lostOf(record)),
		],
		...(style === null ? {} : { style }),
	};
}

/** Both ends with their ports, and the service's face between them. */
function ends({ flow }: FlowRecord): string {
	const service = flow.service;
	const face = service === null ? "" : ` → ${service.name ?? joinFace(service.ip, service.port)}`;
	return `${end(flow.source)}${face} → ${end(flow.destination)}`;
}

function end({ pod, namespace, ip, port }: Endpoint): string {
	return joinFace(pod === null ? (ip ?? "?") : `${namespace ?? "?"}/${pod}`, port);
}

function styleOf(record: FlowRecord): Style | null {
	if (lostOf(record) > 0 || record.tcpState === "reset") return "red";
	return record.tcpState === "closed" ? "dim" : null;
}

function lostOf({ forward, reverse }: FlowRecord): number {
	return forward.lost + forward.dropped + reverse.lost + reverse.dropped;
}

/** Through which tunnel, and where the originals of retransmissions were lost. */
function below(record: FlowRecord | undefined): Line[] {
	if (record === undefined) return [];
	const lines = record.tunnels.slice(0, 2).map((tunnel) => new Line().add(`       ${nameOfTunnel(tunnel)}`, "dim"));
	for (const { place, count } of record.retransmissions.filter((each) => each.count > 0)) {
		const where =
			place === null ? "it is not known where the originals were lost" : `the originals lost after ${place}`;
		lines.push(new Line().add(`       ${grouped(count)} sent again, ${where}`, "yellow"));
	}
	return lines;
}

function time(ns: number | null): string {
	return ns === null ? "·" : microseconds(ns);
}

function weight({ forward, reverse }: FlowRecord): number {
	return forward.bytes + reverse.bytes;
}

function order(left: string, right: string): number {
	return left < right ? -1 : left > right ? 1 : 0;
}
