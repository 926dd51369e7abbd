import type { ChildProcess, SpawnOptions } from "node:child_process";
import { attempt, type CommandOptions, type Outcome, run, start } from "./command.js";

/** A network namespace one can run commands in. */
export class Space {
	/** What the lab calls it: "node-a", "default/client", "underlay". */
	readonly name: string;
	/** Its `ip netns` name. */
	readonly netns: string;

	constructor(name: string, netns: string) {
		this.name = name;
		this.netns = netns;
	}

	/** Path that opens the namespace. */
	get path(): string {
		return `/run/netns/${this.netns}`;
	}

	/** Runs a command inside and gives its standard output. Throws LabError unless it exits with 0. */
	run(...command: readonly string[]): Promise<string> {
		return run(this.argv(command));
	}

	/** As `run`, with input, environment, a time limit or a signal. */
	runWith(options: CommandOptions, ...command: readonly string[]): Promise<string> {
		return run(this.argv(command), options);
	}

	/** Runs a command inside and reports how it ended, whatever its status. */
	attempt(...command: readonly string[]): Promise<Outcome> {
		return attempt(this.argv(command));
	}

	/** Starts a command inside. The child's pid is the command's own: ip(8) becomes it. */
	spawn(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
		return start(this.argv(command), options);
	}

	/** Runs several ip(8) commands in one process. */
	async ip(commands: readonly string[], signal?: AbortSignal): Promise<void> {
		await run(["ip", "-n", this.netns, "-batch", "-"], { input: `${commands.join("\n")}\n`, signal });
	}

	/** Sets sysctls inside: { "net.ipv4.ip_forward": 1, "net.ipv4.tcp_rmem": "4096 131072 262144" }. */
	async sysctl(values: Readonly<Record<string, number | string>>, signal?: AbortSignal): Promise<void> {
		const settings = Object.entries(values).map(([key, value]) => `${key}=${value}`);
		await run(this.argv(["sysctl", "-qw", ...settings]), { signal });
	}

	private argv(command: readonly string[]): string[] {
		return ["ip", "netns", "exec", this.netns, ...command];
	}
}
