/** Windows of joiner time, per source, in which records were lost. */

const MAX_WINDOWS = 64;

interface Window {
	from: number;
	to: number;
}

export class Losses {
	readonly #windows: Window[][] = [];
	/** End of the youngest window per source, ns: most questions end here. */
	readonly #latest: number[] = [];

	/** End of the youngest window of all, ns. */
	youngest = Number.NEGATIVE_INFINITY;

	add(source: number, from: number, to: number): void {
		let windows = this.#windows[source];
		if (windows === undefined) {
			windows = [];
			this.#windows[source] = windows;
		}
		const last = windows.at(-1);
		if (last !== undefined && from <= last.to) {
			last.from = Math.min(last.from, from);
			last.to = Math.max(last.to, to);
		} else {
			windows.push({ from, to });
			if (windows.length > MAX_WINDOWS) {
				const oldest = windows.shift();
				const next = windows[0];
				if (oldest !== undefined && next !== undefined) next.from = oldest.from;
			}
		}
		this.youngest = Math.max(this.youngest, to);
		this.#latest[source] = Math.max(this.#latest[source] ?? Number.NEGATIVE_INFINITY, to);
	}

	/** Was anything lost at this source in [from, to]? */
	touches(source: number, from: number, to: number): boolean {
		const latest = this.#latest[source];
		if (latest === undefined || latest < from) return false;
		return this.#windows[source]?.some((window) => window.from <= to && window.to >= from) ?? false;
	}
}
