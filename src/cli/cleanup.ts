import { readdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import type { Command } from "commander";
import { Lab } from "../lab/lab.js";
import { readState, startTicks } from "../lab/state.js";
import { labNames, labStatus } from "../lab/status.js";
import { sanitize } from "../render/sanitize.js";
import { candidates } from "../wiring/candidates.js";
import { CliError } from "./errors.js";
import { addShared } from "./options.js";

const help = `
TCX hooks go with the process that made them, so after a weft that was killed there is little to do: filters of
--attach clsact on kernels before 6.6, a lab that was left half built, a socket that nobody serves.
Nothing of anybody else's is touched, and nothing of a weft that still runs.

Examples:
  sudo weft cleanup
  sudo weft cleanup --host-root /host                  from a container
  sudo weft lab down                                   a lab that is whole is taken down by name`;

export function define(command: Command): void {
	command.addHelpText("after", help).action(async ({ hostRoot }: { hostRoot?: string }) => {
		if (process.geteuid?.() !== 0) throw new CliError("cleaning up needs root", "run it with sudo");
		let done = 0;
		// Each step is told before the next one, which may fail.
		for (const step of [cleanLabs, cleanSockets, () => cleanFilters(hostRoot ?? null)]) {
			const lines = await step();
			done += lines.length;
			for (const line of lines) process.stdout.write(`${sanitize(line)}\n`);
		}
		if (done === 0) process.stdout.write("nothing to clean up\n");
	});
	addShared(command, ["hostRoot"]);
}

/** Labs that are broken, or belong to a demo that is gone. Gives a line for each thing done; exported for tests. */
export async function cleanLabs(names?: readonly string[]): Promise<string[]> {
	const done: string[] = [];
	for (const name of names ?? (await labNames())) {
		const { state } = await labStatus(name);
		if (state === "broken" || (name === "demo" && state === "up" && !(await builderLives(name)))) {
			const { namespaces, processes } = await Lab.down(name);
			done.push(`removed what was left of the lab ${name}: ${namespaces} namespaces, ${processes} processes`);
		} else if (state === "up") {
			done.push(`the lab ${name} is up and whole: it stays (weft lab down --name ${name} removes it)`);
		}
	}
	return done;
}

/** A lab outlives the command that built it; the demo's does not. */
async function builderLives(name: string): Promise<boolean> {
	const builder = (await readState(name))?.builder;
	return builder !== undefined && (await startTicks(builder.pid)) === builder.startTicks;
}

const SOCKETS = "/run/weft";

/** Sockets of agents that are gone: nobody accepts a connection there. */
export async function cleanSockets(directory = SOCKETS): Promise<string[]> {
	const done: string[] = [];
	for (const name of namesIn(directory).filter((name) => name.endsWith(".sock"))) {
		const path = `${directory}/${name}`;
		if ((await refusal(path)) !== "ECONNREFUSED") continue;
		unlinkSync(path);
		done.push(`removed ${path}: nobody served it`);
	}
	return done;
}

/** The errno of a connection that was refused; null: somebody answered. */
function refusal(path: string): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = connect(path, () => {
			socket.destroy();
			resolve(null);
		});
		socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
	});
}

/** Filters of ours on clsact qdiscs, in every network namespace that can be found; each says whether its owner lives. */
async function cleanFilters(hostRoot: string | null): Promise<string[]> {
	const { addon } = await import("../kernel/addon.js");
	const native = addon();
	let removed = 0;
	for (const { path } of candidates(hostRoot)) {
		try {
			const netns = native.openNetns(path);
			removed += native.removeStaleClsact(netns);
			netns.close();
		} catch (error) {
			// A process and its namespace may end while we look; other failures are told.
			const code = error instanceof Error && "code" in error ? error.code : null;
			if (code !== "ENOENT" && code !== "ESRCH" && code !== "EACCES") throw error;
		}
	}
	return removed === 0 ? [] : [`removed ${removed} ${removed === 1 ? "filter" : "filters"} of a killed weft`];
}

function namesIn(directory: string): string[] {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
}
