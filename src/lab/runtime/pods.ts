import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { type CniResult, capPathMtu, describe } from "../cni.js";
import { run } from "../command.js";
import { LabError } from "../error.js";
import { type NodePlan, type PodPlan, podNetns } from "../plan.js";
import { Space } from "../space.js";
import type { LabPod } from "../state.js";
import { cgroupOf } from "./cgroups.js";
import { containerdSocket } from "./containerd.js";
import { type ContainerConfig, Cri, type SandboxConfig } from "./cri.js";
import { IMAGE } from "./image.js";

/**
 * Makes a pod as the kubelet does: a sandbox and one container, over CRI. Its namespace, which containerd made, also gets
 * the name the lab would have given it. `lab` is the lab's name.
 */
export async function runPod(lab: string, node: NodePlan, pod: PodPlan): Promise<LabPod> {
	const cri = await Cri.connect(containerdSocket(node));
	try {
		const config = sandboxConfig(lab, node, pod, randomUUID());
		await mkdir(config.logDirectory, { recursive: true });
		const { podSandboxId } = await cri.call("RunPodSandbox", { config });
		const { pid, result } = await inspect(cri, node, podSandboxId);
		const netns = podNetns(lab, pod.namespace, pod.name);
		await run(["ip", "netns", "attach", netns, String(pid)]);
		await capPathMtu(new Space(config.hostname, netns), result);
		const container = containerConfig(pod, config.metadata.uid);
		await mkdir(`${config.logDirectory}/${container.metadata.name}`, { recursive: true });
		const { containerId } = await cri.call("CreateContainer", {
			podSandboxId,
			config: container,
			sandboxConfig: config,
		});
		await cri.call("StartContainer", { containerId });
		return await describe(pod, { id: podSandboxId, uid: config.metadata.uid, netns }, node, result);
	} finally {
		cri.close();
	}
}

/** Deletes a pod as the kubelet does; its containers are ended at once. */
export async function removePod(node: NodePlan, pod: LabPod): Promise<void> {
	const cri = await Cri.connect(containerdSocket(node));
	try {
		await cri.call("StopPodSandbox", { podSandboxId: pod.sandbox });
		await cri.call("RemovePodSandbox", { podSandboxId: pod.sandbox });
	} finally {
		cri.close();
	}
	await run(["ip", "netns", "delete", pod.netns]);
}

/** containerd's own view of a sandbox: the pause process, and what the CNI plugins answered. */
async function inspect(cri: Cri, node: NodePlan, podSandboxId: string): Promise<{ pid: number; result: CniResult }> {
	const { info } = await cri.call("PodSandboxStatus", { podSandboxId, verbose: true });
	const { pid } = JSON.parse(info["info"] ?? "{}") as { pid?: number };
	if (pid === undefined) throw new LabError("CRI PodSandboxStatus", `${podSandboxId} has no process`);
	const cache = await readFile(`${node.root}/var/lib/cni/results/cbr0-${podSandboxId}-eth0`, "utf8");
	return { pid, result: (JSON.parse(cache) as { result: CniResult }).result };
}

function sandboxConfig(lab: string, node: NodePlan, pod: PodPlan, uid: string): SandboxConfig {
	const { namespace, name } = pod;
	return {
		metadata: { name, uid, namespace, attempt: 0 },
		hostname: name,
		logDirectory: `${node.root}/var/log/pods/${namespace}_${name}_${uid}`,
		portMappings: pod.hostPorts.map(({ protocol, containerPort, hostPort }) => ({
			protocol: protocol === "tcp" ? 0 : 1,
			containerPort,
			hostPort,
		})),
		labels: podLabels(pod, uid),
		linux: { cgroupParent: `/${cgroupOf(lab)}/${node.name}/kubepods/besteffort/pod${uid}` },
	};
}

/** Its process ends on SIGTERM at once: the shell is not the first process to ignore it. */
function containerConfig(pod: PodPlan, uid: string): ContainerConfig {
	return {
		metadata: { name: "main", attempt: 0 },
		image: { image: IMAGE },
		command: ["/bin/sleep", "2147483647"],
		labels: { ...podLabels(pod, uid), "io.kubernetes.container.name": "main" },
		logPath: "main/0.log",
	};
}

/** As the kubelet labels sandboxes and containers. */
function podLabels(pod: PodPlan, uid: string): Record<string, string> {
	return {
		"io.kubernetes.pod.name": pod.name,
		"io.kubernetes.pod.namespace": pod.namespace,
		"io.kubernetes.pod.uid": uid,
	};
}
