const MOST = 32;

/** Packets that wait for their answer: the mark that it will carry, when and through which device they went. */
export class Pending {
	readonly #marks: number[] = [];
	readonly #times: number[] = [];
	readonly #devices: number[] = [];

	/** When 32 wait, this one is not measured. */
	push(mark: number, time: number, device: number): void {
		if (this.#marks.length === MOST) return;
		this.#marks.push(mark);
		this.#times.push(time);
		this.#devices.push(device);
	}

	/** A cumulative answer: the newest that it covers decides, for it waited least for others. null: none waits. */
	upTo(mark: number): { readonly time: number; readonly device: number } | null {
		let best = -1;
		for (let i = 0; i < this.#marks.length; i++) {
			const candidate = this.#marks[i] as number;
			if (candidate <= mark && (best < 0 || candidate > (this.#marks[best] as number))) best = i;
		}
		return this.#take(best, Number.NEGATIVE_INFINITY, mark);
	}

	/** The answer to one. */
	exactly(mark: number): { readonly time: number; readonly device: number } | null {
		return this.#take(this.#marks.indexOf(mark), mark - 1, mark);
	}

	/** Sent twice: which of them an answer means cannot be told (Karn and Partridge 1987). */
	forget(above: number, to: number): void {
		let kept = 0;
		for (let i = 0; i < this.#marks.length; i++) {
			const mark = this.#marks[i] as number;
			if (mark > above && mark <= to) continue;
			this.#marks[kept] = mark;
			this.#times[kept] = this.#times[i] as number;
			this.#devices[kept] = this.#devices[i] as number;
			kept++;
		}
		this.#marks.length = kept;
		this.#times.length = kept;
		this.#devices.length = kept;
	}

	#take(at: number, above: number, to: number): { readonly time: number; readonly device: number } | null {
		if (at < 0) return null;
		const taken = { time: this.#times[at] as number, device: this.#devices[at] as number };
		this.forget(above, to);
		return taken;
	}
}
