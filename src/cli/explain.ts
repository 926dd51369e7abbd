import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { type DeviceInterval, DeviceWatch } from "../collector/device-watch.js";
import type { StartTrace } from "../collector/request.js";
import { NodeDirectory } from "../identity/directory.js";
import { explain } from "../identity/explain/explain.js";
import { type Explanation, type Known, NothingToExplain } from "../identity/explain/explanation.js";
import { explainPaste, knownFromPaste } from "../identity/explain/paste.js";
import { LARGEST_PASTE, parsePasted } from "../identity/explain/pasted.js";
import { MergedDirectory } from "../identity/merged.js";
import { sanitize, sanitizeJson } from "../render/sanitize.js";
import { wantsColour } from "../render/text/colours.js";
import { explanationLines } from "../render/text/explain.js";
import type { TreeOptions } from "../render/text/topology.js";
import { underlayAddresses } from "../wiring/roles.js";
import { WiringView } from "../wiring/view.js";
import { CliError, UsageError } from "./errors.js";
import { LocalNodes, type WhichNodes } from "./local-nodes.js";
import { addShared, parseDuration } from "./options.js";
import { LineOutput } from "./output.js";
import { requireTracingRights } from "./privilege.js";
import { agentsToAsk, remoteNodes } from "./remote-nodes.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";

const help = `
THING is a device (veth61dfc48a, cni0, docker0, flannel.1), an address, a pod or a service.

Examples:
  sudo weft explain veth61dfc48a                       whose veth it is, and what @if3 means
  sudo weft explain docker0 --watch 10s                who uses it; its counters for ten seconds
  sudo weft explain 10.244.2.3                         a pod on another node: the way there, and what is missing
  sudo weft explain default/server
  weft explain 10.244.2.3 --agent unix:/run/weft/a.sock --agent unix:/run/weft/b.sock
  weft explain --from brctl.txt --from addr.txt        pasted output of a machine that one cannot reach
  (brctl show; ip addr) | weft explain --from - docker0
  sudo weft explain --model --watch 10s                the three promises of the Kubernetes network, on live traffic

With --from, output of brctl show, ip addr, ip -d link, bridge fdb, ip route and ip neigh is understood, in any order.`;

interface Options extends WhichNodes, ProtectionOptions {
	readonly agent: readonly string[];
	readonly output: "text" | "json";
	readonly namespace: string;
	readonly from: readonly string[];
	readonly watch: number;
	readonly model?: boolean;
	readonly attach?: "tcx" | "clsact";
}

export function define(command: Command): void {
	command
		.description("A device, an address, a pod or a service, in plain words with the evidence under them.")
		.usage("THING [OPTIONS]")
		.argument("[THING]", "what to explain; with --from: everything, when left out")
		.addHelpText("after", help)
		.addOption(
			new Option("--from <file>", "pasted text instead of this machine; - is stdin (repeatable)")
				.argParser(collect)
				.default([] as readonly string[], "none"),
		)
		.option("--model", "check the promises of the Kubernetes network on live traffic")
		.addOption(
			new Option("--watch <time>", "how long to watch counters, or live traffic")
				.argParser(parseDuration)
				.default(2000, "2s"),
		)
		.action(run);
	addShared(command, ["output", "namespace", "agent", "lab", "netns", "hostRoot", "attach"]);
	addProtection(command);
}

/** The command on its own, for a program that has no list of commands. */
export function explainCommand(): Command {
	const command = new Command("explain");
	define(command);
	return command;
}

async function run(thing: string | undefined, asked: Options): Promise<void> {
	const options = asked.from.length > 0 ? asked : { ...asked, agent: await agentsToAsk(asked) };
	if (options.model === true) return runModel(thing, options);
	const explanations = await explained(thing, options);
	const output = new LineOutput(process.stdout);
	const tree = treeOptions();
	for (const [i, explanation] of explanations.entries()) {
		if (options.output === "json") output.always([sanitizeJson(JSON.stringify(explanation))]);
		else output.always([...(i === 0 ? [] : [""]), ...explanationLines(explanation, tree)]);
	}
}

async function tracing(options: Options): Promise<StartTrace> {
	if (options.agent.length === 0) return (await import("../collector/trace.js")).startTrace;
	return (await import("../rpc/client/start.js")).remoteTrace(protectionOf(options));
}

function explained(thing: string | undefined, options: Options): Promise<readonly Explanation[]> {
	if (options.from.length > 0) return Promise.resolve(fromText(thing, options));
	if (thing === undefined) throw new UsageError("nothing to explain", "name a device, an address or a pod");
	return options.agent.length > 0 ? fromAgents(thing, options) : fromHere(thing, options);
}

function treeOptions(): TreeOptions {
	const { stdout } = process;
	return {
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY,
	};
}

async function runModel(thing: string | undefined, options: Options): Promise<void> {
	if (thing !== undefined || options.from.length > 0) {
		throw new UsageError("--model explains no single thing and no pasted text", "leave them out");
	}
	if (options.agent.length === 0) requireTracingRights("watching live traffic");
	const stop = stopOnSignals();
	try {
		const [{ checkModel, modelJson, modelLines }, startTrace] = await Promise.all([
			import("./explain-model.js"),
			tracing(options),
		]);
		const results = await checkModel(options, options.watch, stop.signal, startTrace);
		const json = options.output === "json";
		const lines = json ? modelJson(results) : modelLines(results, options.watch / 1000, treeOptions());
		new LineOutput(process.stdout).always(lines);
	} finally {
		stop.dispose();
	}
}

function fromText(thing: string | undefined, { from, namespace }: Options): readonly Explanation[] {
	const pasted = parsePasted(from.map(readPaste));
	if (pasted.recognised.length === 0) {
		throw new UsageError(
			"nothing in the text is output of a command that weft knows",
			"paste brctl show, ip addr, ip -d link, bridge fdb, ip route or ip neigh",
		);
	}
	if (pasted.strange > 0) note(`${pasted.strange} lines were not understood and left out`);
	const known = knownFromPaste(pasted);
	return thing === undefined ? explainPaste(known) : [explain(known, thing, namespace)];
}

async function fromHere(thing: string, options: Options): Promise<readonly Explanation[]> {
	const nodes = await LocalNodes.open(options);
	try {
		return await onEach(nodes.observers, async (observer) => {
			const known = { ...knownOf(observer), elsewhere: nodes.directory };
			const once = explain(known, thing, options.namespace);
			if (!NEEDS_TIME.has(once.kind)) return once;
			return explain(await watched(observer, known, once.thing, options), thing, options.namespace);
		});
	} finally {
		nodes.close();
	}
}

/** As the agents see it, and watch it for a while where that tells something. */
async function fromAgents(thing: string, options: Options): Promise<readonly Explanation[]> {
	const nodes = await remoteNodes(options, { withEvidence: true });
	try {
		const told = [...nodes.evidence.values()];
		if (told.length === 0) throw new CliError("no node is behind these agents", "weft status --agent ADDR says who is");
		const names = new Map(
			told.flatMap(({ wiring }) => underlayAddresses(wiring).map((address) => [address, wiring.node] as const)),
		);
		const directories = told.flatMap(({ wiring, testimony }) =>
			testimony === undefined ? [] : [NodeDirectory.from(testimony, wiring, names)],
		);
		const elsewhere = new MergedDirectory(() => directories);
		const say = (watched: ReadonlyMap<string, DeviceInterval>) =>
			onEach(directories, async (directory) => {
				const view = directory.view;
				if (view === null) throw new NothingToExplain(thing, []);
				const known = { view, directory, elsewhere, window: null, hooked: null, pasted: false };
				return explain(withInterval(known, watched.get(view.wiring.node) ?? null), thing, options.namespace);
			});
		const once = await say(new Map());
		const moving = once.filter(({ kind }) => NEEDS_TIME.has(kind));
		const [device] = moving.map((explanation) => explanation.thing);
		if (device === undefined) return once;
		const { deviceIntervals } = await import("../rpc/client/device-intervals.js");
		const watched = await deviceIntervals({
			...{ addresses: options.agent, protection: protectionOf(options), device, durationMs: options.watch },
			nodes: moving.map(({ node }) => node),
		});
		return await say(watched);
	} finally {
		nodes.close();
	}
}

/** What those nodes that know the thing say of it. Throws NothingToExplain when none does. */
async function onEach<Node>(
	nodes: readonly Node[],
	ask: (node: Node) => Promise<Explanation>,
): Promise<readonly Explanation[]> {
	const found: Explanation[] = [];
	let missing: NothingToExplain | null = null;
	for (const node of nodes) {
		try {
			found.push(await ask(node));
		} catch (cause) {
			if (!(cause instanceof NothingToExplain)) throw cause;
			missing = cause;
		}
	}
	if (found.length === 0 && missing !== null) throw missing;
	return found;
}

/** What the counters tell something of. */
const NEEDS_TIME: ReadonlySet<Explanation["kind"]> = new Set(["bridge", "tunnel", "nic", "device"]);

type Observer = LocalNodes["observers"][number];

function knownOf({ wiring, directory }: Observer): Known {
	return { view: new WiringView(wiring), directory, window: null, hooked: null, pasted: false };
}

/** The same, with what the device did in some time, by its counters and by hooks on it. */
async function watched(
	observer: Observer,
	known: Known,
	device: string,
	{ watch: ms, attach }: Options,
): Promise<Known> {
	const link = known.view.host.namespace.links.find((one) => one.name === device);
	if (link === undefined) return known;
	const watch = await DeviceWatch.start(observer.wiring, observer.spec.netns, link.ifindex, attach ?? "auto");
	try {
		await sleep(ms);
		return withInterval(known, watch?.interval() ?? null);
	} finally {
		await watch?.close();
	}
}

/** Null: nobody watched. */
function withInterval(known: Known, interval: DeviceInterval | null): Known {
	if (interval === null) return known;
	const { ifindex, seconds, before, after, hooked } = interval;
	return {
		...known,
		window: {
			seconds: Math.round(seconds * 10) / 10,
			before: new Map([[ifindex, before]]),
			after: new Map([[ifindex, after]]),
		},
		hooked: hooked === null ? null : new Map([[ifindex, hooked]]),
	};
}

function readPaste(path: string): string {
	let text: string;
	try {
		text = readFileSync(path === "-" ? 0 : path, "utf8");
	} catch (cause) {
		throw new CliError(
			`cannot read ${path}: ${(cause as NodeJS.ErrnoException).code ?? cause}`,
			"give a file, or - for stdin",
		);
	}
	if (text.length > LARGEST_PASTE) throw new CliError(`${path} is too long for pasted text`, "8 MiB are the most");
	return text;
}

function collect(path: string, before: readonly string[]): readonly string[] {
	return [...before, path];
}

function note(line: string): void {
	process.stderr.write(`weft: ${sanitize(line)}\n`);
}
