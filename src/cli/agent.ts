import { type Command, InvalidArgumentError, Option } from "commander";
import { nodeOf } from "../collector/node-observer.js";
import type { RpcAddress } from "../rpc/address.js";
import { addShared } from "./options.js";
import { requireTracingRights } from "./privilege.js";
import { addListen, checkListen, listenAddress, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { version } from "./version.js";

const help = `
Serves this node over gRPC (package weft.v1, with health and reflection): weft trace and flows with --agent, a relay, or
any client with the .proto files. Idle, it hooks nothing: hooks and filters are on while somebody asks, and go with the
client. The socket is its owner's alone; TCP takes mutual TLS, whose files may change while it runs.

Examples:
  weft agent                                           on unix:/run/weft/weft.sock
  weft agent --listen 0.0.0.0:7443 --tls-cert agent.pem --tls-key agent.key --tls-ca ca.pem
  weft agent --netns node-b --host-root /srv/node-b --listen unix:/run/weft/node-b.sock
  weft trace client server --agent unix:/run/weft/a.sock --agent unix:/run/weft/b.sock`;

interface Options extends ProtectionOptions {
	readonly listen: RpcAddress | null;
	readonly netns?: string;
	readonly hostRoot?: string;
	readonly attach?: "tcx" | "clsact";
	readonly node?: string;
	readonly clockOffset: bigint;
	readonly clockDrift: number;
}

export function define(command: Command): void {
	addListen(command);
	addShared(command, ["netns", "hostRoot", "attach"]);
	command
		.addOption(new Option("--node <name>", "what the node is called (default: its host name)"))
		.addOption(
			new Option("--clock-offset <ns>", "for tests: a clock that is off").argParser(parseOffset).default(0n).hideHelp(),
		)
		.addOption(
			new Option("--clock-drift <ppm>", "for tests: a clock that runs fast")
				.argParser(parseDrift)
				.default(0)
				.hideHelp(),
		)
		.addHelpText("after", help)
		.action(serve);
}

async function serve(options: Options): Promise<void> {
	const address = listenAddress(options.listen);
	const protection = protectionOf(options);
	checkListen(address, protection);
	requireTracingRights("serving a node");
	const { Agent } = await import("../rpc/agent/agent.js");
	const { RpcServer } = await import("../rpc/server.js");
	const found = nodeOf(options.netns ?? null, options.hostRoot ?? null);
	const stop = stopOnSignals();
	let fail: (cause: Error) => void = () => undefined;
	const failed = new Promise<never>((_, reject) => {
		fail = reject;
	});
	let own: () => Promise<string> = () => Promise.reject(new Error("it does not listen yet"));
	const agent = new Agent({
		spec: { ...found, name: options.node ?? found.name },
		attach: options.attach ?? "auto",
		version: version(),
		clockOffsetNs: options.clockOffset,
		clockDriftPpm: options.clockDrift,
		own: () => own(),
		onFailure: (cause) => fail(cause),
	});
	const server = new RpcServer(agent);
	own = () => server.own();
	try {
		await server.listen(address, protection);
		process.stderr.write(`weft: serving ${agent.node} on ${address.text}, instance ${agent.instance}\n`);
		await Promise.race([aborted(stop.signal), failed]);
	} finally {
		await Promise.all([agent.close(), server.close()]);
		stop.dispose();
	}
}

function aborted(signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) resolve();
		else signal.addEventListener("abort", () => resolve(), { once: true });
	});
}

function parseOffset(text: string): bigint {
	if (!/^-?\d{1,18}$/.test(text)) throw new InvalidArgumentError("Say a whole number of ns.");
	return BigInt(text);
}

function parseDrift(text: string): number {
	const ppm = Number(text);
	if (!(Math.abs(ppm) <= 150)) throw new InvalidArgumentError("Say millionths, at most 150.");
	return ppm;
}
