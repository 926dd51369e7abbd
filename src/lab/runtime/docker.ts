import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { attempt, run } from "../command.js";
import { LabError } from "../error.js";
import { type NodePlan, prefix } from "../plan.js";
import { Space } from "../space.js";
import { type LabProcess, startTicks } from "../state.js";
import { cgroupOf } from "./cgroups.js";
import { lastWords } from "./containerd.js";
import { Enclosure } from "./enclosure.js";
import { busyboxRootfs } from "./image.js";

/** Where a node's Docker daemon listens, seen from the machine. */
export function dockerSocket(node: NodePlan): string {
	return join(node.root, "run/docker.sock");
}

/**
 * Starts a Docker daemon on a node, as one that outlives this process: it takes the docker0 that is there and writes its
 * own rules. The image `busybox` is there for its containers. `containerd` is the pid of the node's containerd, if it has
 * one. Throws LabError when it does not come up.
 */
export async function startDocker(
	lab: string,
	space: Space,
	node: NodePlan,
	containerd: number | null,
	signal?: AbortSignal,
): Promise<LabProcess> {
	const log = join(node.root, "var/log/docker.log");
	await Promise.all(
		["etc/docker", "run/docker", "var/log", "var/lib/docker"].map((path) =>
			mkdir(join(node.root, path), { recursive: true }),
		),
	);
	await writeFile(join(node.root, "etc/docker/daemon.json"), "{}\n");
	// Docker finds a node's containerd and uses it; then both must see the same mounts.
	const enclosure = containerd === null ? await Enclosure.open(space, node) : Enclosure.of(containerd);
	const pid = await enclosure.daemon(log, [
		"dockerd",
		`--host=unix://${dockerSocket(node)}`,
		`--data-root=${join(node.root, "var/lib/docker")}`,
		"--exec-root=/run/docker",
		`--pidfile=${join(node.root, "run/docker.pid")}`,
		`--config-file=${join(node.root, "etc/docker/daemon.json")}`,
		"--exec-opt=native.cgroupdriver=cgroupfs",
		`--cgroup-parent=/${cgroupOf(lab)}/docker`,
	]);
	try {
		await answers(node, pid, log, signal);
	} finally {
		enclosure.release();
	}
	await run(docker(node, "import", "--change", "ENV PATH=/bin", "-", "busybox"), { input: await busyboxRootfs() });
	return { pid, netns: space.netns, purpose: `dockerd of ${node.name}` };
}

/**
 * A command line of docker(1) that talks to a node's daemon, from within the node: so `down` finds it by its namespace if
 * we are killed meanwhile.
 */
export function docker(node: NodePlan, ...words: readonly string[]): string[] {
	return ["ip", "netns", "exec", node.netns, "docker", `--host=unix://${dockerSocket(node)}`, ...words];
}

/** Runs a container on docker0, from `busybox`, and gives its namespace, named like the lab's others. */
export async function runContainer(
	lab: string,
	node: NodePlan,
	name: string,
	options: readonly string[],
): Promise<Space> {
	const container = `docker:${name}@${node.name}`;
	await run(docker(node, "run", "--detach", "--name", name, ...options, "busybox", "/bin/sleep", "2147483647"));
	const pid = (await run(docker(node, "inspect", "--format", "{{.State.Pid}}", name))).trim();
	const netns = containerNetns(lab, node, name);
	await run(["ip", "netns", "attach", netns, pid]);
	return new Space(container, netns);
}

/** Removes a container. */
export async function removeContainer(lab: string, node: NodePlan, name: string): Promise<void> {
	await run(docker(node, "rm", "--force", name));
	await run(["ip", "netns", "delete", containerNetns(lab, node, name)]);
}

const START_MS = 20_000;

function containerNetns(lab: string, node: NodePlan, name: string): string {
	return `${prefix(lab)}docker-${node.name}-${name}`;
}

async function answers(node: NodePlan, pid: number, log: string, signal?: AbortSignal): Promise<void> {
	const deadline = Date.now() + START_MS;
	while ((await attempt(docker(node, "version"))).status !== 0) {
		signal?.throwIfAborted();
		const ended = (await startTicks(pid)) === null;
		if (ended || Date.now() > deadline)
			throw new LabError(`dockerd of ${node.name}`, `does not answer: ${await lastWords(log)}`);
		await sleep(50);
	}
}
