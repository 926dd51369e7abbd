import { sanitize } from "../render/sanitize.js";
import type { RemoteNodes } from "../rpc/client/remote-nodes.js";
import type { WhichNodes } from "./local-nodes.js";
import { type ProtectionOptions, protectionOf } from "./serving.js";

/** What a question may say about whom to ask. */
export interface WhomToAsk extends WhichNodes {
	readonly agent: readonly string[];
	/** Which hooks: ours, as an agent has its own. */
	readonly attach?: string;
}

/**
 * The agents to ask: those that are named; else this machine's own, if it answers and the question is not about another
 * node of this machine, nor about hooks of its own. None: this process has to see for itself.
 */
export async function agentsToAsk({ agent, lab, netns, hostRoot, attach }: WhomToAsk): Promise<readonly string[]> {
	if (agent.length > 0 || [lab, netns, hostRoot, attach].some((asked) => asked !== undefined)) return agent;
	const { localAgent } = await import("../rpc/client/local-agent.js");
	const local = await localAgent();
	return local === null ? [] : [local];
}

/**
 * The nodes behind the agents and relays that the options name; those that do not answer are told of on stderr.
 * Throws RpcError when none answers, CredentialsError when one may not be called like that.
 */
export async function remoteNodes(
	options: ProtectionOptions & { readonly agent: readonly string[] },
	{ withEvidence }: { readonly withEvidence: boolean },
): Promise<RemoteNodes> {
	const protection = protectionOf(options);
	const { RemoteNodes } = await import("../rpc/client/remote-nodes.js");
	const nodes = await RemoteNodes.open({ addresses: options.agent, protection, withEvidence });
	for (const failure of nodes.failures) process.stderr.write(`weft: ${sanitize(failure)}\n`);
	return nodes;
}
