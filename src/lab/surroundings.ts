import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { attempt } from "./command.js";
import { LabError } from "./error.js";
import type { RuntimeName } from "./plan.js";
import type { Space } from "./space.js";

/** What the lab takes from the machine it runs on. */
export interface Surroundings {
	/** Directory of the CNI plugins. */
	readonly plugins: string;
}

/** What a lab needs beyond namespaces. */
export interface Needs {
	readonly runtime: RuntimeName;
	readonly docker?: boolean;
}

/** Looks whether a lab can be built here, before anything is built. Throws LabError with the remedy. */
export async function checkSurroundings(needs: Needs): Promise<Surroundings> {
	if (process.getuid?.() !== 0) {
		throw new LabError("lab", "namespaces need root", { remedy: "run it with sudo" });
	}
	for (const [command, debian] of commandsFor(needs)) {
		if (!(await onPath(command))) {
			throw new LabError("lab", `${command} is not installed`, {
				remedy: `install it: make setup, or apt-get install ${debian}`,
			});
		}
	}
	const plugins = await findPlugins();
	await provideBridgeNetfilter();
	return { plugins };
}

/** Tries the kinds of device the lab needs in a namespace of its own. Throws LabError naming the one that is missing. */
export async function probeDevices(space: Space): Promise<void> {
	await space.ip([
		"link add probe0 type bridge",
		"link add probe1 type veth peer name probe2",
		"link add probe3 type vxlan id 1 local 127.0.0.1 dstport 8472",
		"link del probe0",
		"link del probe1",
		"link del probe3",
	]);
}

/** A program and the package of Debian that has it. */
type Command = readonly [program: string, debian: string];

function commandsFor({ runtime, docker }: Needs): readonly Command[] {
	return [...COMMANDS, ...(runtime === "containerd" ? CONTAINERD : []), ...(docker ? DOCKER : [])];
}

const CONTAINERD: readonly Command[] = [
	["nsenter", "util-linux"],
	["unshare", "util-linux"],
	["containerd", "containerd"],
	["ctr", "containerd"],
	["runc", "runc"],
	["busybox", "busybox-static"],
];

const DOCKER: readonly Command[] = [
	["nsenter", "util-linux"],
	["unshare", "util-linux"],
	["dockerd", "docker.io"],
	["docker", "docker.io"],
	["busybox", "busybox-static"],
];

const COMMANDS: readonly Command[] = [
	["ip", "iproute2"],
	["bridge", "iproute2"],
	["sysctl", "procps"],
	["iptables", "iptables"],
	["iptables-restore", "iptables"],
	["ip6tables-restore", "iptables"],
];

const PLUGINS = ["bridge", "host-local", "portmap", "loopback"];

/** Debian's place, then the one that upstream's archives use. */
const PLUGIN_DIRECTORIES = ["/usr/lib/cni", "/opt/cni/bin"];

async function findPlugins(): Promise<string> {
	for (const directory of PLUGIN_DIRECTORIES) {
		const present = await Promise.all(PLUGINS.map((plugin) => executable(join(directory, plugin))));
		if (present.every(Boolean)) return directory;
	}
	throw new LabError("lab", `no CNI plugins (${PLUGINS.join(", ")}) in ${PLUGIN_DIRECTORIES.join(" or ")}`, {
		remedy: "install them: make setup, or apt-get install containernetworking-plugins",
	});
}

/**
 * Makes bridged packets visible to iptables inside the lab's namespaces, as on every Kubernetes node.
 * Loading br_netfilter switches that on for the host's own bridges too (brnf_init_net in
 * net/bridge/br_netfilter_hooks.c): switched off there again, the host's bridges behave as before.
 */
async function provideBridgeNetfilter(): Promise<void> {
	if (await readable(`${BRIDGE_SYSCTLS}/bridge-nf-call-iptables`)) return;
	const loaded = await attempt(["modprobe", "br_netfilter"]).catch(() => null);
	if (loaded?.status !== 0) {
		throw new LabError("lab", "bridges do not pass packets to iptables: br_netfilter cannot be loaded", {
			remedy: "modprobe br_netfilter on the machine itself, or install linux-modules-extra",
		});
	}
	await attempt([
		"sysctl",
		"-qw",
		"net.bridge.bridge-nf-call-iptables=0",
		"net.bridge.bridge-nf-call-ip6tables=0",
		"net.bridge.bridge-nf-call-arptables=0",
	]);
}

const BRIDGE_SYSCTLS = "/proc/sys/net/bridge";

async function onPath(command: string): Promise<boolean> {
	const directories = (process.env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "");
	const found = await Promise.all(directories.map((directory) => executable(join(directory, command))));
	return found.some(Boolean);
}

async function executable(path: string): Promise<boolean> {
	return access(path, constants.X_OK).then(
		() => true,
		() => false,
	);
}

async function readable(path: string): Promise<boolean> {
	return readFile(path).then(
		() => true,
		() => false,
	);
}
