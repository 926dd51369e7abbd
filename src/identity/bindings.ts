import type { NetnsCookie } from "../packet/hook.js";
import type { Claim } from "./claim.js";

/**
 * Which namespace each claim was first found to be about. A sandbox never moves to another one, while inodes and
 * addresses are used again at once: what a runtime said of a sandbox before it was deleted may fit the next one's
 * namespace in both, and is still not about it.
 */
export class Bindings {
	#bound = new Map<string, NetnsCookie>();
	#next = new Map<string, NetnsCookie>();

	/** Null: it was not found yet. */
	of(claim: Claim): NetnsCookie | null {
		const key = keyOf(claim);
		return key === null ? null : (this.#bound.get(key) ?? null);
	}

	/** It is about this namespace, and stays so for as long as it is made. */
	bind(claim: Claim, netns: NetnsCookie): void {
		const key = keyOf(claim);
		if (key !== null) this.#next.set(key, netns);
	}

	/** Claims that were not bound since the last time are no longer made: they are forgotten. */
	settle(): void {
		this.#bound = this.#next;
		this.#next = new Map();
	}
}

/** A container that starts again keeps its id; when it began, its processes and its namespace are others. */
function keyOf({ source, sandbox, sinceMs, pid, netnsPath, inode }: Claim): string | null {
	return sandbox === null ? null : `${source} ${sandbox} ${sinceMs} ${pid} ${netnsPath} ${inode}`;
}
