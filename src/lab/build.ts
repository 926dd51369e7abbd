import { run } from "./command.js";
import { layFlannel, writeNodeFiles } from "./flannel.js";
import type { Kubelet } from "./kubelet.js";
import type { LabPlan, NodePlan, PodPlan } from "./plan.js";
import { nodeRules, type ResolvedService, serviceRules } from "./rules.js";
import { startDocker } from "./runtime/docker.js";
import type { Space } from "./space.js";
import type { LabPod, LabProcess } from "./state.js";
import { buildUnderlay, plugIn } from "./underlay.js";

export interface BuildOptions {
	readonly kubelet: Kubelet;
	readonly progress: (line: string) => void;
	/** Ends all commands that are running; also aborted by the first failure. */
	readonly abort: AbortController;
	readonly signal: AbortSignal;
}

/** What came of a plan. */
export interface Built {
	readonly pods: readonly LabPod[];
	/** Daemons that keep running. */
	readonly processes: readonly LabProcess[];
}

/** Builds what is planned, nodes side by side. */
export async function build(plan: LabPlan, options: BuildOptions): Promise<Built> {
	const { progress, signal } = options;
	progress("underlay: a switch for 192.168.66.0/24 and fd00:66::/64");
	const underlay = await buildUnderlay(plan, signal);
	const built = await together(
		plan.nodes.map((node, index) => buildNode(underlay, plan, node, index, options)),
		options,
	);
	const pods = built.flatMap((node) => node.pods);
	progress(`services: ${plan.services.map((service) => service.name).join(", ")}`);
	await together(
		plan.nodes.map((node) => restoreServices(node, resolve(plan, pods), signal)),
		options,
	);
	return { pods, processes: built.flatMap((node) => node.processes) };
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
): Promise<Built> {
	const { kubelet, progress, signal } = options;
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
	const processes = await kubelet.start(space, node, signal);
	for (const { purpose } of processes) progress(`${node.name}: ${purpose}`);
	const pods: LabPod[] = [];
	// One after the other: the bridge plugin makes cni0 for the first, and addresses come in order.
	for (const pod of plan.pods.filter((each: PodPlan) => each.node === node.name)) {
		pods.push(await kubelet.add(node, pod, signal));
	}
	progress(
		`${node.name}: ${pods.map((pod) => `${pod.namespace}/${pod.name} ${pod.address.ipv4}`).join(", ") || "no pods"}`,
	);
	if (plan.docker && index === 0) {
		const daemon = await startDocker(plan.name, space, node, processes[0]?.pid ?? null, signal);
		progress(`${node.name}: ${daemon.purpose}`);
		processes.push(daemon);
	}
	return { pods, processes };
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
