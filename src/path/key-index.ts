import { areEqual, isPacketOf, keyHash } from "./key.js";
import { Mark, PathAt, PathMore, type PathTable } from "./path-table.js";
import type { Sight } from "./sight.js";

/** A power of two; more when there are FULL groups for each. */
const FIRST_BUCKETS = 2 ** 12;
const FULL = 4;

/**
 * Open paths by their packet, for where the pointer cannot follow. Packets that are equal in every field
 * stand in one group, in order of opening:
 *
 *     bucket → group A (head, …, tail) → group B (head) → 0
 *              by groupNext ↑              by sameNext inside a group
 */
export type KeyIndex = ReturnType<typeof makeKeyIndex>;

export function makeKeyIndex(paths: PathTable, sight: Sight) {
	const index = { buckets: new Uint32Array(FIRST_BUCKETS) };
	let groups = 0;
	return { find, findEqual, add, remove };

	/** The path that was opened first among those with the sighting's packet; 0: none. The others follow by `sameNext`. */
	function find(): number {
		const hash = keyHash(sight);
		let head = index.buckets[bucketOf(hash)] as number;
		while (head !== 0 && (paths.moreSigned[(head >> 1) | PathMore.keyHash] !== hash || !isPacketOf(paths, head, sight)))
			head = paths.more[(head >> 1) | PathMore.groupNext] as number;
		return head;
	}

	/** The one that was opened first among those with the packet of a path that has a key. */
	function findEqual(path: number): number {
		let head = index.buckets[bucketAt(path)] as number;
		while (head !== 0 && !areEqual(paths, head, path)) head = paths.more[(head >> 1) | PathMore.groupNext] as number;
		return head;
	}

	/** Marks the path, and those before it, as `shared` when there are equal ones. */
	function add(path: number): void {
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.keyed;
		paths.more[(path >> 1) | PathMore.sameNext] = 0;
		const head = findEqual(path);
		if (head !== 0) {
			const tail = paths.more[(head >> 1) | PathMore.groupTail] as number;
			paths.more[(tail >> 1) | PathMore.sameNext] = path;
			paths.more[(path >> 1) | PathMore.samePrevious] = tail;
			paths.more[(head >> 1) | PathMore.groupTail] = path;
			paths.words[tail | PathAt.marks] = (paths.words[tail | PathAt.marks] as number) | Mark.shared;
			paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) | Mark.shared;
			return;
		}
		paths.more[(path >> 1) | PathMore.samePrevious] = 0;
		paths.more[(path >> 1) | PathMore.groupTail] = path;
		const bucket = bucketAt(path);
		paths.more[(path >> 1) | PathMore.groupNext] = index.buckets[bucket] as number;
		index.buckets[bucket] = path;
		groups++;
		if (groups === index.buckets.length * FULL) grow();
	}

	function remove(path: number): void {
		paths.words[path | PathAt.marks] = (paths.words[path | PathAt.marks] as number) & ~Mark.keyed;
		const previous = paths.more[(path >> 1) | PathMore.samePrevious] as number;
		const next = paths.more[(path >> 1) | PathMore.sameNext] as number;
		if (previous !== 0) {
			paths.more[(previous >> 1) | PathMore.sameNext] = next;
			if (next !== 0) paths.more[(next >> 1) | PathMore.samePrevious] = previous;
			else paths.more[(findEqual(path) >> 1) | PathMore.groupTail] = previous;
			return;
		}
		const follower = paths.more[(path >> 1) | PathMore.groupNext] as number;
		if (next === 0) {
			relink(path, follower);
			groups--;
			return;
		}
		paths.more[(next >> 1) | PathMore.samePrevious] = 0;
		paths.more[(next >> 1) | PathMore.groupTail] = paths.more[(path >> 1) | PathMore.groupTail] as number;
		paths.more[(next >> 1) | PathMore.groupNext] = follower;
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
		while (paths.more[(at >> 1) | PathMore.groupNext] !== head)
			at = paths.more[(at >> 1) | PathMore.groupNext] as number;
		paths.more[(at >> 1) | PathMore.groupNext] = to;
	}

	function bucketAt(path: number): number {
		return bucketOf(paths.moreSigned[(path >> 1) | PathMore.keyHash] as number);
	}

	function bucketOf(hash: number): number {
		return hash & (index.buckets.length - 1);
	}

	function grow(): void {
		const old = index.buckets;
		index.buckets = new Uint32Array(old.length * FULL);
		for (let head of old) {
			while (head !== 0) {
				const next = paths.more[(head >> 1) | PathMore.groupNext] as number;
				const bucket = bucketAt(head);
				paths.more[(head >> 1) | PathMore.groupNext] = index.buckets[bucket] as number;
				index.buckets[bucket] = head;
				head = next;
			}
		}
	}
}
