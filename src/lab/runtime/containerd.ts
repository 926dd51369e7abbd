import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runtimeConflist } from "../cni.js";
import { LabError } from "../error.js";
import type { NodePlan } from "../plan.js";
import type { Space } from "../space.js";
import { type LabProcess, startTicks } from "../state.js";
import { Cri } from "./cri.js";
import { Enclosure } from "./enclosure.js";
import { busyboxImage, IMAGE } from "./image.js";

/** Where a node's containerd listens, seen from the machine. */
export function containerdSocket(node: NodePlan): string {
	return join(node.root, "run/containerd/containerd.sock");
}

/**
 * Starts containerd with its CRI plugin on a node, as a daemon that outlives this process, and gives it the lab's image.
 * Throws LabError with the last words of its log when it does not come up.
 */
export async function startContainerd(
	space: Space,
	node: NodePlan,
	plugins: string,
	signal?: AbortSignal,
): Promise<LabProcess> {
	const config = join(node.root, "etc/containerd/config.toml");
	const log = join(node.root, "var/log/containerd.log");
	await Promise.all(
		["etc/containerd", "var/log", "var/lib/containerd"].map((path) =>
			mkdir(join(node.root, path), { recursive: true }),
		),
	);
	await Promise.all([
		writeFile(config, configuration(node, plugins)),
		writeFile(join(node.root, "etc/cni/net.d/10-flannel.conflist"), JSON.stringify(runtimeConflist(node), null, 2)),
	]);
	const enclosure = await Enclosure.open(space, node);
	const pid = await enclosure.daemon(log, ["containerd", "--config", config]);
	try {
		await answers(node, pid, log, signal);
		await importImage(enclosure, node);
	} finally {
		enclosure.release();
	}
	return { pid, netns: space.netns, purpose: `containerd of ${node.name}` };
}

const START_MS = 15_000;

async function answers(node: NodePlan, pid: number, log: string, signal?: AbortSignal): Promise<void> {
	const deadline = Date.now() + START_MS;
	const cri = await Cri.connect(containerdSocket(node));
	try {
		for (;;) {
			signal?.throwIfAborted();
			const version = await cri.call("Version", {}, 1000).catch(() => null);
			if (version !== null) return;
			const ended = (await startTicks(pid)) === null;
			if (ended || Date.now() > deadline)
				throw new LabError(`containerd of ${node.name}`, `does not answer: ${await lastWords(log)}`);
			await sleep(20);
		}
	} finally {
		cri.close();
	}
}

/** Inside, so that `down` finds it by its namespace if we are killed meanwhile. */
async function importImage(enclosure: Enclosure, node: NodePlan): Promise<void> {
	const archive = join(node.root, "var/lib/containerd/busybox.tar");
	await writeFile(archive, await busyboxImage());
	await enclosure.run("ctr", "--address", containerdSocket(node), "--namespace", "k8s.io", "images", "import", archive);
}

/** What a daemon said last. */
export async function lastWords(log: string): Promise<string> {
	const text = await readFile(log, "utf8").catch(() => "");
	return text.trim().split("\n").slice(-2).join("; ").slice(-300) || "it said nothing";
}

/** What a kubeadm node has, without what does not work inside containers and namespaces (AppArmor, oom_score_adj). */
function configuration(node: NodePlan, plugins: string): string {
	return `version = 2
root = ${JSON.stringify(join(node.root, "var/lib/containerd"))}
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${JSON.stringify(IMAGE)}
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${JSON.stringify(plugins)}
    conf_dir = ${JSON.stringify(join(node.root, "etc/cni/net.d"))}
`;
}
