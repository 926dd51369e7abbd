import { addSandbox } from "./cni.js";
import { run } from "./command.js";
import { layFlannel, writeNodeFiles } from "./flannel.js";
import type { LabPlan, NodePlan, PodPlan } from "./plan.js";
import { nodeRules, type ResolvedService, serviceRules } from "./rules.js";
import type { Space } from "./space.js";
import type { LabPod } from "./state.js";
import { buildUnderlay, plugIn } from "./underlay.js";

export interface BuildOptions {
	/** Directory of the CNI plugins. */
	readonly plugins: string;
	readonly progress: (line: string) => void;
	/** Ends all commands that are running; also aborted by the first failure. */
	readonly abort: AbortController;
	readonly signal: AbortSignal;
}

/** Builds what is planned, nodes side by side, and gives the pods as they came out. */
export async function build(plan: LabPlan, options: BuildOptions): Promise<LabPod[]> {
	const { progress, signal } = options;
	progress("underlay: a switch for 192.168.66.0/24 and fd00:66::/64");
	const underlay = await buildUnderlay(plan, signal);
	const pods = await Promise.all(plan.nodes.map((node, index) => buildNode(underlay, plan, node, index, options))).then(
		(each) => each.flat(),
	);
	progress(`services: ${plan.services.map((service) => service.name).join(", ")}`);
	await together(
		plan.nodes.map((node) => restoreServices(node, resolve(plan, pods), signal)),
		options,
	);
	return pods;
}

/** Replaces kube-proxy's rules of a node. */
export async function restoreServices(
	node: NodePlan,
	services: readonly ResolvedService[],
	signal?: AbortSignal,
): Promise<void> {
	await restore(node, (family) => serviceRules(services, family), signal);
}

/** Finds the addresses behind the planned services; a backend that does not run is left out. */
export function resolve(plan: Pick<LabPlan, "services">, pods: readonly LabPod[]): ResolvedService[] {
	const byName = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.address]));
	return plan.services.map((service) => ({
		...service,
		endpoints: service.backends.map((name) => byName.get(name)).filter((address) => address !== undefined),
	}));
}

async function buildNode(
	underlay: Space,
	plan: LabPlan,
	node: NodePlan,
	index: number,
	options: BuildOptions,
): Promise<LabPod[]> {
	const { plugins, progress, signal } = options;
	const space = await plugIn(underlay, plan, node, index, signal);
	await together(
		[
			layFlannel(space, plan, node, signal),
			restore(node, (family) => nodeRules(node, family), signal),
			writeNodeFiles(node),
		],
		options,
	);
	progress(`${node.name}: ${node.address.ipv4}, ${node.address.ipv6}; pods ${node.subnet.ipv4}, ${node.subnet.ipv6}`);
	const pods: LabPod[] = [];
	// One after the other: the bridge plugin makes cni0 for the first, and addresses come in order.
	for (const pod of plan.pods.filter((each: PodPlan) => each.node === node.name)) {
		pods.push(await addSandbox(plan.name, plugins, node, pod, signal));
	}
	progress(
		`${node.name}: ${pods.map((pod) => `${pod.namespace}/${pod.name} ${pod.address.ipv4}`).join(", ") || "no pods"}`,
	);
	return pods;
}

/**
 * As Promise.all, but nothing runs on behind a failure: the first one stops the others, and then it is thrown. What is
 * torn down afterwards is not built on meanwhile.
 */
async function together<T>(tasks: readonly Promise<T>[], { abort }: BuildOptions): Promise<T[]> {
	try {
		return await Promise.all(tasks);
	} catch (error) {
		abort.abort();
		await Promise.allSettled(tasks);
		throw error;
	}
}

async function restore(
	node: NodePlan,
	rules: (family: "ipv4" | "ipv6") => string,
	signal?: AbortSignal,
): Promise<void> {
	const inside = ["ip", "netns", "exec", node.netns];
	await run([...inside, "iptables-restore", "--noflush"], { input: rules("ipv4"), signal });
	await run([...inside, "ip6tables-restore", "--noflush"], { input: rules("ipv6"), signal });
}
