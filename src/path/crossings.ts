/** Gets to know when a packet left one source and came to another, each in ns of that source's own clock. */
export type CrossingReader = (from: number, to: number, sentNs: number, receivedNs: number) => void;

/** Tells of packets that crossed the wire: what clocks are compared by. Only those that are certain. */
export class Crossings {
	readonly #tell: CrossingReader | null;
	/** Offset of the rows that are read now, per source, and from which joiner time on it has held. */
	readonly #offsets: number[] = [];
	readonly #since: number[] = [];

	constructor(tell: CrossingReader | null) {
		this.#tell = tell;
	}

	/** Rows of this source, from joiner time `now` on, were moved to the joiner's line by `offsetNs`. */
	setOffset(source: number, offsetNs: number, now: number): void {
		if (this.#offsets[source] === offsetNs) return;
		this.#offsets[source] = offsetNs;
		this.#since[source] = now;
	}

	/** Times on the joiner's line. */
	note(from: number, sent: number, to: number, received: number): void {
		if (this.#tell === null || from === to) return;
		if (sent < (this.#since[from] ?? 0) || received < (this.#since[to] ?? 0)) return;
		this.#tell(from, to, sent - (this.#offsets[from] ?? 0), received - (this.#offsets[to] ?? 0));
	}
}
