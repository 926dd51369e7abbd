const DEPTH = 32;

/** The newest paths that passed each hook, a ring per hook. The copies of a flooded frame follow within microseconds. */
export class RecentPaths {
	readonly #rings: (Uint32Array | undefined)[] = [];
	readonly #heads = new Uint8Array(2 ** 16);

	note(hook: number, path: number): void {
		const head = ((this.#heads[hook] as number) + 1) & (DEPTH - 1);
		this.#heads[hook] = head;
		const ring = this.#rings[hook];
		if (ring !== undefined) ring[head] = path;
		else this.#start(hook, path, head);
	}

	/** The nth newest, 0…depth - 1; 0: none. It may have become another path's id since. */
	at(hook: number, n: number): number {
		return this.#rings[hook]?.[((this.#heads[hook] as number) - n) & (DEPTH - 1)] ?? 0;
	}

	get depth(): number {
		return DEPTH;
	}

	#start(hook: number, path: number, head: number): void {
		const ring = new Uint32Array(DEPTH);
		ring[head] = path;
		this.#rings[hook] = ring;
	}
}
