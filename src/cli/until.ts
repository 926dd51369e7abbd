/** Until it is told to stop, or its time is over. @param durationMs null: it has no end of its own */
export function until(signal: AbortSignal, durationMs: number | null): Promise<void> {
	return new Promise((resolve) => {
		const timer = durationMs === null ? null : setTimeout(resolve, durationMs);
		const end = () => {
			if (timer !== null) clearTimeout(timer);
			resolve();
		};
		if (signal.aborted) end();
		else signal.addEventListener("abort", end, { once: true });
	});
}
