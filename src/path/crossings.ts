/** Gets to know when a packet left one source and came to another, each in ns of that source's own clock. */
export type CrossingReader = (from: number, to: number, sentNs: number, receivedNs: number) => void;

/** Sources from the start. */
const SOURCES = 64;

/** Tells of packets that crossed the wire: what clocks are compared by. Only those that are certain. */
export type Crossings = ReturnType<typeof makeCrossings>;

/** @param tell null: nobody wants to know */
export function makeCrossings(tell: CrossingReader | null) {
	/** Offset of the rows that are read now, per source, and from which joiner time on it has held. NaN: none yet. */
	const of = { offsets: nothing(SOURCES), since: nothing(SOURCES) };
	return { setOffset, note };

	/** Rows of this source, from joiner time `now` on, were moved to the joiner's line by `offsetNs`. */
	function setOffset(source: number, offsetNs: number, now: number): void {
		if (of.offsets[source] === offsetNs) return;
		while (source >= of.offsets.length) enlarge();
		of.offsets[source] = offsetNs;
		of.since[source] = now;
	}

	/** Times on the joiner's line. */
	function note(from: number, sent: number, to: number, received: number): void {
		if (tell === null || from === to) return;
		if (sent < (of.since[from] as number) || received < (of.since[to] as number)) return;
		tell(from, to, sent - (of.offsets[from] as number), received - (of.offsets[to] as number));
	}

	function enlarge(): void {
		const { offsets, since } = of;
		of.offsets = nothing(2 * offsets.length);
		of.offsets.set(offsets);
		of.since = nothing(2 * since.length);
		of.since.set(since);
	}
}

function nothing(sources: number): Float64Array {
	return new Float64Array(sources).fill(Number.NaN);
}
