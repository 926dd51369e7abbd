import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { bounded } from "./claim.js";
import { type Portals, parseIptablesSave } from "./kube-proxy.js";
import { parseNftRuleset } from "./kube-proxy-nft.js";

const run = promisify(execFile);

/** Commands that print the NAT rules of the namespace they run in; which of them exist depends on the machine. */
const SOURCES: readonly { readonly command: readonly string[]; readonly parse: (text: string) => Portals }[] = [
	{ command: ["iptables-save", "-t", "nat"], parse: parseIptablesSave },
	{ command: ["ip6tables-save", "-t", "nat"], parse: parseIptablesSave },
	{ command: ["nft", "-j", "list", "ruleset"], parse: parseNftRuleset },
];

/** A cluster with thousands of services prints tens of MB. */
const MOST_OUTPUT = 128 * 1024 * 1024;
const PATIENCE_MS = 5000;

/** Reads the NAT rules of a node's namespace (null: our own). Only reads; a command that is not there is left out. */
export async function readPortals(netns: string | null): Promise<{ portals: Portals; warnings: readonly string[] }> {
	const warnings: string[] = [];
	const results = await Promise.all(
		SOURCES.map(async ({ command, parse }) => {
			try {
				return parse(await output(netns, command));
			} catch (cause) {
				const { code, stderr } = cause as { code?: unknown; stderr?: string };
				const missing = code === "ENOENT" || code === 127 || /No such file|not found/.test(stderr ?? "");
				if (!missing) warnings.push(`${command.join(" ")}: ${reason(cause)}`);
				return null;
			}
		}),
	);
	if (results.every((result) => result === null) && warnings.length === 0) {
		warnings.push("no iptables-save and no nft here: names of services are not known; install iptables");
	}
	const found = results.filter((result) => result !== null);
	const services = new Map(found.flatMap((one) => one.services).map((s) => [`${s.ip} ${s.port} ${s.protocol}`, s]));
	return {
		portals: { services: [...services.values()], hostPorts: found.flatMap((one) => one.hostPorts) },
		warnings: bounded(warnings),
	};
}

async function output(netns: string | null, command: readonly string[]): Promise<string> {
	const [program = "", ...rest] = netns === null ? command : ["nsenter", `--net=${netns}`, ...command];
	const { stdout } = await run(program, rest, { maxBuffer: MOST_OUTPUT, timeout: PATIENCE_MS, encoding: "utf8" });
	return stdout;
}

function reason(cause: unknown): string {
	const { stderr, message } = cause as { stderr?: string; message?: string };
	return (stderr?.trim().split("\n")[0] || message || String(cause)).slice(0, 200);
}
