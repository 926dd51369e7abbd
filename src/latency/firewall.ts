import { contains } from "../wiring/namespace.js";

/** A rule, or a chain's policy, that throws packets away. */
export interface FirewallRule {
	readonly tool: "iptables" | "nftables";
	readonly policy: boolean;
	/** INPUT, FORWARD or OUTPUT, where it stands right there; others may be jumped to from anywhere. */
	readonly chain: string | null;
	/** As the tool prints it. */
	readonly text: string;
	/** A command that takes it away, or shows it. */
	readonly remedy: string | null;
	readonly matches: readonly Match[];
}

/** One thing that a rule compares; what is not understood may hold or not. */
type Match =
	| {
			readonly field: "source" | "destination" | "in" | "out" | "protocol" | "port";
			readonly not: boolean;
			readonly value: string;
	  }
	| { readonly field: "other" };

/** `certain`: all that the rule compares is known of the packet, and fits. */
export interface BlamedRule {
	readonly rule: FirewallRule;
	readonly certain: boolean;
}

/** What rules look at. */
export interface Suspect {
	readonly source: string | null;
	readonly destination: string | null;
	/** tcp, udp, icmp … */
	readonly protocol: string;
	readonly destinationPort: number;
	readonly device: string | null;
	/** Of the filter table: INPUT, FORWARD or OUTPUT. */
	readonly chain: string;
}

/** The rule that threw a packet away, as far as its own words tell: of those that fit, the one that says most of it. */
export function ruleAgainst(suspect: Suspect, rules: readonly FirewallRule[]): BlamedRule | null {
	let best: (BlamedRule & { readonly score: number }) | null = null;
	for (const rule of rules) {
		if (rule.chain !== null && rule.chain !== suspect.chain && BASE.has(rule.chain)) continue;
		const results = rule.matches.map((match) => fits(suspect, match));
		if (results.includes(false)) continue;
		const score = results.filter((result) => result === true).length * 2 - (rule.policy ? 1 : 0);
		if (best === null || score > best.score) best = { rule, score, certain: !results.includes(null) };
	}
	return best;
}

const BASE: ReadonlySet<string> = new Set(["INPUT", "FORWARD", "OUTPUT"]);

function fits(suspect: Suspect, match: Match): boolean | null {
	if (match.field === "other") return null;
	const { field, not, value } = match;
	const held = holds(suspect, field, value);
	return held === null ? null : held !== not;
}

function holds(suspect: Suspect, field: Exclude<Match["field"], "other">, value: string): boolean | null {
	switch (field) {
		case "source":
		case "destination": {
			const address = suspect[field];
			return address === null ? null : contains(value, address);
		}
		case "in":
			return suspect.device === null ? null : suspect.device === value ? true : null;
		case "out":
			return null;
		case "protocol":
			return suspect.protocol === value || (suspect.protocol === "icmpv6" && value === "ipv6-icmp");
		case "port":
			return /^\d+$/.test(value) ? suspect.destinationPort === Number(value) : null;
	}
}

/**
 * What `iptables-save` prints, the filter, raw and mangle tables alike: rules with the target DROP or REJECT in any chain, and
 * policies of DROP. User-defined chains are not followed: a rule in one that nobody jumps to is rare.
 */
export function iptablesDrops(text: string, program: "iptables" | "ip6tables" = "iptables"): readonly FirewallRule[] {
	const found: FirewallRule[] = [];
	let table = "filter";
	for (const line of text.split("\n")) {
		if (line.startsWith("*")) table = line.slice(1).trim();
		const [, chain] = /^:(\S+) DROP/.exec(line) ?? [];
		if (chain !== undefined) {
			const remedy = `${program} -t ${table} -P ${chain} ACCEPT`;
			found.push({ tool: "iptables", policy: true, chain, text: `${chain} (policy DROP)`, remedy, matches: [] });
		} else if (/^-A .* -j (DROP|REJECT\b.*)$/.test(line)) {
			const remedy = `${program} -t ${table} ${line.replace(/^-A/, "-D")}`;
			found.push({
				tool: "iptables",
				policy: false,
				chain: line.split(" ")[1] ?? null,
				text: line,
				remedy,
				matches: iptablesMatches(line),
			});
		}
	}
	return found;
}

const IPTABLES: Readonly<Record<string, Exclude<Match["field"], "other">>> = {
	"-s": "source",
	"-d": "destination",
	"-i": "in",
	"-o": "out",
	"-p": "protocol",
	"--dport": "port",
};

/** Match modules that say nothing beyond the options above. */
const PLAIN: ReadonlySet<string> = new Set(["comment", "tcp", "udp"]);

function iptablesMatches(line: string): readonly Match[] {
	const words = line.split(/\s+/);
	const matches: Match[] = [];
	for (const [at, word] of words.entries()) {
		const field = IPTABLES[word];
		const value = words[at + 1] ?? "";
		if (field !== undefined) matches.push({ field, not: words[at - 1] === "!", value });
		else if (word === "-m" && !PLAIN.has(value)) {
			matches.push({ field: "other" });
		}
	}
	return matches;
}

/** What `nft -a list ruleset` prints: rules that end in drop or reject and policies of drop, in tables that iptables did not make. */
export function nftablesDrops(text: string): readonly FirewallRule[] {
	const found: FirewallRule[] = [];
	let table = "";
	let chain = "";
	let hook: string | null = null;
	for (const raw of text.split("\n")) {
		const line = raw.trim();
		const [, family, name] = /^table (\S+) (\S+) \{/.exec(line) ?? [];
		if (family !== undefined) table = `${family} ${name}`;
		const begun = /^chain (\S+) \{/.exec(line)?.[1];
		if (begun !== undefined) [chain, hook] = [begun, null];
		hook = /^type \S+ hook (\w+)/.exec(line)?.[1]?.toUpperCase() ?? hook;
		if (IPTABLES_TABLES.test(table)) continue;
		if (/^type .* policy drop;/.test(line)) {
			const remedy = `nft chain ${table} ${chain} '{ policy accept; }'`;
			found.push({
				tool: "nftables",
				policy: true,
				chain: hook,
				text: `${table} ${chain} (policy drop)`,
				remedy,
				matches: [],
			});
			continue;
		}
		const [, rule, handle] = /^(.*\b(?:drop|reject\b.*?))(?: comment "[^"]*")? # handle (\d+)$/.exec(line) ?? [];
		if (rule === undefined) continue;
		const remedy = `nft delete rule ${table} ${chain} handle ${handle}`;
		found.push({
			tool: "nftables",
			policy: false,
			chain: hook,
			text: `${table} ${chain}: ${rule}`,
			remedy,
			matches: nftablesMatches(rule),
		});
	}
	return found;
}

/** Those of iptables-nft; iptables-save shows them in their own words. */
const IPTABLES_TABLES = /^ip6? (filter|nat|mangle|raw|security)$/;

function nftablesMatches(rule: string): readonly Match[] {
	const matches: Match[] = [];
	const known =
		/\b(ip6?) (saddr|daddr) (!= )?(\S+)|\b(tcp|udp) dport (!= )?(\S+)|\b(iifname|oifname) (!= )?"([^"]+)"|\b(?:meta l4proto|ip protocol) (!= )?(\w+)/g;
	let rest = rule.replace(/counter packets \d+ bytes \d+/, "");
	for (const found of rule.matchAll(known)) {
		const [text, family, side, notAddress, address, transport, notPort, port] = found;
		const [, , , , , , , , interfaceSide, notInterface, device, notProtocol, protocol] = found;
		rest = rest.replace(text, "");
		if (family !== undefined && side !== undefined && address !== undefined) {
			matches.push({
				field: side === "saddr" ? "source" : "destination",
				not: notAddress !== undefined,
				value: address,
			});
		} else if (transport !== undefined && port !== undefined) {
			matches.push({ field: "protocol", not: false, value: transport });
			matches.push({ field: "port", not: notPort !== undefined, value: port });
		} else if (device !== undefined) {
			matches.push({
				field: interfaceSide === "iifname" ? "in" : "out",
				not: notInterface !== undefined,
				value: device,
			});
		} else if (protocol !== undefined) {
			matches.push({ field: "protocol", not: notProtocol !== undefined, value: protocol });
		}
	}
	if (rest.replace(/\b(drop|reject\b.*)$/, "").trim() !== "") matches.push({ field: "other" });
	return matches;
}
