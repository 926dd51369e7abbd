import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { StartTrace, TraceListener, TraceRequest } from "../collector/request.js";
import { Lab } from "../lab/lab.js";
import { sanitize } from "../render/sanitize.js";
import { type Colours, coloursFor, wantsColour } from "../render/text/colours.js";
import { clusterLines } from "./demo-cluster.js";
import { textListener } from "./listeners.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { type Stop, stopOnSignals } from "./signals.js";

const help = `
In some 20 seconds it builds a flannel cluster out of network namespaces, traces a client that talks to a service on
another node, floods it, breaks the tunnel, repairs it with the command that weft names, and takes everything away.

Examples:
  sudo weft demo
  sudo weft demo --all                                 a row for every packet; it is a lot`;

export function define(command: Command): void {
	command.addHelpText("after", help).action(({ all, time }: Pick<Choices, "all" | "time">) => demo({ all, time }));
	addShared(command, ["all", "time"]);
}

interface Choices {
	readonly all: boolean;
	readonly time: "absolute" | "relative";
}

const LAB = "demo";

/** Interrupted or not, it leaves nothing behind. */
async function demo(choices: Choices): Promise<void> {
	requireTracingRights("a lab with a live trace");
	const stage = new Stage(coloursFor(wantsColour(process.env, process.stdout.isTTY === true)));
	const stop = stopOnSignals();
	let lab: Lab | null = null;
	try {
		stage.title("A flannel cluster of two nodes, out of network namespaces");
		lab = await Lab.up({ name: LAB, servers: true, signal: stop.signal });
		for (const line of clusterLines(lab.state)) stage.say(line);
		await watch(lab, stage, stop, choices);
	} catch (error) {
		if (!stop.signal.aborted) throw error;
	} finally {
		if (lab !== null) await lab.down();
		stop.dispose();
	}
	if (stop.signal.aborted) return stage.note("interrupted; the cluster is gone again");
	stage.note("the cluster is gone again");
	stage.title("Now yours");
	stage.command("sudo weft lab up", "the same cluster, to play with");
	stage.command("sudo weft trace --lab client svc:web", "what you have just seen; -o json for programs");
	stage.command("weft help trace", "ends, filters, recordings, agents");
}

/** One live trace, and what happens meanwhile. */
async function watch(lab: Lab, stage: Stage, stop: Stop, choices: Choices): Promise<void> {
	const { startTrace }: { readonly startTrace: StartTrace } = await import("../collector/trace.js");
	const { labNodes } = await import("../lab/nodes.js");
	stage.title("A live trace: every hop of every packet, both nodes, both directions");
	stage.prompt(`weft trace --lab=${LAB} default/client default/server`);
	const listener = new Watcher(textListener(new LineOutput(process.stdout), choices.time, stop.signal));
	const end = new AbortController();
	const request = { ...requestOf(choices), nodes: await labNodes(lab.name) };
	const trace = startTrace(request, listener, AbortSignal.any([stop.signal, end.signal]));
	// A trace that fails early must not leave us waiting for its hooks.
	await Promise.race([listener.hooked, trace]);
	try {
		await act(lab, stage, listener, stop.signal);
	} finally {
		end.abort();
		await trace;
	}
}

async function act(lab: Lab, stage: Stage, seen: Watcher, stop: AbortSignal): Promise<void> {
	const web = lab.service("default/web").clusterIp.ipv4;
	const dns = lab.service("default/dns").clusterIp.ipv4;
	const pause = (ms: number) => sleep(ms, undefined, { signal: stop });

	stage.aside(`default/client asks http://${web}/ : a service whose pod is on the other node`);
	await fetchOnce(lab, web);
	await pause(1500);

	stage.aside("a flood: 256 MB over TCP. What is alike is counted, not shown");
	await lab.serve("server", { protocol: "tcp", port: 9000, as: "sink" });
	const server = lab.pod("server").pod.address.ipv4;
	await lab.send("client", { protocol: "tcp", address: server, port: 9000, bytes: 256 * 2 ** 20 });
	await pause(2000);

	stage.aside("something breaks: node-a forgets where node-b's tunnel ends (its FDB entry is deleted)");
	await lab.removeFdb("node-a", "node-b");
	const lost = seen.nextRemedy();
	await lab.send("client", { protocol: "udp", address: dns, port: 53, size: 64, count: 1 });
	const remedy = await Promise.race([lost, pause(5000).then(() => null)]);

	if (remedy?.startsWith("bridge fdb ")) {
		stage.aside("weft says why, and what would repair it. So be it:");
		// A node that no longer knows the other cannot know its address: the administrator does.
		const command = remedy.replace("NODE-ADDRESS", lab.node("node-b").node.address.ipv4);
		stage.prompt(`ip netns exec ${lab.node("node-a").netns} ${command}`);
		await lab.node("node-a").run(...command.split(/\s+/));
	}
	stage.aside("and again:");
	await fetchOnce(lab, web);
	await pause(1500);
}

/** Without curl, which not every machine has. */
async function fetchOnce(lab: Lab, address: string): Promise<void> {
	const script = "require('node:http').get(process.argv[1], (answer) => answer.resume())";
	await lab.pod("client").attempt(process.execPath, "-e", script, `http://${address}/`);
}

function requestOf({ all }: Choices): TraceRequest {
	return {
		...{ from: "default/client", to: "default/server", filter: "", namespace: "default", count: null },
		...{ durationMs: 60_000, netns: null, lab: LAB, hostRoot: null, attach: "auto", sample: 1, agents: [] },
		...{ write: null, read: null, everyPath: all },
	};
}

/** Passes everything on, and keeps an eye on what the demo must know. */
class Watcher implements TraceListener {
	readonly #listener: TraceListener;
	readonly hooked: Promise<void>;
	#resolveReady: () => void = () => {};
	#resolveRemedy: (remedy: string) => void = () => {};

	constructor(listener: TraceListener) {
		this.#listener = listener;
		this.hooked = new Promise((resolve) => {
			this.#resolveReady = resolve;
		});
	}

	/** The next command that a path names for its repair. */
	nextRemedy(): Promise<string> {
		return new Promise((resolve) => {
			this.#resolveRemedy = resolve;
		});
	}

	ready(ready: Parameters<TraceListener["ready"]>[0]): void {
		this.#listener.ready(ready);
		this.#resolveReady();
	}

	path(path: Parameters<TraceListener["path"]>[0]): void {
		this.#listener.path(path);
		if (path.blame?.remedy) this.#resolveRemedy(path.blame.remedy);
	}

	status(status: Parameters<TraceListener["status"]>[0]): void {
		this.#listener.status(status);
	}

	hook(change: Parameters<TraceListener["hook"]>[0]): void {
		this.#listener.hook(change);
	}

	warning(line: string): void {
		this.#listener.warning(line);
	}

	summary(summary: Parameters<TraceListener["summary"]>[0]): void {
		this.#listener.summary(summary);
	}
}

/** What the demo itself says, between the lines of the trace. */
class Stage {
	readonly #colours: Colours;

	constructor(colours: Colours) {
		this.#colours = colours;
	}

	title(text: string): void {
		this.say(`\n${this.#colours.bold(text)}`);
	}

	aside(text: string): void {
		this.say(this.#colours.cyan(`# ${text}`));
	}

	prompt(command: string): void {
		this.say(`${this.#colours.dim("$")} ${this.#colours.bold(sanitize(command))}`);
	}

	command(command: string, why: string): void {
		this.say(`  ${this.#colours.bold(command.padEnd(40))} ${this.#colours.dim(why)}`);
	}

	note(text: string): void {
		this.say(this.#colours.dim(text));
	}

	say(line: string): void {
		process.stdout.write(`${line}\n`);
	}
}
