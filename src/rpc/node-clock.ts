/**
 * A node's clock as its agent tells it: wall time at the start, carried on by CLOCK_MONOTONIC, so that it never steps.
 * Plain, so that it crosses to a worker. `driftPpm` and an offset in `wallNs` are for tests of honest clocks.
 */
export interface NodeClock {
	/** Both read together, ns. */
	readonly monotonicNs: bigint;
	readonly wallNs: bigint;
	/** How much faster than CLOCK_MONOTONIC it runs, in millionths. */
	readonly driftPpm: number;
}

/** ns since 1970. */
export function wallAt(clock: NodeClock, monotonicNs: bigint): bigint {
	const elapsed = monotonicNs - clock.monotonicNs;
	return clock.wallNs + elapsed + BigInt(Math.round(Number(elapsed) * clock.driftPpm * 1e-6));
}

export function wallNow(clock: NodeClock): bigint {
	// Node's hrtime is CLOCK_MONOTONIC on Linux.
	return wallAt(clock, process.hrtime.bigint());
}
