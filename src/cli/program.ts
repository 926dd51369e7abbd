import { Command } from "commander";
import { version } from "./version.js";

/**
 * A command is one file of this folder that exports `define`: it gets its Command, already named and summed up, and
 * adds arguments, options, help by example and an action. The file is imported only when its command is asked for, so
 * that `weft --help` is quick and works where neither the addon nor root is at hand.
 */
export interface CommandModule {
	readonly define: (command: Command) => void;
}

interface Listed {
	readonly name: string;
	/** As the list of commands shows it. */
	readonly usage: string;
	readonly summary: string;
	readonly load: () => Promise<CommandModule>;
}

const commands: readonly Listed[] = [
	{
		name: "trace",
		usage: "trace [FROM] [TO] [FILTER]",
		summary: "packets between two ends, live, hop by hop",
		load: () => import("./trace.js"),
	},
	{
		name: "latency",
		usage: "latency [--bridge cni0]",
		summary: "how long each bridge, tunnel and hop holds packets",
		load: () => import("./latency.js"),
	},
	{
		name: "drops",
		usage: "drops [FILTER]",
		summary: "packets the kernel threw away, where, why, whose",
		load: () => import("./drops.js"),
	},
	{
		name: "topology",
		usage: "topology",
		summary: "nodes, bridges, veths, namespaces, pods, with evidence",
		load: () => import("./topology.js"),
	},
	{
		name: "explain",
		usage: "explain THING",
		summary: "a device, an address or a pod in plain words",
		load: () => import("./explain.js"),
	},
	{
		name: "flows",
		usage: "flows [FILTER]",
		summary: "connections, live or once, rebuilt from the paths of their packets",
		load: () => import("./flows.js"),
	},
	{
		name: "status",
		usage: "status",
		summary: "agents, hooks, subscribers, clocks, and where events were lost",
		load: () => import("./status.js"),
	},
	{
		name: "agent",
		usage: "agent --listen ADDR",
		summary: "serve one node over gRPC",
		load: () => import("./agent.js"),
	},
	{
		name: "relay",
		usage: "relay --listen ADDR",
		summary: "serve many nodes as one",
		load: () => import("./relay.js"),
	},
	{
		name: "cleanup",
		usage: "cleanup",
		summary: "remove whatever a killed weft may have left",
		load: () => import("./cleanup.js"),
	},
	{
		name: "lab",
		usage: "lab up|down|status|exec|agents",
		summary: "a flannel cluster on this machine",
		load: () => import("./lab.js"),
	},
	{
		name: "demo",
		usage: "demo",
		summary: "lab, traffic, a live trace, a fault found and repaired",
		load: () => import("./demo.js"),
	},
];

const examples = `
Examples:
  sudo weft trace default/client default/server        both directions, every hop, live
  sudo weft trace default/client svc:default/web       through a service: NAT is marked where it happens
  sudo weft trace any default/web-* 'tcp[tcpflags] & tcp-syn != 0'
  sudo weft trace client server -c 10 -o json | jq .   one object a line
  weft help trace                                      more of them, for every command

An END is namespace/pod, pod, a glob (default/web-*), an address or prefix, svc:namespace/name, node:NAME or any.
A FILTER is tcpdump's language. Exit status: 0 fine, 1 failed, 2 bad usage.`;

/** Runs one command line, without "node" and "weft". Rejects with what failureOf() understands. */
export async function run(argv: readonly string[]): Promise<void> {
	const args = bareLab(argv);
	const asked = args[0] === "help" ? args[1] : args[0];
	const program = await describe(asked);
	await program.parseAsync(args, { from: "user" });
}

async function describe(asked: string | undefined): Promise<Command> {
	const program = new Command("weft")
		.description("Traces packets between Kubernetes pods, live, hop by hop, across the nodes of a flannel cluster.")
		.usage("COMMAND [ARGUMENTS] [OPTIONS]")
		.version(version(), "-V, --version", "print the version")
		.helpOption("-h, --help", "print help; weft COMMAND --help teaches that command")
		.helpCommand("help [COMMAND]", "teach one command")
		.addHelpText("after", examples)
		.showSuggestionAfterError(true)
		.exitOverride()
		// The one line on stderr is written by main: see failureOf().
		.configureOutput({ outputError: () => {} })
		.configureHelp({ subcommandTerm: (command) => termOf(command.name()) });
	for (const listed of commands) {
		const command = program.command(listed.name).summary(listed.summary);
		command.description(`${listed.summary[0]?.toUpperCase()}${listed.summary.slice(1)}.`);
		if (listed.name === asked) (await listed.load()).define(command);
	}
	return program;
}

function termOf(name: string): string {
	return commands.find((listed) => listed.name === name)?.usage ?? name;
}

/**
 * `--lab` may have a value, and then commander would take the FROM in `weft trace --lab client server` for it. So a
 * bare --lab gets an empty value here, and a name must be written --lab=NAME.
 */
function bareLab(argv: readonly string[]): string[] {
	const end = argv.indexOf("--");
	return argv.map((word, at) => (word === "--lab" && (end === -1 || at < end) ? "--lab=" : word));
}
