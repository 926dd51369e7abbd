import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits until it holds. By default for long: a machine that others use too may take its time.
 * @param state what there is instead, when it never holds
 */
export async function until(
	holds: () => boolean | Promise<boolean>,
	patienceMs = 30_000,
	state: () => string = () => "",
): Promise<void> {
	for (const end = performance.now() + patienceMs; !(await holds()); await sleep(5)) {
		if (performance.now() >= end) assert.fail(`not within ${patienceMs} ms: ${holds} ${state()}`);
	}
}
