import { execFile } from "node:child_process";
import { bounded } from "./claim.js";
import { type Portals, parseIptablesSave } from "./kube-proxy.js";
import { parseNftRuleset } from "./kube-proxy-nft.js";

/** Commands that print the NAT rules of the namespace they run in; which of them exist depends on the machine. */
const SOURCES: readonly { readonly command: readonly string[]; readonly parse: (text: string) => Portals }[] = [
	{ command: ["iptables-save", "-t", "nat"], parse: parseIptablesSave },
	{ command: ["ip6tables-save", "-t", "nat"], parse: parseIptablesSave },
	{ command: ["nft", "-j", "list", "ruleset"], parse: parseNftRuleset },
];

/** A cluster with thousands of services prints tens of MB. */
const MOST_OUTPUT = 128 * 1024 * 1024;
const PATIENCE_MS = 5000;
/** Ends a command's output, and stands around its exit status: ASCII's record separator, which no rule holds. */
const SEPARATOR = "\x1e";

/** Tables of iptables-legacy, whose changes have neither events nor a generation; the files are absent without it. */
const LEGACY = "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null";

export interface RulesReading {
	readonly portals: Portals;
	readonly warnings: readonly string[];
	/** There are rules of iptables-legacy. */
	readonly legacy: boolean;
}

/** Reads the NAT rules of a node's namespace (null: our own). Only reads; a command that is not there is left out. */
export async function readPortals(netns: string | null): Promise<RulesReading> {
	const warnings: string[] = [];
	const found: Portals[] = [];
	const outcomes = await runAll(netns);
	const legacy = (outcomes[SOURCES.length]?.text.trim() ?? "") !== "";
	for (const [index, { command, parse }] of SOURCES.entries()) {
		const { status, text, complaint } = outcomes[index] as Outcome;
		if (status === "0") found.push(parse(text));
		else if (status !== NOT_FOUND) warnings.push(`${command.join(" ")}: ${complaint}`);
		// Where one did not come to its end, the others were not even begun.
		if (status === "") break;
	}
	if (found.length === 0 && warnings.length === 0) {
		warnings.push("no iptables-save and no nft here: names of services are not known; install iptables");
	}
	const services = new Map(found.flatMap((one) => one.services).map((s) => [`${s.ip} ${s.port} ${s.protocol}`, s]));
	return {
		portals: { services: [...services.values()], hostPorts: found.flatMap((one) => one.hostPorts) },
		warnings: bounded(warnings),
		legacy,
	};
}

/** What the shell says of a command that it does not find (POSIX, 2.8.2). */
const NOT_FOUND = "127";

interface Outcome {
	/** As the shell tells it; empty: it did not come to its end. */
	readonly status: string;
	readonly text: string;
	readonly complaint: string;
}

/** All commands in one child: to begin one from here costs more than these few take. */
function runAll(netns: string | null): Promise<readonly Outcome[]> {
	const commands = [...SOURCES.map(({ command }) => command.join(" ")), LEGACY];
	const script = commands.map((command) => `${command}; printf '\\036%d\\036' $?; printf '\\036' >&2`);
	const shell = ["sh", "-c", script.join("; ")];
	const [program = "", ...rest] = netns === null ? shell : ["nsenter", `--net=${netns}`, ...shell];
	const options = { maxBuffer: MOST_OUTPUT, timeout: PATIENCE_MS, encoding: "utf8" } as const;
	return new Promise((resolve) => {
		execFile(program, rest, options, (failure, output, errors) => {
			const texts = output.split(SEPARATOR);
			const complaints = errors.split(SEPARATOR);
			const outcomes = commands.map((_, index) => ({
				text: texts[index * 2] ?? "",
				status: texts[index * 2 + 1] ?? "",
				complaint:
					firstLine(complaints[index]) || (failure?.killed ? "no answer" : firstLine(failure?.message)) || "failed",
			}));
			resolve(outcomes);
		});
	});
}

function firstLine(text = ""): string {
	return (text.trim().split("\n")[0] ?? "").slice(0, 200);
}
