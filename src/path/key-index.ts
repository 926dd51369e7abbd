import { areEqual, isSamePacket, keyHash } from "./key.js";
import { kindOf, Mark, PathAt, type PathTable } from "./path-table.js";
import type { Sight } from "./sight.js";

/**
 * Open paths by their packet's fingerprint, for where the pointer cannot follow. Packets that are equal in every field
 * stand in one group, in order of opening:
 *
 *     bucket → group A (head, …, tail) → group B (head) → 0
 *              by groupNext ↑              by sameNext inside a group
 */
export type KeyIndex = ReturnType<typeof makeKeyIndex>;

/** @param capacity groups for which there is room from the start, a power of two */
export function makeKeyIndex(paths: PathTable, sight: Sight, capacity: number) {
	const index = { buckets: new Uint32Array(capacity) };
	let groups = 0;
	return { find, findEqual, add, remove };

	/** The path that was opened first among those with the sighting's packet; 0: none. The others follow by `sameNext`. */
	function find(): number {
		const hash = keyHash(sight);
		let head = index.buckets[bucketOf(hash)] as number;
		while (
			head !== 0 &&
			(paths.signed[head | PathAt.keyHash] !== hash || !isSamePacket(paths, head, kindOf(paths, head), sight))
		)
			head = paths.words[head | PathAt.groupNext] as number;
		return head;
	}

	/** The one that was opened first among those with the packet of a path that has a key. */
	function findEqual(path: number): number {
		let head = index.buckets[bucketAt(path)] as number;
		while (head !== 0 && !areEqual(paths, head, path)) head = paths.words[head | PathAt.groupNext] as number;
		return head;
	}

	/** Marks the path, and those before it, as `shared` when there are equal ones. */
	function add(path: number): void {
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.keyed;
		paths.words[path | PathAt.sameNext] = 0;
		const head = findEqual(path);
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
		const bucket = bucketAt(path);
		paths.words[path | PathAt.groupNext] = index.buckets[bucket] as number;
		index.buckets[bucket] = path;
		groups++;
		if (groups === index.buckets.length) grow();
	}

	function remove(path: number): void {
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) & ~Mark.keyed;
		const previous = paths.words[path | PathAt.samePrevious] as number;
		const next = paths.words[path | PathAt.sameNext] as number;
		if (previous !== 0) {
			paths.words[previous | PathAt.sameNext] = next;
			if (next !== 0) paths.words[next | PathAt.samePrevious] = previous;
			else paths.words[findEqual(path) | PathAt.groupTail] = previous;
			return;
		}
		const follower = paths.words[path | PathAt.groupNext] as number;
		if (next === 0) {
			relink(path, follower);
			groups--;
			return;
		}
		paths.words[next | PathAt.samePrevious] = 0;
		paths.words[next | PathAt.groupTail] = paths.words[path | PathAt.groupTail] as number;
		paths.words[next | PathAt.groupNext] = follower;
		relink(path, next);
	}

	/** Whoever points to the head of a group points to `to` from now on. */
	function relink(head: number, to: number): void {
		const bucket = bucketAt(head);
		let at = index.buckets[bucket] as number;
		if (at === head) {
			index.buckets[bucket] = to;
			return;
		}
		while (paths.words[at | PathAt.groupNext] !== head) at = paths.words[at | PathAt.groupNext] as number;
		paths.words[at | PathAt.groupNext] = to;
	}

	function bucketAt(path: number): number {
		return bucketOf(paths.signed[path | PathAt.keyHash] as number);
	}

	function bucketOf(hash: number): number {
		return hash & (index.buckets.length - 1);
	}

	function grow(): void {
		const old = index.buckets;
		index.buckets = new Uint32Array(old.length * 2);
		for (let head of old) {
			while (head !== 0) {
				const next = paths.words[head | PathAt.groupNext] as number;
				const bucket = bucketAt(head);
				paths.words[head | PathAt.groupNext] = index.buckets[bucket] as number;
				index.buckets[bucket] = head;
				head = next;
			}
		}
	}
}
