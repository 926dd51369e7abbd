import { setTimeout as sleep } from "node:timers/promises";
import type { HookSite } from "../wiring/model.js";

/**
 * How many packets hooks on one device see within `ms`, both directions: they only count, nothing is recorded. Null where
 * hooks may not be attached. The hooks are gone when this resolves.
 */
export async function countPackets(sites: readonly HookSite[], ms: number): Promise<number | null> {
	const { Hooks } = await import("../kernel/hooks.js");
	let hooks: InstanceType<typeof Hooks> | null = null;
	try {
		hooks = new Hooks({ attach: "auto", ringBytes: SMALLEST_RING, hashSalt: 1n, sample: 1, follow: false });
		const nothing = { rules: [], matchAll: 0, tunnelPorts: [] };
		const opened = hooks;
		opened.drain((batch) => opened.release(batch));
		const failures = await opened.attach(
			sites,
			() => nothing,
			() => {},
		);
		if (failures.length > 0) return null;
		await sleep(ms);
		const { total } = await opened.stop();
		return total.seen;
	} catch {
		return null;
	} finally {
		await hooks?.close().catch(() => undefined);
	}
}

/** Nothing is ever written to it. */
const SMALLEST_RING = 512 * 1024;
