/** TCP options in a first fragment, which no column tells: sums of bytes are off by so much at the most. */
export const MAX_OPTIONS = 40;

/** What is known of a fragmented datagram that is under way. */
export interface Datagram {
	readonly path: number;
	/** IPv4 ID, or that of IPv6's fragment header. */
	readonly ipId: number;
	readonly protocol: number;
	readonly family: number;
	/** Tuples under which it was seen. */
	readonly faces: number[];
	/** Bytes behind the IP header, when the last fragment was seen; 0: not yet. */
	total: number;
}

/** Datagrams that are under way in fragments, by path and by ID. */
export class DatagramIndex {
	readonly #byPath = new Map<number, Datagram>();
	readonly #byId = new Map<number, readonly Datagram[]>();

	get size(): number {
		return this.#byPath.size;
	}

	add(datagram: Datagram): void {
		this.#byPath.set(datagram.path, datagram);
		this.#byId.set(datagram.ipId, [...this.withId(datagram.ipId), datagram]);
	}

	of(path: number): Datagram | undefined {
		return this.#byPath.get(path);
	}

	withId(ipId: number): readonly Datagram[] {
		return this.#byId.get(ipId) ?? [];
	}

	remove(path: number): void {
		const datagram = this.#byPath.get(path);
		if (datagram === undefined) return;
		this.#byPath.delete(path);
		const rest = this.withId(datagram.ipId).filter((other) => other !== datagram);
		if (rest.length === 0) this.#byId.delete(datagram.ipId);
		else this.#byId.set(datagram.ipId, rest);
	}
}
