import { type Command, InvalidArgumentError, Option } from "commander";
import { DEFAULT_LAB } from "../lab/plan.js";

/** Options that several commands share, with one meaning everywhere. Each call makes a fresh one. */
export const shared = {
	namespace: () => new Option("-n, --namespace <name>", "of pods that are named without one").default("default"),
	count: () => new Option("-c, --count <n>", "stop after so many").argParser(parseCount),
	duration: () => new Option("-d, --duration <time>", "stop after 500ms, 10s, 5m, 1h").argParser(parseDuration),
	agent: () =>
		new Option("--agent <addr>", "ask this agent, unix:/path or host:port (repeatable)")
			.argParser(collect)
			.default([] as string[], "the local agent if one answers, else this process")
			.conflicts(["netns", "hostRoot", "attach"]),
	lab: () =>
		new Option("--lab [name]", "all nodes of a lab; name one with --lab=NAME")
			.argParser((name) => name || DEFAULT_LAB)
			.conflicts(["netns", "hostRoot", "agent"]),
	netns: () => new Option("--netns <name>", "be the node that this network namespace is"),
	hostRoot: () => new Option("--host-root <dir>", "where the host's filesystem is mounted"),
	attach: () =>
		new Option("--attach <how>", "which hooks to use (default: tcx where the kernel has it)").choices([
			"tcx",
			"clsact",
		]),
	sample: () =>
		new Option("--sample <1/n>", "one packet in n, the same ones at every hop")
			.argParser(parseSample)
			.default(1, "1/1"),
	all: () => new Option("--all", "a row for every packet, also on a terminal").default(false),
	time: () =>
		new Option("--time <form>", "time of day, or since the first packet")
			.choices(["absolute", "relative"])
			.default("absolute"),
	output: () =>
		new Option("-o, --output <form>", "a table, or one JSON object a line").choices(["text", "json"]).default("text"),
	write: () => new Option("-w, --write <file>", "record the sightings too"),
	anonymize: () => new Option("--anonymize", "replace addresses and names in what -w writes"),
	read: () =>
		new Option("-r, --read <file>", "replay a recording; needs neither root nor addon").conflicts([
			"write",
			"agent",
			"lab",
			"netns",
			"hostRoot",
			"attach",
			"anonymize",
		]),
} as const;

export function addShared(command: Command, names: readonly (keyof typeof shared)[]): Command {
	for (const name of names) command.addOption(shared[name]());
	return command;
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** "10s", "1.5m" → ms, at least 1. */
export function parseDuration(text: string): number {
	const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
	if (digits === undefined) throw new InvalidArgumentError("Say a time with its unit, like 500ms, 10s, 5m or 1h.");
	if (unit === undefined) throw new InvalidArgumentError(`It has no unit: say ${text}s for seconds.`);
	const ms = Math.round(Number(digits) * unitMs[unit as keyof typeof unitMs]);
	// setTimeout() holds 31 bits.
	if (ms < 1 || ms > 2 ** 31 - 1) throw new InvalidArgumentError("It must be between 1ms and 24 days.");
	return ms;
}

/** "100" → 100, at least 1. */
export function parseCount(text: string): number {
	const count = /^\d{1,15}$/.test(text) ? Number(text) : 0;
	if (count < 1) throw new InvalidArgumentError("Say a whole number from 1 up.");
	return count;
}

/** "1/8" → 8. */
export function parseSample(text: string): number {
	const divisor = Number(/^1\/(\d{1,9})$/.exec(text)?.[1] ?? 0);
	if (divisor < 1 || divisor > 2 ** 20) throw new InvalidArgumentError("Say a ratio from 1/1 to 1/1048576, like 1/8.");
	return divisor;
}

function collect(value: string, previous: readonly string[]): string[] {
	if (!/^(unix:\/.+|.+:\d{1,5})$/.test(value)) {
		throw new InvalidArgumentError("Say unix:/path/to/socket or host:port.");
	}
	return [...previous, value];
}
