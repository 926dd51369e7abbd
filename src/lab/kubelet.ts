import { addSandbox, deleteSandbox } from "./cni.js";
import type { NodePlan, PodPlan, RuntimeName } from "./plan.js";
import { startContainerd } from "./runtime/containerd.js";
import { removePod, runPod } from "./runtime/pods.js";
import type { Space } from "./space.js";
import type { LabPod, LabProcess } from "./state.js";

/** Makes pods on nodes, one at a time for each node. */
export interface Kubelet {
	/** Gets a node ready for pods and gives what keeps running there. */
	start(space: Space, node: NodePlan, signal?: AbortSignal): Promise<LabProcess[]>;
	add(node: NodePlan, pod: PodPlan, signal?: AbortSignal): Promise<LabPod>;
	remove(node: NodePlan, pod: LabPod): Promise<void>;
}

/** `plugins` is the directory of the CNI plugins. */
export function kubelet(lab: string, runtime: RuntimeName, plugins: string): Kubelet {
	return runtime === "containerd" ? withContainerd(lab, plugins) : withPluginsAlone(lab, plugins);
}

/** A pod is a namespace that the plugins have plugged in: quick, and nothing runs in it. */
function withPluginsAlone(lab: string, plugins: string): Kubelet {
	return {
		start: async () => [],
		add: (node, pod, signal) => addSandbox(lab, plugins, node, pod, signal),
		remove: (node, pod) => deleteSandbox(plugins, node, pod),
	};
}

/** A pod is a sandbox and a container, as CRI knows them. */
function withContainerd(lab: string, plugins: string): Kubelet {
	return {
		start: async (space, node, signal) => [await startContainerd(space, node, plugins, signal)],
		add: (node, pod) => runPod(lab, node, pod),
		remove: (node, pod) => removePod(node, pod),
	};
}
