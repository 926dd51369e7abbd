import { mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run, start } from "../command.js";
import { LabError } from "../error.js";
import type { NodePlan } from "../plan.js";
import type { Space } from "../space.js";
import { provideMountpoint } from "./mountpoints.js";

/**
 * A mount namespace of its own inside a node's network namespace: a daemon started in it finds the node's directories
 * where it has their paths compiled in (/run/containerd, /var/lib/cni, /run/netns), and its mounts are nobody else's.
 * The namespace lives as long as a process in it.
 */
export class Enclosure {
	/** Makes one for a node. Directories that the machine lacks are made to mount over. Throws LabError. */
	static async open(space: Space, node: NodePlan): Promise<Enclosure> {
		const argv = ["unshare", "--mount", "--propagation", "private", "sleep", "infinity"];
		const holder = start(["nsenter", `--net=${space.path}`, ...argv], { stdio: "ignore" });
		const failed = new Promise<never>((_, reject) => {
			holder.once("error", (cause) => reject(new LabError(argv.join(" "), cause.message, { cause })));
			holder.once("exit", (code) => reject(new LabError(argv.join(" "), `exit status ${code}`)));
		});
		failed.catch(() => {});
		const pid = holder.pid ?? 0;
		await Promise.race([failed, becomes(pid, "sleep")]);
		const enclosure = new Enclosure(pid, () => holder.kill("SIGKILL"));
		for (const over of COMPILED_IN) {
			const from = join(node.root, over);
			await mkdir(from, { recursive: true });
			await provideMountpoint(over);
			await enclosure.run("mount", "--bind", from, over);
		}
		return enclosure;
	}

	/** The one that a daemon is in. */
	static of(daemon: number): Enclosure {
		return new Enclosure(daemon, () => {});
	}

	readonly #pid: number;
	/** Ends the process that has kept the namespace open until the daemon was in it. */
	readonly release: () => void;

	private constructor(pid: number, release: () => void) {
		this.#pid = pid;
		this.release = release;
	}

	/** Runs a command inside. Throws LabError unless it exits with 0. */
	run(...command: readonly string[]): Promise<string> {
		return run(this.#argv(command));
	}

	/** Starts a daemon inside that outlives this process; what it says goes to `log`. Gives its pid. */
	async daemon(log: string, command: readonly string[]): Promise<number> {
		const file = await open(log, "a");
		try {
			const child = start(this.#argv(command), { stdio: ["ignore", file.fd, file.fd], detached: true });
			child.unref();
			child.once("error", () => {});
			if (child.pid === undefined) throw new LabError(command.join(" "), "cannot be started");
			return child.pid;
		} finally {
			await file.close();
		}
	}

	#argv(command: readonly string[]): string[] {
		return ["nsenter", `--target=${this.#pid}`, "--mount", "--net", ...command];
	}
}

/** Paths that containerd, its shims, libcni and Docker have compiled in. */
const COMPILED_IN = ["/etc/docker", "/run/containerd", "/run/docker", "/run/netns", "/var/lib/cni"];

/** Waits until nsenter and unshare have become the command they were to start: then the namespaces are there. */
async function becomes(pid: number, name: string): Promise<void> {
	for (;;) {
		const comm = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
		if (comm.trim() === name) return;
		await sleep(2);
	}
}
