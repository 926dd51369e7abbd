import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Summary } from "../src/collector/report.js";
import { Lab } from "../src/lab/lab.js";
import { interruption } from "./interruption.js";
import { progress } from "./table.js";

/** Runs `body` in a lab of its own, which goes with it, also on Ctrl-C: then this resolves, and nothing is printed. */
export async function inLab(body: (lab: Lab) => Promise<void>): Promise<void> {
	const signal = interruption();
	const lab = await Lab.up({ name: `bench${process.pid}`, signal });
	const stopped = once(signal, "abort").then(() => undefined);
	const measured = body(lab);
	// When it is cut short it ends with its processes, and nobody asks how.
	measured.catch(() => {});
	try {
		await Promise.race([measured, stopped]);
	} finally {
		for (const trace of traces) trace.kill("SIGINT");
		await lab.down();
	}
	if (signal.aborted) process.exit(130);
	await measured;
}

/** Traces that run: floods and captures go with the lab's namespaces, these do not. */
const traces = new Set<ChildProcess>();

/** How a trace in a process of its own ended: see traced.ts. */
export interface Traced {
	readonly readyMs: number;
	/** Since the process was started: what it takes Node itself is part of it. */
	readonly sinceStartMs: number;
	readonly stopMs: number;
	/** From the signal to the end of the process, when no hook is left. */
	readonly silentMs: number;
	readonly cpuToReadyMs: number;
	/** To `warm`. */
	readonly cpuToWarmMs: number;
	readonly cpuSeconds: number;
	readonly residentBytes: number;
	readonly summary: Summary;
}

export interface RunningTrace {
	/** Resolves when this device has been hooked after the trace began. */
	hooked(device: string): Promise<void>;
	/** CPU time counts from when this resolves. */
	warm(): Promise<void>;
	stop(): Promise<Traced>;
	/** SIGKILL. */
	kill(): void;
}

/** Resolves when its hooks are on. `request`: parts of a TraceRequest. */
export async function startTraced(request: object): Promise<RunningTrace> {
	const begun = performance.now();
	const program = new URL("./traced.js", import.meta.url).pathname;
	const child = spawn(process.execPath, [program, JSON.stringify(request)], { stdio: ["ignore", "pipe", "inherit"] });
	traces.add(child);
	child.once("close", () => traces.delete(child));
	const lines = linesOf(child);
	const { readyMs } = await next(lines, "readyMs");
	const sinceStartMs = performance.now() - begun;
	return {
		hooked: async (device) => {
			while ((await next(lines, "hooked")).hooked !== device) {
				// Another one.
			}
		},
		warm: async () => {
			child.kill("SIGUSR2");
			await next(lines, "warm");
		},
		stop: async () => {
			const ended = once(child, "close");
			const interrupted = performance.now();
			child.kill("SIGINT");
			const line = await next(lines, "summary");
			await ended;
			return { ...line, readyMs, sinceStartMs, silentMs: performance.now() - interrupted };
		},
		kill: () => child.kill("SIGKILL"),
	};
}

type Line = Traced & { readonly hooked: string; readonly warm: boolean };

async function next(lines: AsyncIterator<string>, key: keyof Line): Promise<Line> {
	for (;;) {
		const { value, done } = await lines.next();
		if (done) throw new Error(`the trace ended without ${key}`);
		const line = JSON.parse(value) as Line & { readonly warning?: string };
		if (line.warning !== undefined) progress(line.warning);
		if (line[key] !== undefined) return line;
	}
}

export function linesOf(child: ChildProcess): AsyncIterator<string> {
	if (child.stdout === null) throw new Error("no standard output");
	return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}
