import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { FlowRecord } from "../../src/flow/record.js";
import { attachOptions } from "./attach.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** A `weft flows … -o json` in a process of its own. */
export interface RunningFlows {
	/** What was said last of each flow. */
	readonly records: readonly FlowRecord[];
	/** Ctrl-C, and the rest of the lines. */
	stop(): Promise<void>;
	/** Kills it, if it still runs. */
	end(): Promise<void>;
}

/** Starts `weft flows ARGUMENTS -o json` and waits until its hooks are on. */
export async function startFlows(...args: string[]): Promise<RunningFlows> {
	const words = [MAIN, "flows", ...args, ...attachOptions(["flows", ...args]), "-o", "json"];
	const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
	let errors = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		errors += text;
	});
	const closed = once(child, "close");
	while (!/weft: \d+ hooks on/.test(errors)) {
		assert.equal(child.exitCode, null, `weft flows ${args.join(" ")} ended: ${errors}`);
		await sleep(10);
	}
	const records = new Map<string, FlowRecord>();
	createInterface({ input: child.stdout }).on("line", (line) => {
		if (!line.endsWith("}")) return;
		const message = JSON.parse(line) as FlowRecord;
		if (message.type === "flow") records.set(message.id, message);
	});
	return {
		get records() {
			return [...records.values()];
		},
		stop: async () => {
			child.kill("SIGINT");
			const [code] = (await closed) as [number | null];
			assert.equal(code, 0, `weft flows ${args.join(" ")} failed: ${errors}`);
		},
		end: async () => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			child.kill("SIGKILL");
			await closed;
		},
	};
}
