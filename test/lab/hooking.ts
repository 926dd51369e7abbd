import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import type { Link, NetlinkMonitor } from "../../src/kernel/native.js";
import type { Space } from "../../src/lab/space.js";
import { parse } from "../../src/wiring/rtnetlink.js";
import { attach } from "./attach.js";
import type { RunningWeft } from "./weft.js";

const OBJECT = readFileSync(new URL("victims.bpf.o", import.meta.url));
const RTNLGRP_LINK = 1;

/** How soon a new device was hooked, all in ms from its event in the node's namespace on. */
export interface Hooking {
	/** Until weft has told that the hooks are on. */
	readonly weft: number;
	/** Until somebody who does nothing else, at the same time on the same machine, has two programs on it. */
	readonly kernel: number;
	/** What weft's threads were ready to run and had to wait for a CPU meanwhile. */
	readonly waited: number;
}

/** What is left of it for weft: neither the kernel's, nor because others had the CPU. */
export function own({ weft, kernel, waited }: Hooking): number {
	return weft - kernel - waited;
}

/** Races weft to the hooks of new devices, as whoever is bare of everything but the kernel's own work. */
export class Racer {
	readonly #node: Space;
	readonly #weft: RunningWeft;
	readonly #monitor: NetlinkMonitor;
	readonly #close: () => void;
	#awaited: ((link: { readonly name: string; readonly ifindex: number }) => void) | null = null;

	constructor(weft: RunningWeft, node: Space) {
		this.#weft = weft;
		this.#node = node;
		const netns = addon().openNetns(node.path);
		this.#monitor = addon().monitorNetlink(netns, [RTNLGRP_LINK], false, (bytes) => {
			if (bytes === null) return;
			for (const row of parse(bytes)) if (row.kind === "link" && !row.gone) this.#awaited?.(row.link);
		});
		this.#close = () => {
			this.#monitor.close();
			netns.close();
		};
	}

	/** Makes a device whose name is like this, and tells how soon it was hooked. */
	async race(name: RegExp, make: () => Promise<unknown>): Promise<Hooking> {
		const since = this.#weft.changes.length;
		const { pid } = this.#weft.process;
		const hooked = new Promise<Hooking>((resolve, reject) => {
			this.#awaited = (link) => {
				if (!name.test(link.name)) return;
				this.#awaited = null;
				const event = performance.now();
				const waiting = waitedBy(pid);
				const weft = this.#told(link.name, since).then((at) => ({
					weft: at - event,
					waited: waitedBy(pid) - waiting,
				}));
				const kernel = this.#attachTo(link.ifindex).then((at) => at - event);
				Promise.all([weft, kernel]).then(([told, alone]) => resolve({ ...told, kernel: alone }), reject);
			};
		});
		await make();
		// What the command did may be heard of a little after it has ended.
		for (const end = Date.now() + 10_000; this.#awaited !== null; await sleep(1)) {
			assert.ok(Date.now() < end, `precondition: there was an event of ${name}`);
		}
		return await hooked;
	}

	close(): void {
		this.#close();
	}

	async #told(device: string, since: number): Promise<number> {
		const heard = () => this.#weft.changes.slice(since).some((one) => one.change === "added" && one.device === device);
		for (const end = Date.now() + 10_000; !heard(); await sleep(1))
			assert.ok(Date.now() < end, `${device} is not hooked`);
		return performance.now();
	}

	/** When the kernel has put a program onto both sides. */
	async #attachTo(ifindex: number): Promise<number> {
		if (attach() === "clsact") return performance.now(); // A message to rtnetlink: less than one ms.
		const object = addon().openObject(OBJECT);
		// It looks at every thousandth packet to port 0, and drops none.
		object.setRodata(0, new Uint8Array(Uint32Array.of(0, 1000, 0, 0).buffer));
		object.load();
		const program = object.program("drop_some");
		const netns = addon().openNetns(this.#node.path);
		const links: Link[] = [];
		try {
			for (const egress of [false, true]) links.push(await addon().attachTcx({ program, netns, ifindex, egress }));
			return performance.now();
		} finally {
			for (const each of [...links, netns, program, object]) each.close();
		}
	}
}

/** Time that threads of a process were ready to run without running, ms (Documentation/scheduler/sched-stats.rst). */
function waitedBy(pid: number | undefined): number {
	const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
		try {
			return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[1]);
		} catch {
			return 0; // Ended meanwhile.
		}
	});
	return threads.reduce((sum, ns) => sum + ns, 0) / 1e6;
}
