import { grown } from "./columns.js";

/** Hops of all open paths as columns, in singly linked lists; ids start at 1, 0 is none. A freed id is used again next. */
export class HopTable {
	capacity: number;
	used = 0;
	/** Next hop of the same path; in the free list: the next free id. */
	next: Uint32Array;
	hook: Uint16Array;
	/** Joiner time, ns: when the first byte of the path's range was seen here. */
	first: Float64Array;
	/** When the range was complete, or the latest that is known. */
	last: Float64Array;
	/** skbs that overlap the path's range. */
	packets: Uint32Array;
	bytes: Uint32Array;
	/** Of these, what began before the range: counted for the path before, too. */
	leadingPackets: Uint32Array;
	leadingBytes: Uint32Array;
	tuple: Uint32Array;
	outer: Uint32Array;
	branch: Uint8Array;
	/** TTL | VLAN id << 8 of the first skb here. */
	header: Uint32Array;
	/** Which units of the range were seen, 64 bits: see coverage.ts. */
	coverLow: Uint32Array;
	coverHigh: Uint32Array;
	#free = 0;
	#highest = 0;

	constructor(capacity: number) {
		this.capacity = capacity;
		const n = capacity + 1;
		this.next = new Uint32Array(n);
		this.hook = new Uint16Array(n);
		this.first = new Float64Array(n);
		this.last = new Float64Array(n);
		this.packets = new Uint32Array(n);
		this.bytes = new Uint32Array(n);
		this.leadingPackets = new Uint32Array(n);
		this.leadingBytes = new Uint32Array(n);
		this.tuple = new Uint32Array(n);
		this.outer = new Uint32Array(n);
		this.branch = new Uint8Array(n);
		this.header = new Uint32Array(n);
		this.coverLow = new Uint32Array(n);
		this.coverHigh = new Uint32Array(n);
	}

	/** A hop with every field to be set by the caller, except next and leading*, which are 0. */
	allocate(): number {
		this.used++;
		const id = this.#free;
		if (id !== 0) {
			this.#free = this.next[id] as number;
			this.next[id] = 0;
			this.leadingPackets[id] = 0;
			this.leadingBytes[id] = 0;
			return id;
		}
		if (this.#highest === this.capacity) this.#grow();
		return ++this.#highest;
	}

	free(id: number): void {
		this.used--;
		this.next[id] = this.#free;
		this.#free = id;
	}

	/** Frees a whole list. */
	freeList(first: number): void {
		while (first !== 0) {
			const next = this.next[first] as number;
			this.free(first);
			first = next;
		}
	}

	#grow(): void {
		this.capacity *= 2;
		const n = this.capacity + 1;
		this.next = grown(this.next, n);
		this.hook = grown(this.hook, n);
		this.first = grown(this.first, n);
		this.last = grown(this.last, n);
		this.packets = grown(this.packets, n);
		this.bytes = grown(this.bytes, n);
		this.leadingPackets = grown(this.leadingPackets, n);
		this.leadingBytes = grown(this.leadingBytes, n);
		this.tuple = grown(this.tuple, n);
		this.outer = grown(this.outer, n);
		this.branch = grown(this.branch, n);
		this.header = grown(this.header, n);
		this.coverLow = grown(this.coverLow, n);
		this.coverHigh = grown(this.coverHigh, n);
	}
}
