/** Ctrl-C, a closed pipe and a kill all end a command in the same way: it is asked to stop, and then it says what it saw. */

export type StopReason = "interrupt" | "terminate" | "pipe closed";

export interface Stop {
	/** Aborts with a StopReason at the first request to stop. */
	readonly signal: AbortSignal;
	dispose(): void;
}

/** Of commands that must tidy up before they end. */
const live = new Set<AbortController>();

/**
 * From now on the first SIGINT, SIGTERM or SIGHUP aborts `signal`, and a second one ends the process at once (hooks go
 * with its descriptors).
 */
export function stopOnSignals(): Stop {
	const controller = new AbortController();
	const interrupt = () => stop("interrupt");
	const terminate = () => stop("terminate");
	const stop = (reason: StopReason) => {
		if (controller.signal.aborted) process.exit(1);
		controller.abort(reason);
	};
	live.add(controller);
	process.on("SIGINT", interrupt);
	process.on("SIGTERM", terminate);
	process.on("SIGHUP", terminate);
	return {
		signal: controller.signal,
		dispose() {
			live.delete(controller);
			process.off("SIGINT", interrupt);
			process.off("SIGTERM", terminate);
			process.off("SIGHUP", terminate);
		},
	};
}

/**
 * `weft trace | head -1` is no failure: when nobody reads any more, what runs is stopped, quietly, with status 0.
 * Other failures to write (a full disk) are told and end with 1.
 */
export function quietOnClosedPipe(): void {
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		const closed = error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED";
		if (!closed) {
			process.stderr.write(`weft: cannot write the output: ${error.message}\n`);
			process.exit(1);
		}
		if (live.size === 0) process.exit(0);
		for (const controller of live) if (!controller.signal.aborted) controller.abort("pipe closed" satisfies StopReason);
	});
	process.stderr.on("error", () => process.exit(1));
}
