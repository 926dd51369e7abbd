import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { LabError } from "./error.js";

export interface CommandOptions {
	/** Written to the command's standard input, which is empty otherwise. */
	readonly input?: string | Buffer | undefined;
	/** Added to the environment. */
	readonly env?: Readonly<Record<string, string>> | undefined;
	/** Ends the command (SIGKILL) when it is aborted. */
	readonly signal?: AbortSignal | undefined;
	/** Milliseconds until the command is ended; none by default. */
	readonly timeoutMs?: number | undefined;
}

export interface Outcome {
	/** Exit status; 128 + signal where a signal ended it. */
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs a command without a shell and gives its standard output. Throws LabError unless it exits with 0. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
	const outcome = await attempt(argv, options);
	if (outcome.status === 0) return outcome.stdout;
	const words = (outcome.stderr.trim() || outcome.stdout.trim()).replaceAll(/\s*\n\s*/g, "; ").slice(0, 400);
	throw new LabError(argv.join(" "), words || `exit status ${outcome.status}`, {
		stderr: outcome.stderr,
		remedy: remedyFor(words),
	});
}

/** Runs a command and reports how it ended. Throws LabError only when it cannot be started or was aborted. */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
	return new Promise((resolve, reject) => {
		const child = start(argv, { stdio: "pipe", signal: options.signal, env: { ...process.env, ...options.env } });
		const stdout: Buffer[] = [];
		const stderr: Buffer[] = [];
		child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
		child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
		const timer =
			options.timeoutMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
		child.once("error", (cause) => {
			clearTimeout(timer);
			reject(failedToStart(argv, cause));
		});
		child.once("close", (code, signal) => {
			clearTimeout(timer);
			resolve({
				status: exitStatus(code, signal),
				stdout: Buffer.concat(stdout).toString(),
				stderr: Buffer.concat(stderr).toString(),
			});
		});
		// A command that exits without reading its input closes the pipe: its exit status tells, not EPIPE.
		child.stdin?.on("error", () => {});
		child.stdin?.end(options.input ?? "");
	});
}

/** Starts a command without a shell. */
export function start(argv: readonly string[], options: SpawnOptions): ChildProcess {
	const [file, ...rest] = argv;
	if (file === undefined) throw new LabError("run", "no command given");
	return spawn(file, rest, { killSignal: "SIGKILL", ...options });
}

/** The shell's convention: 128 + signal number. */
export function exitStatus(code: number | null, signal: NodeJS.Signals | null): number {
	if (code !== null) return code;
	return 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0));
}

const SIGNAL_NUMBERS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
	SIGHUP: 1,
	SIGINT: 2,
	SIGQUIT: 3,
	SIGABRT: 6,
	SIGKILL: 9,
	SIGSEGV: 11,
	SIGPIPE: 13,
	SIGALRM: 14,
	SIGTERM: 15,
};

function failedToStart(argv: readonly string[], cause: Error): LabError {
	const operation = argv.join(" ");
	if (cause.name === "AbortError") return new LabError(operation, "interrupted", { cause });
	if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
		return new LabError(operation, `${argv[0]} is not installed`, { remedy: "make setup installs it", cause });
	}
	return new LabError(operation, cause.message, { cause });
}

/** What is usually behind an answer of ip(8), iptables(8) or a CNI plugin. */
function remedyFor(words: string): string | null {
	if (/unknown device type|operation not supported/i.test(words)) {
		return "this kernel lacks the device: try modprobe vxlan bridge veth, or install linux-modules-extra";
	}
	if (/operation not permitted|permission denied/i.test(words)) return "run as root, outside restricted containers";
	if (/couldn't load match|couldn't load target|extension .* not supported|no chain\/target/i.test(words)) {
		return "this kernel lacks an iptables extension: try modprobe nft_compat xt_comment xt_statistic xt_MASQUERADE";
	}
	return null;
}
