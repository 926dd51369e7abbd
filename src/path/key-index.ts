import { Mark, PathAt, type PathTable } from "./path-table.js";

/**
 * Open paths by their packet's fingerprint, for where the pointer cannot follow. Packets that are equal in every field
 * stand in one group, in order of opening:
 *
 *     bucket → group A (head, …, tail) → group B (head) → 0
 *              by groupNext ↑              by sameNext inside a group
 */
export class KeyIndex {
	readonly #paths: PathTable;
	#buckets = new Uint32Array(2 ** 12);
	#mask = 2 ** 12 - 1;
	#groups = 0;

	constructor(paths: PathTable) {
		this.#paths = paths;
	}

	/** The path that was opened first among those with this key; 0: none. The others follow by `sameNext`. */
	find(keyA: number, keyB: number): number {
		const paths = this.#paths;
		let head = this.#buckets[keyA & this.#mask] as number;
		while (head !== 0 && (paths.signed[head | PathAt.keyA] !== keyA || paths.signed[head | PathAt.keyB] !== keyB))
			head = paths.words[head | PathAt.groupNext] as number;
		return head;
	}

	/** Marks the path, and those before it, as `shared` when there are equal ones. */
	add(path: number): void {
		const paths = this.#paths;
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.keyed;
		paths.words[path | PathAt.sameNext] = 0;
		const head = this.find(paths.signed[path | PathAt.keyA] as number, paths.signed[path | PathAt.keyB] as number);
		if (head !== 0) {
			const tail = paths.words[head | PathAt.groupTail] as number;
			paths.words[tail | PathAt.sameNext] = path;
			paths.words[path | PathAt.samePrevious] = tail;
			paths.words[head | PathAt.groupTail] = path;
			paths.words[tail | PathAt.marks] = (paths.words[tail | PathAt.marks] as number) | Mark.shared;
			paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.shared;
			return;
		}
		paths.words[path | PathAt.samePrevious] = 0;
		paths.words[path | PathAt.groupTail] = path;
		const bucket = (paths.signed[path | PathAt.keyA] as number) & this.#mask;
		paths.words[path | PathAt.groupNext] = this.#buckets[bucket] as number;
		this.#buckets[bucket] = path;
		this.#groups++;
		if (this.#groups > this.#mask) this.#grow();
	}

	remove(path: number): void {
		const paths = this.#paths;
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) & ~Mark.keyed;
		const previous = paths.words[path | PathAt.samePrevious] as number;
		const next = paths.words[path | PathAt.sameNext] as number;
		if (previous !== 0) {
			paths.words[previous | PathAt.sameNext] = next;
			if (next !== 0) paths.words[next | PathAt.samePrevious] = previous;
			else
				paths.words[
					this.find(paths.signed[path | PathAt.keyA] as number, paths.signed[path | PathAt.keyB] as number) +
						PathAt.groupTail
				] = previous;
			return;
		}
		const follower = paths.words[path | PathAt.groupNext] as number;
		if (next === 0) {
			this.#relink(path, follower);
			this.#groups--;
			return;
		}
		paths.words[next | PathAt.samePrevious] = 0;
		paths.words[next | PathAt.groupTail] = paths.words[path | PathAt.groupTail] as number;
		paths.words[next | PathAt.groupNext] = follower;
		this.#relink(path, next);
	}

	/** Whoever points to the head of a group points to `to` from now on. */
	#relink(head: number, to: number): void {
		const paths = this.#paths;
		const bucket = (paths.signed[head | PathAt.keyA] as number) & this.#mask;
		let at = this.#buckets[bucket] as number;
		if (at === head) {
			this.#buckets[bucket] = to;
			return;
		}
		while (paths.words[at | PathAt.groupNext] !== head) at = paths.words[at | PathAt.groupNext] as number;
		paths.words[at | PathAt.groupNext] = to;
	}

	#grow(): void {
		const paths = this.#paths;
		const old = this.#buckets;
		this.#buckets = new Uint32Array(old.length * 2);
		this.#mask = this.#buckets.length - 1;
		for (let head of old) {
			while (head !== 0) {
				const next = paths.words[head | PathAt.groupNext] as number;
				const bucket = (paths.signed[head | PathAt.keyA] as number) & this.#mask;
				paths.words[head | PathAt.groupNext] = this.#buckets[bucket] as number;
				this.#buckets[bucket] = head;
				head = next;
			}
		}
	}
}
