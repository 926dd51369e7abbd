/** A range of bytes that was sent at a time: [start, end) on the direction's own line, ns. */
export interface Transmission {
	readonly start: number;
	readonly end: number;
	readonly time: number;
}

interface Loss extends Transmission {
	readonly serial: number;
	place: string | null;
	/** Bytes that were sent again. */
	repaired: number;
	/** How many retransmissions were tied to it. */
	ties: number;
}

interface Copy extends Transmission {
	/** Counted as a retransmission already. */
	readonly counted: boolean;
}

const MOST_LOSSES = 64;
const MOST_COPIES = 32;

/**
 * Ties retransmissions of one direction to the losses that caused them. Paths do not come in the order of time: a path
 * is called lost seconds after it was sent, when its repair has long arrived. So both sides wait for each other, the
 * latest 64 losses and the latest 32 packets that may have been repairs.
 */
export class Repairs {
	readonly #losses: Loss[] = [];
	readonly #copies: Copy[] = [];
	/** Ties by place. */
	readonly places = new Map<string | null, number>();

	/** Any loss to which a later packet can be tied. */
	get waiting(): boolean {
		return this.#losses.length > 0;
	}

	/**
	 * A packet was lost: ties those that repaired it before it was known.
	 * @returns bytes of it that were sent again later, and repairs among them that were not counted yet
	 */
	lost(
		sent: Transmission,
		serial: number,
		place: string | null,
	): { readonly repaired: number; readonly found: number } {
		const loss: Loss = { ...sent, serial, place, repaired: 0, ties: 0 };
		let found = 0;
		for (let i = 0; i < this.#copies.length; ) {
			const copy = this.#copies[i] as Copy;
			if (copy.time > loss.time && overlapOf(loss, copy) > 0) {
				this.#copies.splice(i, 1);
				this.#tie(loss, copy);
				if (!copy.counted) found++;
			} else i++;
		}
		// Kept when repaired, too: a later report may find that it was not lost.
		this.#losses.push(loss);
		if (this.#losses.length > MOST_LOSSES) this.#losses.shift();
		return { repaired: Math.min(loss.repaired, loss.end - loss.start), found };
	}

	/** A packet that may repair an earlier loss: whether it does. If not, and `remember`, it may turn out later. */
	sent(copy: Transmission, counted: boolean, remember: boolean): boolean {
		for (let i = this.#losses.length - 1; i >= 0; i--) {
			const loss = this.#losses[i] as Loss;
			if (loss.time < copy.time && loss.repaired < loss.end - loss.start && overlapOf(loss, copy) > 0) {
				this.#tie(loss, copy);
				return true;
			}
		}
		if (remember) {
			this.#copies.push({ start: copy.start, end: copy.end, time: copy.time, counted });
			if (this.#copies.length > MOST_COPIES) this.#copies.shift();
		}
		return false;
	}

	/** It was not lost after all. */
	found(serial: number): void {
		const at = this.#losses.findIndex((loss) => loss.serial === serial);
		const [loss] = at < 0 ? [] : this.#losses.splice(at, 1);
		if (loss !== undefined && loss.ties > 0) this.#count(loss.place, -loss.ties);
	}

	/** It was lost elsewhere. False: it is not known as lost. */
	move(serial: number, place: string | null): boolean {
		const loss = this.#losses.find((other) => other.serial === serial);
		if (loss === undefined) return false;
		if (loss.ties > 0) {
			this.#count(loss.place, -loss.ties);
			this.#count(place, loss.ties);
		}
		loss.place = place;
		return true;
	}

	/** Takes over what another knew. */
	merge(other: Repairs): void {
		for (const [place, count] of other.places) this.#count(place, count);
		this.#losses.push(...other.#losses);
		this.#copies.push(...other.#copies);
		this.#losses.splice(0, this.#losses.length - MOST_LOSSES);
		this.#copies.splice(0, this.#copies.length - MOST_COPIES);
	}

	#tie(loss: Loss, copy: Transmission): void {
		loss.repaired += overlapOf(loss, copy);
		loss.ties++;
		this.#count(loss.place, 1);
	}

	#count(place: string | null, by: number): void {
		const count = (this.places.get(place) ?? 0) + by;
		if (count > 0) this.places.set(place, count);
		else this.places.delete(place);
	}
}

function overlapOf(a: Transmission, b: Transmission): number {
	return Math.min(a.end, b.end) - Math.max(a.start, b.start);
}
