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
	return {
		ready: (ready) => output.always(table.ready(ready)),
		path: (path) => output.row(table.path(path)),
		status: (status) => output.row(table.status(status)),
		hook: (change) => output.row(table.hook(change)),
		warning,
		summary(summary) {
			const [first = "", ...others] = table.summary(summary, output.dropped);
			// The terminal has just shown ^C at the cursor.
			const behind = stdout.isTTY && stop.reason === "interrupt" ? " " : "";
			output.always([behind + first, ...others]);
		},
	};
}

/** One object a line on stdout; warnings go to stderr. */
export function jsonListener(output: LineOutput): TraceListener {
	let paths = 0;
	return {
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
