import type { AgentStatus } from "../../collector/agent-status.js";
import type { HookId } from "../../packet/hook.js";
import { bigOf, numberOf, word64 } from "../codec.js";
import type { Protection } from "../credentials.js";
import { hookOf } from "../hook-message.js";
import type { AgentStatusMessage } from "../messages.js";
import { stageOf } from "../stage-message.js";
import { lineBaseNow } from "./agent-link.js";
import { Channel } from "./channel.js";
import { ClockEstimate } from "./clock-estimate.js";

export interface StatusAnswer {
	readonly agents: readonly AgentStatus[];
	/** Why it did not answer; null: it did. */
	readonly failure: string | null;
}

const EXCHANGES = 8;

/** Asks the agent, or the relay, at an address, and measures its nodes' clocks. */
export async function askStatus(address: string, protection: Protection): Promise<StatusAnswer> {
	const channel = new Channel(address, protection);
	try {
		const { agents } = await channel.getStatus();
		const told = await Promise.all(
			agents.map(async (agent) => statusOf(agent, address, await clockOf(channel, agent.node))),
		);
		return { agents: told, failure: null };
	} catch (cause) {
		return { agents: [], failure: cause instanceof Error ? cause.message : String(cause) };
	} finally {
		channel.close();
	}
}

async function clockOf(channel: Channel, node: string): Promise<AgentStatus["clock"]> {
	const line = lineBaseNow();
	const now = () => Number(process.hrtime.bigint() - line.monotonicNs);
	const estimate = new ClockEstimate();
	for (let i = 0; i < EXCHANGES; i++) {
		const sentNs = now();
		const clientTimeNs = word64(line.wallNs + BigInt(sentNs));
		const answer = await channel.syncClock({ clientTimeNs, node }).catch(() => null);
		if (answer === null) return null;
		const receivedNs = now();
		const theirsReceivedNs = Number(bigOf(answer.receivedNs) - line.wallNs);
		estimate.add({ sentNs, receivedNs, theirsReceivedNs, theirsSentNs: Number(bigOf(answer.sentNs) - line.wallNs) });
	}
	const reading = estimate.at(now());
	return reading === null
		? null
		: { offsetNs: Math.round(reading.offsetNs), errorNs: Math.max(1, Math.round(reading.errorNs)) };
}

function statusOf(agent: AgentStatusMessage, asked: string, clock: AgentStatus["clock"]): AgentStatus {
	const startedMs = Number(bigOf(agent.startedNs) / 1_000_000n);
	const theirsNowMs = Date.now() + (clock?.offsetNs ?? 0) / 1e6;
	return {
		...{
			type: "agent",
			node: agent.node,
			instance: agent.instance,
			version: agent.version,
			kernel: agent.kernel,
			clock,
		},
		address: agent.address === "" ? asked : `${agent.address} (through ${asked})`,
		attach: agent.attach === "clsact" ? "clsact" : "tcx",
		startedAt: new Date(startedMs).toISOString(),
		uptimeMs: Math.max(0, Math.round(theirsNowMs - startedMs)),
		residentBytes: numberOf(agent.residentBytes),
		hooks: agent.hooks.map((hook) => ({ ...hookOf(hook), id: hook.id as HookId })),
		subscribers: agent.subscribers.map(({ id, method, question, delivered, lost }) => ({
			...{ id, method, question, delivered: numberOf(delivered), lost: numberOf(lost) },
		})),
		ledger: agent.ledger.map(stageOf),
		warnings: agent.warnings,
	};
}
