/** TCP options in a first fragment, which no column tells: sums of bytes are off by so much at the most. */
export const MAX_OPTIONS = 40;

/** What is known of a fragmented datagram that is under way. */
export interface Datagram {
	readonly path: number;
	/** IPv4 ID, or those of IPv6's fragment headers: each time that IPv6 cuts anew it takes another. */
	readonly ids: number[];
	/** Hash of its first bytes, and an echo's sequence; null: its first fragment was not seen yet. */
	head: { readonly hash: number; readonly sequence: number } | null;
	readonly protocol: number;
	readonly family: number;
	/** Tuples under which it was seen. */
	readonly faces: number[];
	/** Bytes behind the IP header, when the last fragment was seen; 0: not yet. */
	total: number;
}

/** Datagrams that are under way in fragments, by path, by ID and by their first bytes. */
export class DatagramIndex {
	readonly #byPath = new Map<number, Datagram>();
	readonly #byId = new Map<number, readonly Datagram[]>();
	readonly #byHead = new Map<number, readonly Datagram[]>();

	get size(): number {
		return this.#byPath.size;
	}

	add(datagram: Datagram): void {
		this.#byPath.set(datagram.path, datagram);
		for (const id of datagram.ids) append(this.#byId, id, datagram);
	}

	/** It has been cut anew, under another ID. */
	addId(datagram: Datagram, ipId: number): void {
		datagram.ids.push(ipId);
		append(this.#byId, ipId, datagram);
	}

	setHead(datagram: Datagram, hash: number, sequence: number): void {
		datagram.head = { hash, sequence };
		append(this.#byHead, hash, datagram);
	}

	of(path: number): Datagram | undefined {
		return this.#byPath.get(path);
	}

	withId(ipId: number): readonly Datagram[] {
		return this.#byId.get(ipId) ?? [];
	}

	/** Oldest first. */
	withHead(hash: number): readonly Datagram[] {
		return this.#byHead.get(hash) ?? [];
	}

	remove(path: number): void {
		const datagram = this.#byPath.get(path);
		if (datagram === undefined) return;
		this.#byPath.delete(path);
		for (const id of datagram.ids) without(this.#byId, id, datagram);
		if (datagram.head !== null) without(this.#byHead, datagram.head.hash, datagram);
	}
}

function append(index: Map<number, readonly Datagram[]>, key: number, datagram: Datagram): void {
	index.set(key, [...(index.get(key) ?? []), datagram]);
}

function without(index: Map<number, readonly Datagram[]>, key: number, datagram: Datagram): void {
	const rest = (index.get(key) ?? []).filter((other) => other !== datagram);
	if (rest.length === 0) index.delete(key);
	else index.set(key, rest);
}
