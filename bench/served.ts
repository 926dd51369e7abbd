import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
/** clock_t of proc(5), which is 100 a second everywhere. */
const TICK_NS = 1e7;

const running = new Set<ChildProcess>();
process.once("exit", () => {
	for (const child of running) child.kill("SIGKILL");
});

/** A `weft agent` or `weft relay` in a process of its own, watched from outside. */
export class Served {
	readonly #child: ChildProcess;

	private constructor(child: ChildProcess) {
		this.#child = child;
	}

	/** Resolves when it serves. */
	static async start(...args: readonly string[]): Promise<Served> {
		const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "ignore", "pipe"] });
		running.add(child);
		child.once("exit", () => running.delete(child));
		await new Promise<void>((resolve, reject) => {
			child.once("exit", (code) => reject(new Error(`weft ${args.join(" ")} ended with ${code}`)));
			createInterface({ input: child.stderr as NodeJS.ReadableStream }).on("line", (line) => {
				if (line.includes(" serving ")) resolve();
			});
		});
		return new Served(child);
	}

	/** CPU time of all its threads, and of the processes that it started and that have ended. */
	cpuNs(): number {
		const folder = `/proc/${this.#child.pid}/task`;
		const threads = readdirSync(folder).map((thread) => readFileSync(`${folder}/${thread}/schedstat`, "utf8"));
		const own = threads.reduce((sum, text) => sum + Number(text.split(" ")[0]), 0);
		// After the name, which may hold blanks: the fields from the third on (proc(5)).
		const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
		return own + (Number(fields[13]) + Number(fields[14])) * TICK_NS;
	}

	residentBytes(): number {
		const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
		return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
	}

	async stop(): Promise<void> {
		const ended = once(this.#child, "exit");
		this.#child.kill("SIGTERM");
		await ended;
	}
}
