import type { Device, NodeTopology, PodAttachment, RemoteNode } from "../../identity/topology.js";
import { type Colours, coloursFor } from "./colours.js";
import { Line } from "./line.js";

export interface TreeOptions {
	readonly colour: boolean;
	/** Columns; Infinity: never cut. */
	readonly width: number;
}

/** A line of the tree and what hangs on it. */
interface Branch {
	readonly line: Line;
	readonly below: readonly Branch[];
}

/** A node as a tree: bridges with their ports and pods, tunnels with the nodes behind them, NICs, the rest. */
export function topologyLines(topology: NodeTopology, options: TreeOptions): readonly string[] {
	const colours = coloursFor(options.colour);
	const head = new Line().add(topology.node, "bold");
	if (topology.address !== null) head.add(`  ${topology.address}`);
	if (topology.subnets.length > 0) head.add(`  pods ${topology.subnets.join(", ")}`, "dim");
	return [
		head.toString(colours, options.width),
		...branchLines(branches(topology), "", colours, options.width),
		...topology.warnings.map((warning) => new Line().add(`! ${warning}`, "yellow").toString(colours, options.width)),
	];
}

function branchLines(branches: readonly Branch[], indent: string, colours: Colours, width: number): readonly string[] {
	return branches.flatMap(({ line, below }, i) => {
		const last = i === branches.length - 1;
		const drawn = colours.dim(indent + (last ? "└─ " : "├─ ")) + line.toString(colours, width - indent.length - 3);
		return [drawn, ...branchLines(below, `${indent}${last ? "   " : "│  "}`, colours, width)];
	});
}

function branches(topology: NodeTopology): readonly Branch[] {
	const { devices } = topology;
	const of = (role: Device["role"]) => devices.filter((device) => device.role === role && device.master === null);
	const unexplained = devices.filter((device) => device.unexplained !== null);
	const tunnels = of("tunnel");
	return [
		...of("bridge").map((bridge) => bridgeBranch(topology, bridge)),
		...of("pod").map((veth) => portBranch(topology, veth)),
		...tunnels.map((tunnel) => tunnelBranch(topology, tunnel)),
		...of("nic").map((nic) => ({
			line: deviceLine(nic, "NIC"),
			below: tunnels.length === 0 ? topology.remotes.map((node) => remoteBranch(node, () => true)) : [],
		})),
		...of("host")
			.filter((device) => device.name !== "lo")
			.map((device) => ({ line: deviceLine(device, device.kind ?? "device"), below: [] })),
		...onHost(topology),
		...(unexplained.length === 0
			? []
			: [
					{
						line: new Line().add("links that nobody explains", "yellow"),
						below: unexplained.map(({ name, ifindex, unexplained }) => ({
							line: new Line().add(name, "bold").add(` (${ifindex})  ${unexplained}`),
							below: [],
						})),
					},
				]),
	];
}

/** Pods without a network of their own. */
function onHost({ pods }: NodeTopology): readonly Branch[] {
	const those = pods.filter((pod) => pod.ifindex === null);
	if (those.length === 0) return [];
	const below = those.map((pod) => ({
		line: new Line().add(`${pod.namespace}/${pod.name}`, "bold").add(`  ${evidence(pod)}`, "dim"),
		below: [],
	}));
	return [{ line: new Line().add("pods in the node's own network"), below }];
}

function bridgeBranch(topology: NodeTopology, bridge: Device): Branch {
	const ports = topology.devices.filter((device) => device.master === bridge.name);
	const line = deviceLine(bridge, "bridge");
	if (ports.length === 0) line.add(", nothing plugged in", "yellow");
	else line.add(`, ${ports.length} ${ports.length === 1 ? "port" : "ports"}`);
	return { line, below: ports.map((port) => portBranch(topology, port)) };
}

function portBranch(topology: NodeTopology, port: Device): Branch {
	const pod = topology.pods.find((one) => one.ifindex === port.ifindex);
	const line = new Line().add(port.name, port.up ? "reset" : "red").add(` (${port.ifindex})`, "dim");
	if (port.peer !== null)
		line.add(port.peer.device === null ? ` ↔ ?@${port.peer.ifindex}` : ` ↔ ${port.peer.device}`, "dim");
	if (pod === undefined)
		return { line: line.add(port.peer === null ? "" : "  whose is not known", "yellow"), below: [] };
	line
		.add("  ")
		.add(`${pod.namespace}/${pod.name}`, "bold")
		.add(`  ${pod.addresses.join("  ")}`);
	line.add(`  ${evidence(pod)}`, pod.conflicts.length === 0 ? "dim" : "yellow");
	if (port.peer?.path != null) line.add(`  netns ${namespaceName(port.peer.path)}`, "dim");
	return {
		line,
		below: [
			...pod.containers.map(({ name, id, image, running }) => ({
				line: new Line()
					.add(`container ${name}`)
					.add(`  ${id.slice(0, 12)}${image === null ? "" : `  ${image}`}${running ? "" : "  (ended)"}`, "dim"),
				below: [],
			})),
			...pod.conflicts.map((conflict) => ({ line: new Line().add(`! ${conflict}`, "yellow"), below: [] })),
		],
	};
}

/** As ip-netns(8) calls it, else the process that is in it. */
function namespaceName(path: string): string {
	const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
	return pid === undefined ? (path.split("/").at(-1) ?? path) : `of process ${pid}`;
}

function evidence({ sources, conflicts }: PodAttachment): string {
	if (conflicts.length > 0) return `${sources.join(", ")} disagree`;
	return sources.length > 1 ? `${sources.join(", ")} agree` : sources.join(", ");
}

function tunnelBranch(topology: NodeTopology, device: Device): Branch {
	const { tunnel } = device;
	const line = deviceLine(
		device,
		tunnel === null ? (device.kind ?? "tunnel") : `VXLAN ${tunnel.vni}, UDP port ${tunnel.port}`,
	);
	if (tunnel?.underlay != null) line.add(` over ${tunnel.underlay}`);
	const ipv6 = tunnel?.local?.includes(":") === true;
	const here = (subnet: string) => tunnel === null || subnet.includes(":") === ipv6;
	const remotes = topology.remotes.filter((node) => node.subnets.some(here));
	return { line, below: remotes.map((node) => remoteBranch(node, here)) };
}

function remoteBranch(node: RemoteNode, here: (subnet: string) => boolean): Branch {
	const line = new Line().add(node.name, "bold");
	if (node.address !== null && node.address !== node.name) line.add(`  ${node.address}`);
	line.add(`  pods ${node.subnets.filter(here).join(", ")}`);
	// It is that of the tunnel by which the node is known first.
	const first = node.subnets[0];
	if (node.vtepMac !== null && first !== undefined && here(first)) line.add(`  VTEP ${node.vtepMac}`, "dim");
	return { line, below: [] };
}

function deviceLine(device: Device, what: string): Line {
	const addresses = device.addresses.filter((address) => !/^fe[89ab]/i.test(address));
	const line = new Line()
		.add(device.name, device.up ? "cyan" : "red")
		.add(` (${device.ifindex})`, "dim")
		.add(`  ${what}`);
	if (addresses.length > 0) line.add(`, ${addresses.join(", ")}`);
	line.add(`, MTU ${device.mtu}`);
	if (!device.up) line.add(", down", "red");
	return line;
}
