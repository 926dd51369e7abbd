import { Mark, type PathTable } from "./path-table.js";

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
		while (head !== 0 && (paths.keyA[head] !== keyA || paths.keyB[head] !== keyB))
			head = paths.groupNext[head] as number;
		return head;
	}

	/** Marks the path, and those before it, as `shared` when there are equal ones. */
	add(path: number): void {
		const paths = this.#paths;
		paths.marks[path] = (paths.marks[path] as number) | Mark.keyed;
		paths.sameNext[path] = 0;
		const head = this.find(paths.keyA[path] as number, paths.keyB[path] as number);
		if (head !== 0) {
			const tail = paths.groupTail[head] as number;
			paths.sameNext[tail] = path;
			paths.samePrevious[path] = tail;
			paths.groupTail[head] = path;
			paths.marks[tail] = (paths.marks[tail] as number) | Mark.shared;
			paths.marks[path] = (paths.marks[path] as number) | Mark.shared;
			return;
		}
		paths.samePrevious[path] = 0;
		paths.groupTail[path] = path;
		const bucket = (paths.keyA[path] as number) & this.#mask;
		paths.groupNext[path] = this.#buckets[bucket] as number;
		this.#buckets[bucket] = path;
		this.#groups++;
		if (this.#groups > this.#mask) this.#grow();
	}

	remove(path: number): void {
		const paths = this.#paths;
		paths.marks[path] = (paths.marks[path] as number) & ~Mark.keyed;
		const previous = paths.samePrevious[path] as number;
		const next = paths.sameNext[path] as number;
		if (previous !== 0) {
			paths.sameNext[previous] = next;
			if (next !== 0) paths.samePrevious[next] = previous;
			else paths.groupTail[this.find(paths.keyA[path] as number, paths.keyB[path] as number)] = previous;
			return;
		}
		const follower = paths.groupNext[path] as number;
		if (next === 0) {
			this.#relink(path, follower);
			this.#groups--;
			return;
		}
		paths.samePrevious[next] = 0;
		paths.groupTail[next] = paths.groupTail[path] as number;
		paths.groupNext[next] = follower;
		this.#relink(path, next);
	}

	/** Whoever points to the head of a group points to `to` from now on. */
	#relink(head: number, to: number): void {
		const paths = this.#paths;
		const bucket = (paths.keyA[head] as number) & this.#mask;
		let at = this.#buckets[bucket] as number;
		if (at === head) {
			this.#buckets[bucket] = to;
			return;
		}
		while (paths.groupNext[at] !== head) at = paths.groupNext[at] as number;
		paths.groupNext[at] = to;
	}

	#grow(): void {
		const paths = this.#paths;
		const old = this.#buckets;
		this.#buckets = new Uint32Array(old.length * 2);
		this.#mask = this.#buckets.length - 1;
		for (let head of old) {
			while (head !== 0) {
				const next = paths.groupNext[head] as number;
				const bucket = (paths.keyA[head] as number) & this.#mask;
				paths.groupNext[head] = this.#buckets[bucket] as number;
				this.#buckets[bucket] = head;
				head = next;
			}
		}
	}
}
