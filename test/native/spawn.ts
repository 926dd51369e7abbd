import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Space } from "./space.js";

/** Starts victim.js in this space and waits until its hooks are on. */
export async function startVictim(type: "tcx" | "clsact", space: Space): Promise<ChildProcess> {
	const script = fileURLToPath(new URL("victim.js", import.meta.url));
	const victim = spawn(process.execPath, [script, type, space.path, String(space.near), String(space.far)], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	const ended = once(victim, "exit").then(() => {
		throw new Error("the victim ended before it was ready");
	});
	await Promise.race([once(victim.stdout as NodeJS.ReadableStream, "data"), ended]);
	ended.catch(() => undefined);
	return victim;
}

export async function kill(victim: ChildProcess): Promise<void> {
	victim.kill("SIGKILL");
	await once(victim, "exit");
}

/** Ends it as Ctrl-D would: it takes its hooks away itself. */
export async function finish(victim: ChildProcess): Promise<void> {
	victim.stdin?.end();
	await once(victim, "exit");
}

/** Process ids of the watchdogs in a namespace. */
export function watchdogsIn(inode: number): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number)
		.filter((pid) => {
			try {
				return (
					readFileSync(`/proc/${pid}/comm`, "utf8") === "weft-watchdog\n" &&
					statSync(`/proc/${pid}/ns/net`).ino === inode
				);
			} catch {
				return false; // Ended meanwhile.
			}
		});
}

/** Waits until it holds; false when it does not within 5 s. */
export async function eventually(holds: () => boolean): Promise<boolean> {
	for (let attempt = 0; attempt < 250; attempt++) {
		if (holds()) return true;
		await delay(20);
	}
	return false;
}
