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

/** How much speaks for a packet's being a repair: bytes from behind those that were sent, or a pause before it. */
export type Suspicion = "behind" | "pause";

const MOST_LOSSES = 64;
/** A loss on another node is known a second or more after its repair: a fast flow has sent others again meanwhile. */
const MOST_COPIES: Readonly<Record<Suspicion, number>> = { behind: 1024, pause: 32 };

/**
 * Ties retransmissions of one direction to the losses that caused them. Paths do not come in the order of time: a path
 * is called lost seconds after it was sent, when its repair has long arrived. So both sides wait for each other, the
 * latest losses and the latest packets that may have been repairs; those that most likely were not push out no others.
 */
export class Repairs {
	readonly #losses: Loss[] = [];
	readonly #copies: Readonly<Record<Suspicion, Copy[]>> = { behind: [], pause: [] };
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
		const found = this.#repairedBy(loss, this.#copies.behind) + this.#repairedBy(loss, this.#copies.pause);
		// Kept when repaired, too: a later report may find that it was not lost.
		this.#losses.push(loss);
		if (this.#losses.length > MOST_LOSSES) this.#losses.shift();
		return { repaired: Math.min(loss.repaired, loss.end - loss.start), found };
	}

	/** A packet that may repair an earlier loss: whether it does. If not, it may turn out later, if it is suspicious. */
	sent(copy: Transmission, counted: boolean, suspicion: Suspicion | null): boolean {
		for (let i = this.#losses.length - 1; i >= 0; i--) {
			const loss = this.#losses[i] as Loss;
			if (loss.time < copy.time && loss.repaired < loss.end - loss.start && overlapOf(loss, copy) > 0) {
				this.#tie(loss, copy);
				return true;
			}
		}
		if (suspicion !== null) {
			const copies = this.#copies[suspicion];
			copies.push({ start: copy.start, end: copy.end, time: copy.time, counted });
			if (copies.length > MOST_COPIES[suspicion]) copies.shift();
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
		this.#losses.splice(0, Math.max(0, this.#losses.length - MOST_LOSSES));
		for (const suspicion of ["behind", "pause"] as const) {
			const copies = this.#copies[suspicion];
			copies.push(...other.#copies[suspicion]);
			copies.splice(0, Math.max(0, copies.length - MOST_COPIES[suspicion]));
		}
	}

	/** Ties those that came before the loss was known; returns how many were not counted yet. */
	#repairedBy(loss: Loss, copies: Copy[]): number {
		let found = 0;
		for (let i = 0; i < copies.length; ) {
			const copy = copies[i] as Copy;
			if (copy.time > loss.time && overlapOf(loss, copy) > 0) {
				copies.splice(i, 1);
				this.#tie(loss, copy);
				if (!copy.counted) found++;
			} else i++;
		}
		return found;
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
