import type { AgentStatus } from "../../collector/agent-status.js";
import type { LedgerStage } from "../../collector/report.js";
import { type Colours, coloursFor } from "./colours.js";
import { Line } from "./line.js";
import { tableLines } from "./table.js";
import { bytes, duration, grouped, microseconds, plusMinus } from "./units.js";

export interface StatusOptions {
	readonly colour: boolean;
	readonly width: number;
}

/** `weft status`: each agent with its hooks, whom it serves, and where events were lost, stage by stage. */
export function statusLines(agents: readonly AgentStatus[], { colour, width }: StatusOptions): string[] {
	const colours = coloursFor(colour);
	return agents.flatMap((agent) => linesOf(agent, width).map((line) => text(line, colours, width)));
}

function linesOf(agent: AgentStatus, width: number): Line[] {
	return [
		new Line().add(agent.node, "bold").add(`  ${agent.address}`),
		new Line().add(`  ${about(agent)}`, "dim"),
		new Line().add(`  ${hooks(agent)}`),
		...subscribers(agent, width),
		...ledger(agent.ledger, width),
		...agent.warnings.map((warning) => new Line().add(`  note: ${warning}`, "yellow")),
	];
}

function about({ version, kernel, attach, uptimeMs, residentBytes, clock, instance }: AgentStatus): string {
	const offset = clock === null ? "" : `, clock ${clock.offsetNs < 0 ? "" : "+"}${clockText(clock)}`;
	const memory = bytes(residentBytes);
	return `weft ${version}, Linux ${kernel}, ${attach}, up ${duration(uptimeMs)}, ${memory}${offset}, instance ${instance}`;
}

function clockText({ offsetNs, errorNs }: { readonly offsetNs: number; readonly errorNs: number }): string {
	return `${microseconds(offsetNs)}${plusMinus(errorNs)} µs`;
}

/** By device: "veth1→ie" is both directions of it. */
function hooks({ hooks }: AgentStatus): string {
	if (hooks.length === 0) return "no hooks: nobody asks";
	const devices = new Map<string, string>();
	for (const { device, direction } of hooks) devices.set(device, (devices.get(device) ?? "") + direction[0]);
	const names = [...devices].slice(0, 12).map(([device, directions]) => `${device}→${directions}`);
	const more = devices.size > names.length ? ` and ${grouped(devices.size - names.length)} devices more` : "";
	return `${grouped(hooks.length)} ${hooks.length === 1 ? "hook" : "hooks"}: ${names.join(" ")}${more}`;
}

function subscribers({ subscribers }: AgentStatus, width: number): Line[] {
	if (subscribers.length === 0) return [];
	const rows = subscribers.map(({ id, method, question, delivered, lost }) => ({
		cells: ["", String(id), method, question, grouped(delivered), grouped(lost)],
		...(lost > 0 ? { style: "yellow" as const } : {}),
	}));
	return tableLines(
		[
			{ title: "", align: "left" },
			{ title: "subscriber", align: "right" },
			{ title: "asks for", align: "left" },
			{ title: "", align: "left", least: 16 },
			{ title: "delivered", align: "right" },
			{ title: "lost", align: "right" },
		],
		rows,
		width,
	);
}

/** in = out + lost, in sightings; a stage that does not balance is red. */
function ledger(stages: readonly LedgerStage[], width: number): Line[] {
	if (stages.length === 0) return [];
	const rows = stages.map(({ stage, in: received, out, lost }) => {
		const causes = Object.entries(lost).map(([cause, count]) => ({ cause, count: count ?? 0 }));
		const sum = causes.reduce((total, { count }) => total + count, 0);
		const some = causes.filter(({ count }) => count > 0).map(({ cause, count }) => `${grouped(count)} ${cause}`);
		const balance = received === out + sum ? "" : `  does not balance: ${grouped(received - out - sum)}`;
		const style = balance !== "" ? ("red" as const) : sum > 0 ? ("yellow" as const) : undefined;
		const cells = ["", stage, grouped(received), grouped(out), (some.join(", ") || "0") + balance];
		return { cells, ...(style === undefined ? {} : { style }) };
	});
	return tableLines(
		[
			{ title: "", align: "left" },
			{ title: "stage", align: "left" },
			{ title: "in", align: "right" },
			{ title: "out", align: "right" },
			{ title: "lost", align: "left", least: 10 },
		],
		rows,
		width,
	);
}

function text(line: Line, colours: Colours, width: number): string {
	return line.toString(colours, width);
}
