/**
 * `weft trace` with a trace that needs no kernel: paths as fast as they are taken, until it is stopped. Run as a
 * process by stop.test.ts: node fake-trace.js text|json [stuck]. "stuck": it never ends by itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failureOf } from "../../src/cli/errors.js";
import { quietOnClosedPipe } from "../../src/cli/signals.js";
import { requestOf, runTrace } from "../../src/cli/trace.js";
import type { StartTrace } from "../../src/collector/request.js";
import { crossNode, pathOf, readyOf, summaryOf } from "../render/paths.js";

const [output = "text", stuck] = process.argv.slice(2) as ["text" | "json", string | undefined];
const options = { namespace: "default", agent: [], sample: 1, all: true, time: "absolute", output } as const;

const endless: StartTrace = async (_request, listener, signal) => {
	listener.ready(readyOf());
	listener.warning("a warning");
	while (!signal.aborted || stuck) {
		listener.path(pathOf(crossNode));
		await sleep(1);
	}
	const summary = summaryOf();
	listener.summary(summary);
	return summary;
};

quietOnClosedPipe();
try {
	await runTrace(requestOf([], options), options, endless);
} catch (error) {
	process.exitCode = failureOf(error).status;
}
