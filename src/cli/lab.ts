import { Command, InvalidArgumentError, Option } from "commander";
import { agentAddress, type LabAgentsOptions } from "../lab/agents.js";
import { exitStatus } from "../lab/command.js";
import { LabError } from "../lab/error.js";
import { Lab } from "../lab/lab.js";
import { DEFAULT_LAB, type RuntimeName } from "../lab/plan.js";
import { type LabStatus, labStatus } from "../lab/status.js";
import { shared } from "./options.js";
import { stopOnSignals } from "./signals.js";

/** `weft lab`: a flannel cluster on this machine. Failures leave as LabError. */
export function define(command: Command): Command {
	command
		.description("A flannel cluster on this machine, out of network namespaces.")
		.enablePositionalOptions()
		.addHelpText("after", examples);
	defineUp(command.command("up"));
	defineDown(command.command("down"));
	defineStatus(command.command("status"));
	defineExec(command.command("exec"));
	defineAgents(command.command("agents"));
	return command;
}

/** The command on its own, for a program that has no list of commands. */
export function labCommand(): Command {
	return define(new Command("lab"));
}

const examples = `
Examples:
  sudo weft lab up                                     two nodes, four pods, services
  sudo weft lab exec default/client -- ping -c 3 10.244.2.2
  sudo weft lab exec default/client -- ip address
  sudo weft lab exec node:node-a -- bridge fdb show dev flannel.1
  sudo weft trace --lab default/client default/server  both nodes in this process: no agent is needed
  sudo weft lab agents up --clocks apart               an agent in each node, each with a clock of its own
  sudo weft lab down`;

const agentExamples = `
weft trace --lab needs no agents: it hooks all nodes of the lab itself. These are for what is asked through agents: they
run inside the nodes, as on a cluster, until "down" or the lab's end.

Examples:
  sudo weft lab agents up
  sudo weft lab agents status
  sudo weft relay --lab --listen unix:/tmp/relay.sock
  sudo weft trace client server --agent unix:/run/weft/lab/lab/node-a/weft.sock --agent unix:/run/weft/lab/lab/node-b/weft.sock`;

function defineUp(command: Command): void {
	named(command)
		.description("Build it: nodes, pods and services; real VXLAN, real CNI plugins, IPv4 and IPv6.")
		.addOption(new Option("--nodes <n>", "node-a, node-b…").default(2).argParser(whole))
		.addOption(new Option("--pods <n>", "pods per node beyond the named ones").default(0).argParser(whole))
		.addOption(
			new Option("--runtime <name>", "what runs the pods: none (namespaces and CNI plugins alone) or containerd")
				.choices(["none", "containerd"])
				.default("none"),
		)
		.option("--docker", "a Docker daemon on node-a, with the image busybox")
		.option("--no-servers", "start no servers behind the services")
		.action(async (options: UpOptions) => {
			const started = performance.now();
			const stop = stopOnSignals();
			const lab = await Lab.up({ ...options, progress: note, signal: stop.signal }).finally(stop.dispose);
			note(`up in ${((performance.now() - started) / 1000).toFixed(1)} s`);
			const flag = lab.name === DEFAULT_LAB ? "" : ` --name ${lab.name}`;
			note(`try: weft lab exec${flag} default/client -- ping -c 1 ${lab.pod("default/server").pod.address.ipv4}`);
		});
}

interface UpOptions {
	readonly name: string;
	readonly nodes: number;
	readonly pods: number;
	readonly runtime: RuntimeName;
	readonly docker?: boolean;
	readonly servers: boolean;
}

function defineDown(command: Command): void {
	named(command)
		.description("Remove it, also one that a crash left half built.")
		.action(async ({ name }: { name: string }) => {
			const { namespaces, processes } = await Lab.down(name);
			note(namespaces === 0 ? "nothing there" : `removed ${namespaces} namespaces, ended ${processes} processes`);
		});
}

function defineStatus(command: Command): void {
	named(command)
		.description("What is there; exit status 0 when it is up and whole.")
		.addOption(shared.output())
		.action(async ({ name, output }: { name: string; output: "text" | "json" }) => {
			const status = await labStatus(name);
			process.stdout.write(output === "json" ? `${JSON.stringify(status)}\n` : describe(status));
			if (status.state !== "up") process.exitCode = 1;
		});
}

function defineExec(command: Command): void {
	named(command)
		.description("Run a command in a pod (namespace/name), a node (node:node-a) or outside the cluster (outside).")
		.argument("<where>", "default/client, node:node-a, outside")
		.argument("<command...>", "after --")
		.passThroughOptions()
		.action(async (where: string, words: string[], { name }: { name: string }) => {
			const lab = await Lab.open(name);
			// What follows the place belongs to the command, the "--" before it too.
			const [first, ...rest] = words;
			process.exitCode = await inForeground(lab, where, first === "--" ? rest : words);
		});
}

function defineAgents(command: Command): void {
	command.description("A weft agent in each node.").addHelpText("after", agentExamples);
	named(command.command("up"))
		.description("Start those that do not run, and wait until they answer.")
		.addOption(
			new Option("--clocks <how>", "shared: this machine's; apart: each node's is off and drifts, as real ones do")
				.choices(["shared", "apart"])
				.default("shared"),
		)
		.addOption(shared.attach())
		.action(async ({ name, ...options }: LabAgentsOptions & { readonly name: string }) => {
			const lab = await Lab.open(name);
			await lab.startAgents(options);
			for (const { node } of lab.nodes) note(`${node.name}  ${agentAddress(name, node.name)}`);
			const asked = lab.nodes.map(({ node }) => `--agent ${agentAddress(name, node.name)}`);
			note(`try: weft trace default/client default/server ${asked.join(" ")}`);
		});
	named(command.command("down"))
		.description("End them.")
		.action(async ({ name }: { name: string }) => {
			const ended = await (await Lab.open(name)).stopAgents();
			note(ended === 0 ? "none runs" : `ended ${ended} agents`);
		});
	named(command.command("status"))
		.description("What each says of itself; exit status 0 when all answer.")
		.addOption(shared.output())
		.action(async ({ name, output }: { name: string; output: "text" | "json" }) => {
			const { tellStatus } = await import("./status.js");
			const addresses = (await Lab.open(name)).nodes.map(({ node }) => agentAddress(name, node.name));
			await tellStatus(addresses, { tls: null, insecure: false }, output);
		});
}

/** Runs a command on this terminal; signals sent to weft reach it, and its exit status is given back. */
function inForeground(lab: Lab, where: string, command: readonly string[]): Promise<number> {
	const child = lab.space(where).spawn(command, { stdio: "inherit" });
	const forward = (signal: NodeJS.Signals) => {
		// A terminal sends Ctrl-C to the whole foreground group: the child has it already.
		if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
	};
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, forward);
	return new Promise((resolve, reject) => {
		child.once("error", (cause) => reject(new LabError(`lab exec ${where}`, cause.message, { cause })));
		child.once("exit", (code, signal) => resolve(exitStatus(code, signal)));
	});
}

function describe(status: LabStatus): string {
	const { name, state, nodes, pods, services, processes, missing } = status;
	const rows = [`lab ${name}: ${state}`];
	for (const node of state === "down" ? [] : nodes) {
		rows.push(`${node.name}  ${node.address.ipv4}  ${node.address.ipv6}  netns ${node.netns}  root ${node.root}`);
		for (const pod of pods.filter((each) => each.node === node.name)) {
			rows.push(
				`  ${pod.namespace}/${pod.name}  ${pod.address.ipv4}  ${pod.address.ipv6}  ${pod.device} (${pod.ifindex})`,
			);
		}
	}
	for (const { name, protocol, clusterIp, port, targetPort, nodePort, backends } of services) {
		const external = nodePort === null ? "" : `, node port ${nodePort}`;
		rows.push(
			`svc:${name}  ${protocol} ${clusterIp.ipv4}:${port} [${clusterIp.ipv6}]:${port} → ${backends.join(", ")}:${targetPort}${external}`,
		);
	}
	for (const { pid, purpose, alive } of processes) rows.push(`process ${pid}  ${purpose}${alive ? "" : "  (ended)"}`);
	if (missing.length > 0) rows.push(`missing: ${missing.join(", ")}`);
	if (state === "broken") rows.push("tidy up with: weft lab down");
	return `${rows.join("\n")}\n`;
}

function named(command: Command): Command {
	return command.option("--name <name>", "which lab: several live side by side", DEFAULT_LAB);
}

function whole(text: string): number {
	if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("give a whole number");
	return Number(text);
}

function note(line: string): void {
	process.stderr.write(`${line}\n`);
}
