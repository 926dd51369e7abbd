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
		if (best < 0) return null;
		const answered = { time: this.#times[best] as number, device: this.#devices[best] as number };
		this.#keep((other) => other > mark);
		return answered;
	}

	/** The answer to one. */
	exactly(mark: number): { readonly time: number; readonly device: number } | null {
		const at = this.#marks.indexOf(mark);
		if (at < 0) return null;
		const answered = { time: this.#times[at] as number, device: this.#devices[at] as number };
		this.#keep((other) => other !== mark);
		return answered;
	}

	/** Sent twice: which of them an answer means cannot be told (Karn and Partridge 1987). */
	forget(from: number, to: number): void {
		if (this.#marks.length > 0) this.#keep((mark) => mark <= from || mark > to);
	}

	#keep(wanted: (mark: number) => boolean): void {
		let kept = 0;
		for (let i = 0; i < this.#marks.length; i++) {
			if (!wanted(this.#marks[i] as number)) continue;
			this.#marks[kept] = this.#marks[i] as number;
			this.#times[kept] = this.#times[i] as number;
			this.#devices[kept] = this.#devices[i] as number;
			kept++;
		}
		this.#marks.length = kept;
		this.#times.length = kept;
		this.#devices.length = kept;
	}
}
