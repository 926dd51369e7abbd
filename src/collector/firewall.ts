import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { addon } from "../kernel/addon.js";
import { type FirewallRule, iptablesDrops, nftablesDrops } from "../latency/firewall.js";

const run = promisify(execFile);

type Source = readonly [command: readonly string[], parse: (text: string) => readonly FirewallRule[]];

const SOURCES: readonly Source[] = [
	[["iptables-save"], (text) => iptablesDrops(text)],
	[["ip6tables-save"], (text) => iptablesDrops(text, "ip6tables")],
	[["nft", "-a", "list", "ruleset"], nftablesDrops],
];

/** Rules are read only when one of them has dropped something, and this takes at most so large a share of the time. */
const SHARE = 1 / 4;
const MOST_WAIT_MS = 8000;
const PATIENCE_MS = 5000;
const MOST_OUTPUT = 128 << 20;
/** A listing fails when somebody changes rules meanwhile. */
const ATTEMPTS = 3;
/** Of a shell, and of nsenter. */
const NOT_FOUND = 127;

/** The rules of network namespaces that throw packets away. */
export class Firewalls {
	readonly #known = new Map<string, Known>();

	/**
	 * As of after a drop, for which it may have to wait a little. Null where there are so many rules that it would wait for
	 * long: those of before may blame one that is gone.
	 * @param netns path of the namespace; null: our own
	 * @param dropNs CLOCK_MONOTONIC of the drop
	 */
	async rules(netns: string | null, dropNs: bigint): Promise<readonly FirewallRule[] | null> {
		const key = netns ?? "";
		const known = this.#known.get(key);
		if (known !== undefined) {
			const waitMs = Number(known.againNs - addon().clocks().monotonicNs) / 1e6;
			if (known.begunNs >= dropNs) return await known.rules;
			if (waitMs > MOST_WAIT_MS) return null;
			if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
		}
		const nowNs = addon().clocks().monotonicNs;
		const fresh: Known = { begunNs: nowNs, againNs: nowNs, rules: read(netns) };
		this.#known.set(key, fresh);
		const rules = await fresh.rules;
		const endNs = addon().clocks().monotonicNs;
		fresh.againNs = endNs + BigInt(Math.round(Number(endNs - nowNs) / SHARE));
		return rules;
	}
}

interface Known {
	readonly begunNs: bigint;
	/** Not to be read again before. */
	againNs: bigint;
	readonly rules: Promise<readonly FirewallRule[]>;
}

/** What cannot be asked has no rules: neither tool need be there. */
async function read(netns: string | null): Promise<readonly FirewallRule[]> {
	const found = await Promise.all(
		SOURCES.map(async ([command, parse]) => {
			const [program = "", ...rest] = netns === null ? command : ["nsenter", `--net=${netns}`, ...command];
			const options = { maxBuffer: MOST_OUTPUT, timeout: PATIENCE_MS, encoding: "utf8" } as const;
			for (let attempt = 1; ; attempt++) {
				try {
					return parse((await run(program, rest, options)).stdout);
				} catch (cause) {
					if (attempt === ATTEMPTS || isMissing(cause)) return [];
				}
			}
		}),
	);
	return found.flat();
}

function isMissing(cause: unknown): boolean {
	const code = cause instanceof Error && "code" in cause ? cause.code : null;
	return code === "ENOENT" || code === NOT_FOUND;
}
