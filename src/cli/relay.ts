import { type Command, InvalidArgumentError, Option } from "commander";
import { DEFAULT_LAB } from "../lab/plan.js";
import { sanitize } from "../render/sanitize.js";
import { parseAddress, type RpcAddress } from "../rpc/address.js";
import { UsageError } from "./errors.js";
import { addListen, checkListen, listenAddress, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";

const help = `
Serves many nodes as one, with the same API as an agent. It needs neither root nor the addon; it connects again to agents
that went, and says in its streams which nodes came and went. The TLS files are for both sides: as a server to clients,
and as a client to agents.

Examples:
  weft relay --listen unix:/tmp/relay.sock --agent unix:/run/weft/a.sock --agent unix:/run/weft/b.sock
  weft relay --listen 0.0.0.0:7444 --agent dns:weft-agents.kube-system.svc:7443 --tls-cert r.pem --tls-key r.key --tls-ca ca.pem
  weft relay --listen unix:/tmp/relay.sock --lab
  weft trace client server --agent unix:/tmp/relay.sock`;

interface Options extends ProtectionOptions {
	readonly listen: RpcAddress | null;
	readonly agent: readonly string[];
	readonly lab?: string;
}

export function define(command: Command): void {
	addListen(command)
		.addOption(
			new Option(
				"--agent <addr>",
				"an agent: unix:/path, host:port, or dns:name:port for all addresses of a name (repeatable)",
			)
				.argParser(collect)
				.default([] as string[], "none"),
		)
		.addOption(
			new Option("--lab [name]", "the agents of a lab's nodes: weft lab agents up").argParser(
				(name) => name || DEFAULT_LAB,
			),
		)
		.addHelpText("after", help)
		.action(serve);
}

async function serve(options: Options): Promise<void> {
	const address = listenAddress(options.listen);
	const protection = protectionOf(options);
	checkListen(address, protection);
	const agents = [...options.agent, ...(options.lab === undefined ? [] : await labAgents(options.lab))];
	if (agents.length === 0)
		throw new UsageError("a relay needs agents", "name them with --agent ADDR, or a lab with --lab");
	const { Relay } = await import("../rpc/relay/relay.js");
	const { AgentList } = await import("../rpc/relay/agent-list.js");
	const { RpcServer } = await import("../rpc/server.js");
	const stop = stopOnSignals();
	const log = (line: string) => process.stderr.write(`weft: ${sanitize(line)}\n`);
	const relay = new Relay({ protection, log });
	const server = new RpcServer(relay);
	const list = new AgentList(agents, (addresses) => relay.follow(addresses), log);
	try {
		await list.begin();
		await server.listen(address, protection);
		log(`serving as a relay on ${address.text}, instance ${relay.instance}`);
		await new Promise<void>((resolve) => {
			if (stop.signal.aborted) resolve();
			else stop.signal.addEventListener("abort", () => resolve(), { once: true });
		});
	} finally {
		list.close();
		relay.close();
		await server.close();
		stop.dispose();
	}
}

/** Those of `weft lab agents up`. */
async function labAgents(lab: string): Promise<readonly string[]> {
	const { agentAddress } = await import("../lab/agents.js");
	const { labNodes } = await import("../lab/nodes.js");
	const nodes = await labNodes(lab);
	return nodes.map(({ name }) => agentAddress(lab, name));
}

function collect(value: string, previous: readonly string[]): string[] {
	const ok = value.startsWith("dns:") ? /^dns:[^:]+:\d{1,5}$/.test(value) : parseAddress(value) !== null;
	if (!ok) throw new InvalidArgumentError("Say unix:/path/to/socket, host:port or dns:name:port.");
	return [...previous, value];
}
