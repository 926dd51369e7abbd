import { setTimeout as sleep } from "node:timers/promises";

/** Aborted by Ctrl-C, SIGTERM and readers of the table that leave: a part tidies up first. */
export function interruption(): AbortSignal {
	const interrupted = new AbortController();
	for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code !== "EPIPE") throw error;
		interrupted.abort();
	});
	return interrupted.signal;
}

/** Between steps that hold the thread: signals are heard only here. @throws AbortError */
export async function listen(signal: AbortSignal): Promise<void> {
	await sleep(0);
	signal.throwIfAborted();
}

/** Runs a part and ends quietly, as interrupted, when it was. */
export async function unlessInterrupted(signal: AbortSignal, part: () => Promise<void>): Promise<void> {
	try {
		await part();
	} catch (cause) {
		// The terminal's Ctrl-C ends what was running in the foreground first, and is heard here only now.
		await sleep(0);
		if (!signal.aborted) throw cause;
		process.exitCode = 130;
	}
}
