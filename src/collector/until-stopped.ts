/**
 * Waits for what a trace comes to; `stop` is called when the signal aborts or its time is over, and may be called once
 * more than is needed.
 */
export async function untilStopped<Result>(
	result: Promise<Result>,
	stop: () => void,
	{ signal, durationMs }: { readonly signal: AbortSignal; readonly durationMs: number | null },
): Promise<Result> {
	signal.addEventListener("abort", stop, { once: true });
	const timer = durationMs === null ? null : setTimeout(stop, durationMs);
	try {
		if (signal.aborted) stop();
		return await result;
	} finally {
		if (timer !== null) clearTimeout(timer);
		signal.removeEventListener("abort", stop);
	}
}
