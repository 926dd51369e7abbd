import { sanitize } from "../render/sanitize.js";
import type { RemoteNodes } from "../rpc/client/remote-nodes.js";
import { type ProtectionOptions, protectionOf } from "./serving.js";

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
