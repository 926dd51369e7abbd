import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { HookChange, Ready, Summary } from "../../src/collector/report.js";
import type { Path } from "../../src/path/path.js";
import { assertAttached, assertFiltered, attachOptions } from "./attach.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** A `weft … -o json` in a process of its own, as a user runs it. */
export interface RunningWeft {
	readonly process: ChildProcess;
	readonly ready: Ready;
	/** Paths so far, in the order they came. */
	readonly paths: Path[];
	/** Devices that came or went. */
	readonly changes: HookChange[];
	/** Lines on stderr so far. */
	readonly warnings: readonly string[];
	/** Kills it, if it still runs: for `after` hooks of tests that may fail. */
	end(): Promise<void>;
	/** Ctrl-C, then the summary and the rest of the paths. */
	stop(): Promise<Summary>;
}

/** Starts `weft ARGUMENTS -o json` and waits until its hooks are on. */
export async function startWeft(...args: string[]): Promise<RunningWeft> {
	const words = [MAIN, ...args, ...attachOptions(args), "-o", "json"];
	const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
	let errors = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		errors += text;
	});
	const paths: Path[] = [];
	const changes: HookChange[] = [];
	let summary: Summary | null = null;
	const lines = createInterface({ input: child.stdout });
	const closed = once(child, "close");
	const ready = await new Promise<Ready>((resolve, reject) => {
		child.once("error", reject);
		closed.then(
			() => reject(new Error(`weft ${args.join(" ")} ended before it was ready: ${errors}`)),
			(error: unknown) => reject(error),
		);
		lines.on("line", (line) => {
			// One that is killed may leave half a line.
			if (!line.endsWith("}")) return;
			const message = JSON.parse(line) as Ready | Path | HookChange | Summary;
			if (message.type === "ready") resolve(message);
			else if (message.type === "path") paths.push(message);
			else if (message.type === "hook") changes.push(message);
			else if (message.type === "summary") summary = message;
		});
	});
	assertAttached(child.pid);
	await assertFiltered(ready.hooks);
	return {
		process: child,
		ready,
		paths,
		changes,
		get warnings() {
			return errors.split("\n").filter((line) => line !== "");
		},
		end: async () => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			child.kill("SIGKILL");
			await closed;
		},
		stop: async () => {
			child.kill("SIGINT");
			const [code] = (await closed) as [number | null];
			assert.equal(code, 0, `weft ${args.join(" ")} failed: ${errors}`);
			assert.ok(summary, `weft ${args.join(" ")} gave no summary: ${errors}`);
			return summary;
		},
	};
}

/** Runs `weft ARGUMENTS` to its end. */
export async function runWeft(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
	const words = [MAIN, ...args, ...attachOptions(args)];
	const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
	let stdout = "";
	let stderr = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		stderr += text;
	});
	const [code] = (await once(child, "close")) as [number | null];
	return { code, stdout, stderr };
}

/** The law of every summary: what was seen was joined, or left with a reason, or lost with a cause. */
export function assertBalanced(summary: Summary): void {
	const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
	const { seen, joined, unjoined, lost } = summary.events;
	assert.equal(seen, joined + sum(unjoined) + sum(lost), `ledger does not balance: ${JSON.stringify(summary.events)}`);
	assert.equal(
		summary.kernel.matched,
		summary.kernel.emitted + summary.kernel.ringFull,
		"matched = emitted + ring full",
	);
	for (const stage of summary.ledger) {
		const losses = Object.values(stage.lost).reduce((a: number, b) => a + (b ?? 0), 0);
		assert.equal(stage.in, stage.out + losses, `stage ${stage.stage} does not balance: ${JSON.stringify(stage)}`);
	}
}

/** Of agents that all gave their last word: what one stage gives out the next takes in, down to the paths. */
export function assertHandedOn({ ledger, events }: Summary): void {
	const sum = (name: string, side: "in" | "out") =>
		ledger
			.filter(({ stage }) => stage === name || stage.startsWith(`${name} @`))
			.reduce((total, each) => total + each[side], 0);
	for (const [from, to] of [
		["filter", "kernel"],
		["kernel", "rings"],
		["rings", "decode"],
		["subscriber", "received"],
		["received", "join"],
	] as const) {
		assert.equal(sum(from, "out"), sum(to, "in"), `${from} → ${to}: ${JSON.stringify(ledger)}`);
	}
	assert.equal(sum("join", "out"), events.joined);
}
