/**
 * What weft costs, beside tcpdump, in one run: DESIGN's budgets, part by part, each in a process of its own. Prints
 * figures and never fails for one: reading them is the reader's.
 *
 *   node dist/bench/main.js                 all parts, some five minutes
 *   node dist/bench/main.js flood start     these parts
 *   node dist/bench/flood.bench.js …        one part alone, with the options that its header names
 *
 *   flood      a 64-byte flood untraced, traced, timed, watched for drops, and under tcpdump; CPU, loss, memory (root)
 *   start      weft trace of a pair: start to ready, Ctrl-C to silent; a new veth hooked (root)
 *   bpf        a run of the programs over an empty one (root)
 *   collector  a record's way through the worker: decoded, joined, filtered, counted
 *   decode     decoding alone
 *   joiner     joining alone
 *   recording  joining, writing and reading a recording of millions of sightings
 *   stream     sightings in messages of the API, out and in
 *   agents     an idle agent; StreamSightings and whole paths of two nodes, end to end (root)
 *   topology   knowing a node of 250 pods, and 2,000 links (root)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, loadavg, release } from "node:os";
import { fileURLToPath } from "node:url";

const PARTS: Readonly<Record<string, readonly string[]>> = {
	flood: ["--rounds", "3"],
	start: ["--rounds", "5"],
	bpf: [],
	collector: [],
	decode: [],
	joiner: [],
	recording: ["4"],
	stream: [],
	agents: [],
	topology: [],
};

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const unknown = chosen.find((name) => !(name in PARTS));
if (unknown !== undefined) {
	process.stderr.write(`no part ${unknown}: there are ${Object.keys(PARTS).join(", ")}\n`);
	process.exit(2);
}

// A part tidies up by itself: Ctrl-C reaches it too, and it is waited for.
let interrupted: NodeJS.Signals | null = null;
let running: ReturnType<typeof spawn> | null = null;
process.on("SIGINT", () => {
	interrupted = "SIGINT";
});
process.on("SIGTERM", () => {
	interrupted = "SIGTERM";
	running?.kill("SIGTERM");
});

const [cpu] = cpus();
process.stdout.write(
	`${cpus().length} × ${cpu?.model.trim()}, Linux ${release()}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n`,
);
for (const name of chosen) {
	if (interrupted !== null) break;
	const file = fileURLToPath(new URL(`./${name}.bench.js`, import.meta.url));
	running = spawn(process.execPath, [file, ...(PARTS[name] ?? [])], { stdio: "inherit" });
	const [status] = await once(running, "close");
	running = null;
	if (status !== 0 && interrupted === null) {
		process.stderr.write(`the part ${name} could not be measured\n`);
		process.exitCode = 1;
	}
}
if (interrupted !== null) process.exitCode = 130;
