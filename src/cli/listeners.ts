import type { LedgerStage, Summary } from "../collector/report.js";
import type { TraceListener } from "../collector/request.js";
import type { Path } from "../path/path.js";
import { jsonLine } from "../render/json.js";
import { sanitize } from "../render/sanitize.js";
import type { TimeForm } from "../render/text/clock.js";
import { wantsColour } from "../render/text/colours.js";
import { TraceTable } from "../render/text/trace.js";
import type { LineOutput } from "./output.js";

/** Draws the live table on stdout. `stop`: aborted when the user ends the trace. */
export function textListener(output: LineOutput, time: TimeForm, stop: AbortSignal): TraceListener {
	const { stdout } = process;
	const table = new TraceTable({
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: () => (stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY),
		time,
	});
	/** The terminal shows ^C at the cursor: whatever comes first after it goes on behind it, or begins a line. */
	let behindCtrlC = false;
	const after = (lines: readonly string[], between: string): readonly string[] => {
		if (behindCtrlC || lines.length === 0 || !stdout.isTTY || stop.reason !== "interrupt") return lines;
		behindCtrlC = true;
		return [`${between}${lines[0] ?? ""}`, ...lines.slice(1)];
	};
	return {
		get drained() {
			return output.drained;
		},
		ready: (ready) => output.always(table.ready(ready)),
		path: (path) => output.row(after(table.path(path), "\n")),
		status: (status) => output.row(after(table.status(status), "\n")),
		hook: (change) => output.row(after(table.hook(change), "\n")),
		warning,
		summary: (summary) => output.always(after(table.summary(summary, output.dropped), " ")),
	};
}

/** One object a line on stdout; warnings go to stderr. */
export function jsonListener(output: LineOutput): TraceListener {
	let paths = 0;
	return {
		get drained() {
			return output.drained;
		},
		ready: (ready) => output.always([jsonLine(ready)]),
		path(path: Path) {
			paths++;
			output.row([jsonLine(path)]);
		},
		status() {},
		hook: (change) => output.row([jsonLine(change)]),
		warning,
		summary: (summary) => output.always([jsonLine(withOutput(summary, paths, output.dropped))]),
	};
}

/** What a slow reader missed is part of the ledger; this stage counts paths. */
function withOutput(summary: Summary, paths: number, dropped: number): Summary {
	if (dropped === 0) return summary;
	const stage: LedgerStage = { stage: "output (rows)", in: paths, out: paths - dropped, lost: { readerSlow: dropped } };
	return { ...summary, ledger: [...summary.ledger, stage] };
}

function warning(line: string): void {
	process.stderr.write(`weft: ${sanitize(line)}\n`);
}
