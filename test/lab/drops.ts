import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Space } from "../../src/lab/space.js";
import type { DropReport, DropSummary } from "../../src/latency/drop-report.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** A `weft drops … -o json` in a process of its own. */
export interface RunningDrops {
	/** So far, in the order they came. */
	readonly drops: DropReport[];
	/** Of the process. */
	readonly pid: number;
	/** The drops that come from now on, once one is among them that `wanted` holds for, and then a little longer. */
	next(wanted: (drop: DropReport) => boolean, patienceMs?: number): Promise<readonly DropReport[]>;
	/** Ctrl-C. */
	stop(): Promise<DropSummary>;
}

/** Starts it and waits until it watches. */
export async function startDrops(...args: string[]): Promise<RunningDrops> {
	const child = spawn(process.execPath, [MAIN, "drops", ...args, "-o", "json"], { stdio: ["ignore", "pipe", "pipe"] });
	const drops: DropReport[] = [];
	const ends: DropSummary[] = [];
	let errors = "";
	const closed = once(child, "close");
	createInterface({ input: child.stdout }).on("line", (line) => {
		const message = JSON.parse(line) as DropReport | DropSummary;
		if (message.type === "drop") drops.push(message);
		else ends.push(message);
	});
	await new Promise<void>((resolve, reject) => {
		child.stderr.setEncoding("utf8").on("data", (text: string) => {
			errors += text;
			if (errors.includes("watching")) resolve();
		});
		closed.then(
			() => reject(new Error(`weft drops ended before it watched: ${errors}`)),
			(error: unknown) => reject(error),
		);
	});
	return {
		drops,
		pid: child.pid ?? 0,
		async next(wanted, patienceMs = 20_000) {
			const before = drops.length;
			for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(20)) {
				if (!drops.slice(before).some(wanted)) continue;
				await sleep(250);
				return drops.slice(before);
			}
			const came = drops
				.slice(before)
				.map(({ diagnosis, kernelReason, kernelFunction, hop }) =>
					[diagnosis, kernelReason, kernelFunction, hop?.device].join(" "),
				);
			return assert.fail(`no such drop within ${patienceMs} ms; there were: ${came.join("; ") || "none"}`);
		},
		async stop() {
			child.kill("SIGINT");
			const [code] = (await closed) as [number | null];
			assert.equal(code, 0, `weft drops failed: ${errors}`);
			const [summary] = ends;
			assert.ok(summary, `weft drops gave no account: ${errors}`);
			return summary;
		},
	};
}

/** Datagrams that found no socket, by the namespace's own count. */
export async function noPorts(space: Space): Promise<number> {
	const [names = [], values = []] = (await space.run("cat", "/proc/net/snmp"))
		.split("\n")
		.filter((line) => line.startsWith("Udp:"))
		.map((line) => line.split(" "));
	return Number(values[names.indexOf("NoPorts")]);
}
