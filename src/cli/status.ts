import type { Command } from "commander";
import type { AgentStatus } from "../collector/agent-status.js";
import { jsonLine } from "../render/json.js";
import { wantsColour } from "../render/text/colours.js";
import { statusLines } from "../render/text/status.js";
import type { Protection } from "../rpc/credentials.js";
import { CliError } from "./errors.js";
import { addShared } from "./options.js";
import { LineOutput } from "./output.js";
import { addProtection, type ProtectionOptions, protectionOf } from "./serving.js";

const help = `
Agents, or those behind a relay: versions, hooks, whom they serve, clocks, and where events were lost, stage by stage.
Each stage says in = out + lost, in sightings, since the agent began.

Examples:
  weft status                                          the agent of this machine
  weft status --agent unix:/run/weft/a.sock --agent 10.0.0.12:7443 --tls-cert me.pem --tls-key me.key --tls-ca ca.pem
  weft status -o json | jq '{node, hooks: (.hooks | length), lost: [.ledger[].lost]}'`;

interface Options extends ProtectionOptions {
	readonly agent: readonly string[];
	readonly output: "text" | "json";
}

export function define(command: Command): void {
	command.addHelpText("after", help).action(run);
	addShared(command, ["output", "agent"]);
	addProtection(command);
}

async function run(options: Options): Promise<void> {
	const protection = protectionOf(options);
	const { localAgent } = await import("../rpc/client/local-agent.js");
	const local = options.agent.length > 0 ? null : await localAgent();
	const addresses = local === null ? options.agent : [local];
	if (addresses.length === 0) {
		throw new CliError(
			"no agent answers on this machine",
			"start one with weft agent, or name others with --agent ADDR",
		);
	}
	await tellStatus(addresses, protection, options.output);
}

/** Prints what agents, or relays, say of themselves. @throws CliError when one does not answer */
export async function tellStatus(
	addresses: readonly string[],
	protection: Protection,
	form: "text" | "json",
): Promise<void> {
	const { askStatus } = await import("../rpc/client/status.js");
	const answers = await Promise.all(addresses.map((address) => askStatus(address, protection)));
	const agents = answers.flatMap((answer) => answer.agents);
	const output = new LineOutput(process.stdout);
	output.always(form === "json" ? agents.map(jsonLine) : textOf(agents));
	const failures = answers.flatMap(({ failure }) => failure ?? []);
	if (failures.length > 0) throw new CliError(failures.join("; "), null);
}

function textOf(agents: readonly AgentStatus[]): readonly string[] {
	const { stdout } = process;
	return statusLines(agents, {
		colour: wantsColour(process.env, stdout.isTTY === true),
		width: stdout.isTTY ? stdout.columns || 80 : Number.POSITIVE_INFINITY,
	});
}
