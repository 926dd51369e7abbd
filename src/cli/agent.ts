import { release } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { AlwaysKind } from "../collector/always.js";
import { nodeOf } from "../collector/node-observer.js";
import type { LedgerStage } from "../collector/report.js";
import type { NodeSpec } from "../collector/request.js";
import { parseAddress, type RpcAddress } from "../rpc/address.js";
import { UsageError } from "./errors.js";
import type { MetricsAddress } from "./metrics-server.js";
import { addShared } from "./options.js";
import { requireTracingRights } from "./privilege.js";
import { addListen, checkListen, listenAddress, type ProtectionOptions, protectionOf } from "./serving.js";
import { stopOnSignals } from "./signals.js";
import { version } from "./version.js";

const help = `
Serves this node over gRPC (package weft.v1, with health and reflection): weft trace and flows with --agent, a relay, or
any client with the .proto files. Idle, it hooks nothing: hooks and filters are on while somebody asks, and go with the
client. The socket is its owner's alone; TCP takes mutual TLS, whose files may change while it runs. --metrics serves
Prometheus, over plain HTTP; what is measured all the time costs all the time, and is named by --always. With --attach
clsact all that it serves is hooked by filters of clsact qdiscs; killed, a watchdog removes them.

Examples:
  weft agent                                           on unix:/run/weft/weft.sock
  weft agent --listen 0.0.0.0:7443 --tls-cert agent.pem --tls-key agent.key --tls-ca ca.pem
  weft agent --metrics 127.0.0.1:9469 --always latency,drops
  weft agent --attach clsact                           hooks as kernels before 6.6 have them
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
	readonly metrics?: MetricsAddress;
	readonly always: ReadonlySet<AlwaysKind>;
}

export function define(command: Command): void {
	addListen(command);
	addShared(command, ["netns", "hostRoot", "attach"]);
	command
		.addOption(new Option("--node <name>", "what the node is called (default: its host name)"))
		.addOption(new Option("--metrics <addr>", "serve Prometheus on host:port, /metrics").argParser(parseMetrics))
		.addOption(
			new Option("--always <what>", "measure all the time, for --metrics: latency, drops or both")
				.argParser(parseAlways)
				.default(new Set<AlwaysKind>(), "nothing"),
		)
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
	if (options.always.size > 0 && options.metrics === undefined) {
		throw new UsageError("--always measures for --metrics", "say where: --metrics 127.0.0.1:9469");
	}
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
	let exporter: Exporter | null = null;
	try {
		await server.listen(address, protection);
		if (options.metrics !== undefined) {
			exporter = await exportMetrics(options.metrics, options, found, () => agent.ledger());
		}
		process.stderr.write(`weft: serving ${agent.node} on ${address.text}, instance ${agent.instance}\n`);
		await Promise.race([aborted(stop.signal), failed]);
	} finally {
		await Promise.all([agent.close(), server.close(), exporter?.close()]);
		stop.dispose();
	}
}

interface Exporter {
	close(): Promise<void>;
}

async function exportMetrics(
	address: MetricsAddress,
	{ always: kinds, attach, node }: Options,
	found: NodeSpec,
	ledger: () => Promise<readonly LedgerStage[]>,
): Promise<Exporter> {
	const { Always } = await import("../collector/always.js");
	const { serveMetrics } = await import("./metrics-server.js");
	const always = await Always.start(kinds, { ...found, name: node ?? found.name }, attach ?? "auto");
	const build = { version: version(), kernel: release() };
	const server = await serveMetrics(address, async () => ({
		...{ build, latency: always.latency(), drops: always.drops(), dropAccount: always.account() },
		ledger: await ledger(),
	}));
	process.stderr.write(`weft: metrics on http://${address.text}/metrics\n`);
	return {
		close: async () => {
			server.closeAllConnections();
			server.close();
			await always.close();
		},
	};
}

function parseMetrics(text: string): MetricsAddress {
	const address = parseAddress(text);
	if (address?.kind !== "tcp") throw new InvalidArgumentError("Say host:port.");
	return address;
}

function parseAlways(text: string): ReadonlySet<AlwaysKind> {
	const kinds = text.split(",").map((kind) => kind.trim());
	if (!kinds.every((kind): kind is AlwaysKind => kind === "latency" || kind === "drops")) {
		throw new InvalidArgumentError("Say latency, drops or latency,drops.");
	}
	return new Set(kinds);
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
