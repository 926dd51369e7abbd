#!/usr/bin/env node
import { failureOf } from "./errors.js";
import { run } from "./program.js";
import { quietOnClosedPipe } from "./signals.js";

quietOnClosedPipe();
try {
	await run(process.argv.slice(2));
} catch (error) {
	const failure = failureOf(error);
	if (failure.line !== null) process.stderr.write(`${failure.line}\n`);
	if (failure.status !== 0 && process.env["WEFT_DEBUG"] && error instanceof Error) {
		process.stderr.write(`${error.stack ?? ""}\n`);
	}
	process.exitCode = failure.status;
}
