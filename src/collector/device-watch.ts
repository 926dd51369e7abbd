import { addon } from "../kernel/addon.js";
import type { AttachType } from "../kernel/attach.js";
import type { Hooks } from "../kernel/hooks.js";
import { deviceSites } from "../wiring/hookpoints.js";
import type { Link, Wiring } from "../wiring/model.js";
import { readLinks } from "../wiring/snapshot.js";

/** What one device did over some time. */
export interface DeviceInterval {
	readonly node: string;
	readonly ifindex: number;
	readonly seconds: number;
	/** Its counters then and now, since it was made. */
	readonly before: Link["statistics"];
	readonly after: Link["statistics"];
	/** Packets that hooks on it saw meanwhile, both ways; null: hooks may not be attached. */
	readonly hooked: number | null;
}

/** Watches one device of a node: its counters, and hooks on it that only count. */
export class DeviceWatch {
	readonly #node: string;
	readonly #netns: string | null;
	readonly #ifindex: number;
	readonly #hooks: Hooks | null;
	#atMs = performance.now();
	#statistics: Link["statistics"];
	#seen: number;

	/**
	 * Resolves when it watches; null: there is no such device any more.
	 * @param netns path of the node's namespace; null: our own
	 */
	static async start(
		wiring: Wiring,
		netns: string | null,
		ifindex: number,
		attach: AttachType | "auto",
	): Promise<DeviceWatch | null> {
		const hooks = await hooksOn(wiring, ifindex, attach);
		const statistics = statisticsOf(netns, ifindex);
		if (statistics !== null) return new DeviceWatch(wiring.node, netns, ifindex, hooks, statistics);
		await hooks?.close();
		return null;
	}

	private constructor(
		node: string,
		netns: string | null,
		ifindex: number,
		hooks: Hooks | null,
		statistics: Link["statistics"],
	) {
		this.#node = node;
		this.#netns = netns;
		this.#ifindex = ifindex;
		this.#hooks = hooks;
		this.#statistics = statistics;
		this.#seen = hooks?.counters().total.seen ?? 0;
	}

	/** Since the last call, or the start. Null: the device is gone. */
	interval(): DeviceInterval | null {
		const after = statisticsOf(this.#netns, this.#ifindex);
		if (after === null) return null;
		const now = performance.now();
		const seen = this.#hooks?.counters().total.seen ?? null;
		const interval = {
			node: this.#node,
			ifindex: this.#ifindex,
			seconds: (now - this.#atMs) / 1000,
			before: this.#statistics,
			after,
			hooked: seen === null ? null : seen - this.#seen,
		};
		this.#atMs = now;
		this.#statistics = after;
		this.#seen = seen ?? 0;
		return interval;
	}

	/** The hooks are gone when this resolves. */
	async close(): Promise<void> {
		await this.#hooks?.close().catch(() => undefined);
	}
}

/** They count and record nothing; null: they may not be attached, to the loopback for one. */
async function hooksOn(wiring: Wiring, ifindex: number, attach: AttachType | "auto"): Promise<Hooks | null> {
	const isLoopback = wiring.host.links.some((link) => link.ifindex === ifindex && link.loopback);
	const sites = isLoopback ? [] : deviceSites(wiring, ifindex);
	if (sites.length === 0) return null;
	let hooks: Hooks | null = null;
	try {
		const { Hooks } = await import("../kernel/hooks.js");
		const opened = new Hooks({ attach, ringBytes: SMALLEST_RING, hashSalt: 1n, sample: 1, follow: false });
		hooks = opened;
		const nothing = { rules: [], matchAll: 0, tunnelPorts: [] };
		opened.drain((batch) => opened.release(batch));
		const failures = await opened.attach(
			sites,
			() => nothing,
			() => {},
		);
		if (failures.length === 0) return opened;
	} catch {
		// Without the rights, or on a kernel that cannot: the counters have to do.
	}
	await hooks?.close().catch(() => undefined);
	return null;
}

/** Nothing is ever written to it. */
const SMALLEST_RING = 512 * 1024;

function statisticsOf(netns: string | null, ifindex: number): Link["statistics"] | null {
	return readLinks(addon(), netns).find((link) => link.ifindex === ifindex)?.statistics ?? null;
}
