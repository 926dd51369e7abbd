import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built `weft`. */
export const weft = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Ended {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs weft to its end. `shell`: a pipeline in which "$@" is weft's command line. */
export async function run(args: readonly string[], shell?: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
	const node = [process.execPath, weft, ...args];
	const command = shell === undefined ? node : ["bash", "-c", shell, "bash", ...node];
	const child = spawn(command[0] as string, command.slice(1), { env: { ...process.env, NO_COLOR: "1", ...env } });
	const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
		const chunks: string[] = [];
		stream.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
		return chunks;
	});
	const status = await new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
	return { status, stdout: stdout?.join("") ?? "", stderr: stderr?.join("") ?? "" };
}
