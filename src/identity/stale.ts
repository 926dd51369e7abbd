import type { WiringView } from "../wiring/view.js";
import type { Claim } from "./claim.js";

/** A pod that is being made or deleted fits nothing for a moment. */
const PATIENCE_MS = 5000;
/** Claims that are remembered. */
const MOST = 10_000;

/**
 * What is said of pods that are not here: files that a killed runtime has left behind, a daemon that is wrong, or a
 * namespace that cannot be seen from here. They name nobody; that they are there is told once they have been for 5 s.
 */
export class StaleClaims {
	#since = new Map<string, number>();

	/** One line each. */
	lines(view: WiringView, stale: readonly Claim[], nowMs: number): readonly string[] {
		const before = this.#since;
		this.#since = new Map();
		const lines: string[] = [];
		for (const claim of stale.slice(0, MOST)) {
			if (claim.pod === null || !isOfAPlace(view, claim)) continue;
			const what = `${claim.pod.namespace}/${claim.pod.name} (${claim.source})`;
			const key = `${what} ${claim.sandbox}`;
			const since = before.get(key) ?? nowMs;
			this.#since.set(key, since);
			if (nowMs - since >= PATIENCE_MS) lines.push(`${what}: no pod here is it; it is gone, or out of sight`);
		}
		return lines;
	}
}

/** Pods in the node's own network have no place of their own that they could be missing from. */
function isOfAPlace(view: WiringView, { netnsPath, inode, device, addresses }: Claim): boolean {
	if (addresses.some((address) => view.host.localDevice(address) !== null)) return false;
	return netnsPath !== null || inode !== null || device !== null || addresses.length > 0;
}
