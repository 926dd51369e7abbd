import { CommanderError } from "commander";
import { sanitize } from "../render/sanitize.js";

/** 0: fine. 1: it failed. 2: it was asked wrongly. */
export type ExitStatus = 0 | 1 | 2;

/** A failure told in one line: what is wrong, and what to do about it. */
export class CliError extends Error {
	readonly remedy: string | null;
	readonly status: ExitStatus;

	constructor(message: string, remedy: string | null, status: ExitStatus = 1, options?: ErrorOptions) {
		super(message, options);
		this.name = "CliError";
		this.remedy = remedy;
		this.status = status;
	}
}

/** Bad usage: exit status 2. */
export class UsageError extends CliError {
	constructor(message: string, remedy: string | null) {
		super(message, remedy, 2);
		this.name = "UsageError";
	}
}

/** What the shell is told, and the line for stderr; null where nothing is left to say (--help, --version). */
export interface Failure {
	readonly status: ExitStatus;
	readonly line: string | null;
}

export function failureOf(error: unknown): Failure {
	if (error instanceof CommanderError) {
		// Help and version arrive as errors too, with exit code 0.
		if (error.exitCode === 0) return { status: 0, line: null };
		if (error.code === "commander.help") return { status: 2, line: null };
		return { status: 2, line: line(error.message.replace(/^error: /, ""), null) };
	}
	if (error instanceof Error) return { status: statusOf(error), line: line(error.message, remedyOf(error)) };
	return { status: 1, line: line(String(error), null) };
}

/** Errors of other rooms carry no exit status; what was asked wrongly says `usage: true`, or is of END or FILTER. */
function statusOf(error: Error): ExitStatus {
	if (error instanceof CliError) return error.status;
	if (error.name === "FilterError") return 2;
	return "usage" in error && error.usage === true ? 2 : 1;
}

function remedyOf(error: Error): string | null {
	return "remedy" in error && typeof error.remedy === "string" ? error.remedy : null;
}

/** One line, whatever the message held: a remedy that the message already names is not repeated. */
function line(message: string, remedy: string | null): string {
	const whole = remedy === null || message.includes(remedy) ? message : `${message}: ${remedy}`;
	return `weft: ${sanitize(whole.trim().replace(/\s*\n\s*/g, " "))}`;
}
