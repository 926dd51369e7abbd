import type { Flow } from "./flow.js";

/**
 * Flows in the order in which they were last touched, linked through themselves.
 *
 *     oldest ⇄ … ⇄ newest        push and touch at the newest end, evict at the oldest
 */
export class Ring {
	#oldest: Flow | null = null;
	#newest: Flow | null = null;
	#size = 0;

	get size(): number {
		return this.#size;
	}

	get oldest(): Flow | null {
		return this.#oldest;
	}

	push(flow: Flow): void {
		this.#size++;
		this.#append(flow);
	}

	remove(flow: Flow): void {
		this.#size--;
		this.#unlink(flow);
	}

	touch(flow: Flow): void {
		if (flow === this.#newest) return;
		this.#unlink(flow);
		this.#append(flow);
	}

	*[Symbol.iterator](): IterableIterator<Flow> {
		for (let flow = this.#oldest; flow !== null; flow = flow.newer) yield flow;
	}

	#append(flow: Flow): void {
		flow.older = this.#newest;
		flow.newer = null;
		if (this.#newest === null) this.#oldest = flow;
		else this.#newest.newer = flow;
		this.#newest = flow;
	}

	#unlink(flow: Flow): void {
		if (flow.older === null) this.#oldest = flow.newer;
		else flow.older.newer = flow.newer;
		if (flow.newer === null) this.#newest = flow.older;
		else flow.newer.older = flow.older;
	}
}
