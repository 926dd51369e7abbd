import type { KernelDrop } from "../kernel/drops.js";
import { isConsumed } from "../latency/consumed.js";
import { chainOf, type Diagnosis, diagnose } from "../latency/diagnosis.js";
import { type BlamedRule, ruleAgainst } from "../latency/firewall.js";
import type { DropHop } from "../latency/last-hop.js";
import type { DropNode } from "./drop-node.js";
import { Firewalls } from "./firewall.js";

/** What a dropped packet was last seen at, and why it was dropped. */
export interface Judged extends Diagnosis {
	readonly hop: DropHop | null;
}

/** Looks at drops with the tables of their node, and with its firewall's rules where those are to blame. */
export class DropJudge {
	readonly #firewalls = new Firewalls();
	readonly #copies = new Copies();

	/** As of the tables and rules now, for which it may wait a little. Null: nothing was lost. */
	async judge(drop: KernelDrop, node: DropNode): Promise<Judged | null> {
		if (isConsumed(drop) || drop.reason !== "NETFILTER_DROP") return this.judgeNow(drop, node);
		return this.#weigh(drop, node, await this.#rule(drop, node, node.hopOf(drop)));
	}

	/** Without the firewall's rules, which take their time. */
	judgeNow(drop: KernelDrop, node: DropNode): Judged | null {
		return isConsumed(drop) ? null : this.#weigh(drop, node, null);
	}

	#weigh(drop: KernelDrop, node: DropNode, rule: BlamedRule | null): Judged | null {
		const hop = node.hopOf(drop);
		const found = diagnose(drop, { view: node.view, hop, due: node.due(drop, hop), rule });
		if (found === null || (drop.reason === "OTHERHOST" && this.#copies.isAnother(drop))) return null;
		return { ...found, hop };
	}

	async #rule(drop: KernelDrop, node: DropNode, hop: DropHop | null): Promise<BlamedRule | null> {
		const { source, destination, destinationPort } = drop;
		const rules = await this.#firewalls.rules(node.pathOf(drop.netns), drop.timeNs);
		if (rules === null) return null;
		const suspect = { source, destination, destinationPort, protocol: protocolName(drop.protocol) };
		return ruleAgainst({ ...suspect, device: hop?.device ?? null, chain: chainOf(drop, node.view) }, rules);
	}
}

/** A bridge floods one packet to many ports, and each pod throws its copy away: one loss. */
class Copies {
	static readonly #MOST = 4096;
	readonly #seen = new Set<string>();

	isAnother({ source, destination, ipId, sequence, length }: KernelDrop): boolean {
		const key = [source, destination, ipId, sequence, length].join(" ");
		if (this.#seen.has(key)) return true;
		if (this.#seen.size >= Copies.#MOST) this.#seen.clear();
		this.#seen.add(key);
		return false;
	}
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };

/** As a Flow calls it. */
export function protocolName(protocol: number): string {
	return PROTOCOLS[protocol] ?? String(protocol);
}
