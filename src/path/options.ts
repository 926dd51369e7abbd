/** Bounds and waiting times of a Joiner. */
export interface Limits {
	/** Open and remembered paths; beyond it the oldest goes as `incomplete`. */
	readonly maxPaths: number;
	/**
	 * Paths for which there is room from the start, a power of two. More find room, too, but tables that grow are none of
	 * V8's constants any more; what is never used takes no memory.
	 */
	readonly reservedPaths: number;
	/** Open paths with a range, per direction of a connection. */
	readonly rangesPerDirection: number;
	/** Closed paths that a late report can still revise: a power of two. */
	readonly closedPaths: number;
	/** Closed paths that were joined by order, and of which a later loss makes that uncertain: a power of two. */
	readonly orderedPaths: number;
	/** Closed paths that were called lost, and may yet be called dropped: a power of two. */
	readonly lostPaths: number;
	/** How long a path waits for its next hook before it is judged, ns. */
	suspectNs: number;
	/** How long the kernel may take to say that it threw away what was called lost, ns: it waits for neighbours. */
	readonly lostNs: number;
	/** How long an arrival waits for its departure, when another node is watched, ns: as wrong as clocks may be. */
	orphanNs: number;
	/** How long copies of a flooded frame are awaited, ns. */
	readonly floodNs: number;
}

export const DEFAULT_LIMITS: Limits = {
	maxPaths: 2 ** 18,
	reservedPaths: 2 ** 12,
	rangesPerDirection: 2 ** 12,
	closedPaths: 2 ** 13,
	orderedPaths: 2 ** 11,
	lostPaths: 2 ** 11,
	suspectNs: 2e9,
	lostNs: 10e9,
	orphanNs: 1e6,
	floodNs: 100e6,
};
