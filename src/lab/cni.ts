import { randomBytes, randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { run } from "./command.js";
import { LabError } from "./error.js";
import { CONFLIST, MTU } from "./flannel.js";
import { type NodePlan, POD_NETWORK, type PodPlan, podNetns } from "./plan.js";
import { Space } from "./space.js";
import type { LabPod } from "./state.js";
import { NO_WAITING } from "./underlay.js";

/**
 * Makes a pod's sandbox as kubelet and containerd do with flannel: a namespace, then the CNI plugins loopback, bridge
 * (which asks host-local for addresses) and portmap, run in the node's namespace; then the result cache that libcni keeps.
 * `lab` is the lab's name, `plugins` the plugins' directory.
 */
export async function addSandbox(
	lab: string,
	plugins: string,
	node: NodePlan,
	pod: PodPlan,
	signal?: AbortSignal,
): Promise<LabPod> {
	const space = new Space(`${pod.namespace}/${pod.name}`, podNetns(lab, pod.namespace, pod.name));
	const sandbox: Sandbox = {
		id: randomBytes(32).toString("hex"),
		uid: randomUUID(),
		netns: space.netns,
		namespace: pod.namespace,
		name: pod.name,
	};
	await run(["ip", "netns", "add", space.netns], { signal });
	await space.sysctl(NO_WAITING, signal);
	const call = (command: "ADD", config: object, ifname: string) =>
		callPlugin({ plugins, node, sandbox, command, config, ifname, signal });

	await call("ADD", { cniVersion: CONFLIST.cniVersion, name: "cni-loopback", type: "loopback" }, "lo");
	const delegate = delegateConfig(node);
	const bridged = await call("ADD", delegate, "eth0");
	const result = await call("ADD", portmapConfig(pod, bridged), "eth0");

	await capPathMtu(space, result, signal);
	await writeCache(node, pod, sandbox, delegate, result);
	return describe(pod, sandbox, node, result, signal);
}

/** Undoes `addSandbox`: plugins with DEL in reverse order, cache files, namespace. */
export async function deleteSandbox(plugins: string, node: NodePlan, pod: LabPod): Promise<void> {
	const sandbox: Sandbox = {
		id: pod.sandbox,
		uid: pod.uid,
		netns: pod.netns,
		namespace: pod.namespace,
		name: pod.name,
	};
	for (const config of [portmapConfig(pod, null), delegateConfig(node)]) {
		await callPlugin({ plugins, node, sandbox, command: "DEL", config, ifname: "eth0" });
	}
	await Promise.all([cachePath(node, sandbox), delegatePath(node, sandbox)].map((path) => rm(path, { force: true })));
	await run(["ip", "netns", "delete", pod.netns]);
}

interface Sandbox {
	readonly id: string;
	readonly uid: string;
	readonly netns: string;
	readonly namespace: string;
	readonly name: string;
}

/** What the plugins answer, CNI 0.3.1. */
export interface CniResult {
	readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
	readonly ips: readonly { readonly version: string; readonly address: string; readonly gateway?: string }[];
}

interface PluginCall {
	readonly plugins: string;
	readonly node: NodePlan;
	readonly sandbox: Sandbox;
	readonly command: "ADD" | "DEL";
	readonly config: object;
	readonly ifname: string;
	readonly signal?: AbortSignal | undefined;
}

async function callPlugin(call: PluginCall): Promise<CniResult> {
	const type = (call.config as { type: string }).type;
	const answer = await run(["ip", "netns", "exec", call.node.netns, `${call.plugins}/${type}`], {
		input: JSON.stringify(call.config),
		env: {
			CNI_COMMAND: call.command,
			CNI_CONTAINERID: call.sandbox.id,
			CNI_NETNS: `/run/netns/${call.sandbox.netns}`,
			CNI_IFNAME: call.ifname,
			CNI_PATH: call.plugins,
			CNI_ARGS: cniArgs(call.sandbox)
				.map(([key, value]) => `${key}=${value}`)
				.join(";"),
		},
		signal: call.signal,
	});
	return (call.command === "DEL" ? {} : JSON.parse(answer)) as CniResult;
}

/**
 * The network's configuration for a runtime that calls the plugins itself. Debian has no flannel plugin: what that one
 * would delegate is written out.
 */
export function runtimeConflist(node: NodePlan): object {
	const { cniVersion: _, name: __, ...bridge } = delegateConfig(node);
	return { ...CONFLIST, plugins: [bridge, CONFLIST.plugins[1]] };
}

/** What the flannel plugin hands to the bridge plugin. */
function delegateConfig(node: NodePlan): Record<string, unknown> {
	return {
		cniVersion: CONFLIST.cniVersion,
		name: CONFLIST.name,
		type: "bridge",
		hairpinMode: true,
		ipMasq: false,
		isDefaultGateway: true,
		isGateway: true,
		mtu: MTU.ipv4,
		ipam: {
			type: "host-local",
			dataDir: `${node.root}/var/lib/cni/networks`,
			ranges: [[{ subnet: node.subnet.ipv4 }], [{ subnet: node.subnet.ipv6 }]],
			routes: [{ dst: POD_NETWORK.ipv4 }, { dst: POD_NETWORK.ipv6 }],
		},
	};
}

function portmapConfig(pod: Pick<PodPlan, "hostPorts">, prevResult: CniResult | null): object {
	return {
		cniVersion: CONFLIST.cniVersion,
		name: CONFLIST.name,
		type: "portmap",
		capabilities: { portMappings: true },
		runtimeConfig: { portMappings: pod.hostPorts },
		...(prevResult === null ? {} : { prevResult }),
	};
}

/**
 * The tunnel over IPv6 carries 20 bytes less than the pods' MTU says. Told beforehand, pods need no Packet Too Big to
 * find out, and a healthy lab drops nothing.
 */
export async function capPathMtu(space: Space, result: CniResult, signal?: AbortSignal): Promise<void> {
	const gateway = result.ips.find((ip) => ip.address.includes(":"))?.gateway;
	if (gateway === undefined) return;
	await space.ip(
		["default", POD_NETWORK.ipv6].map((to) => `route change ${to} via ${gateway} dev eth0 mtu ${MTU.ipv6}`),
		signal,
	);
}

/** libcni's result cache (libcni/api.go, kind cniCacheV1), and the flannel plugin's note of what it delegated. */
async function writeCache(
	node: NodePlan,
	pod: PodPlan,
	sandbox: Sandbox,
	delegate: object,
	result: CniResult,
): Promise<void> {
	const cached = {
		kind: "cniCacheV1",
		containerId: sandbox.id,
		config: Buffer.from(JSON.stringify(CONFLIST)).toString("base64"),
		ifName: "eth0",
		networkName: CONFLIST.name,
		cniArgs: cniArgs(sandbox),
		capabilityArgs: pod.hostPorts.length === 0 ? {} : { portMappings: pod.hostPorts },
		result,
	};
	await Promise.all([
		writeFile(cachePath(node, sandbox), JSON.stringify(cached), { mode: 0o600 }),
		writeFile(delegatePath(node, sandbox), JSON.stringify(delegate), { mode: 0o600 }),
	]);
}

function cachePath(node: NodePlan, sandbox: Sandbox): string {
	return `${node.root}/var/lib/cni/results/${CONFLIST.name}-${sandbox.id}-eth0`;
}

function delegatePath(node: NodePlan, sandbox: Sandbox): string {
	return `${node.root}/var/lib/cni/flannel/${sandbox.id}`;
}

function cniArgs(sandbox: Sandbox): (readonly [string, string])[] {
	return [
		["IgnoreUnknown", "1"],
		["K8S_POD_NAMESPACE", sandbox.namespace],
		["K8S_POD_NAME", sandbox.name],
		["K8S_POD_INFRA_CONTAINER_ID", sandbox.id],
		["K8S_POD_UID", sandbox.uid],
	];
}

/** What is known of a pod once the plugins have answered. */
export async function describe(
	pod: PodPlan,
	sandbox: Pick<Sandbox, "id" | "uid" | "netns">,
	node: NodePlan,
	result: CniResult,
	signal?: AbortSignal,
): Promise<LabPod> {
	const host = result.interfaces.find((each) => each.name.startsWith("veth"));
	const inside = result.interfaces.find((each) => each.sandbox !== undefined && each.sandbox !== "");
	const address = (colon: boolean) =>
		result.ips.find((ip) => ip.address.includes(":") === colon)?.address.split("/")[0];
	const ipv4 = address(false);
	const ipv6 = address(true);
	if (host === undefined || inside === undefined || ipv4 === undefined || ipv6 === undefined) {
		throw new LabError("CNI bridge plugin", `its answer lacks a veth or an address: ${JSON.stringify(result)}`);
	}
	const index = await run(["ip", "netns", "exec", node.netns, "cat", `/sys/class/net/${host.name}/ifindex`], {
		signal,
	});
	return {
		namespace: pod.namespace,
		name: pod.name,
		node: pod.node,
		uid: sandbox.uid,
		sandbox: sandbox.id,
		netns: sandbox.netns,
		address: { ipv4, ipv6 },
		device: host.name,
		ifindex: Number(index),
		mac: inside.mac,
		hostPorts: pod.hostPorts,
	};
}
