import { AssertionError } from "node:assert/strict";

/**
 * Tries again what rests on BPF_PROG_TEST_RUN being given the same skb each time: it is, unless something else on the
 * CPU takes one in between. The last failure is thrown.
 */
export async function persistently(attempt: () => void | Promise<void>, times = 8): Promise<void> {
	for (let left = times; ; left--) {
		try {
			return await attempt();
		} catch (error) {
			if (left <= 1 || !(error instanceof AssertionError)) {
				throw error;
			}
		}
	}
}
