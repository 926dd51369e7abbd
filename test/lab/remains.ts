import { access, readdir, readFile } from "node:fs/promises";
import { attempt, run } from "../../src/lab/command.js";
import { labDirectory } from "../../src/lab/plan.js";
import { cgroupTrees } from "../../src/lab/runtime/cgroups.js";
import { labNamespaces } from "../../src/lab/teardown.js";

/** Everything that still bears a lab's name: namespaces, mounts, cgroups, files, processes. */
export async function remains(name: string): Promise<string[]> {
	const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n");
	return [
		...(await labNamespaces(name)),
		...mounts.filter((line) => line.includes(`${labDirectory(name)}/`) || line.includes(`weft-${name}-`)),
		...(await cgroupTrees(name)),
		...((await exists(labDirectory(name))) ? [labDirectory(name)] : []),
		...(await processesNaming(`weft-${name}-`)),
		...(await processesNaming(`${labDirectory(name)}/`)),
	];
}

/** The host's sysctls that a lab could have touched, its bridges and tunnels, and its rules. */
export async function host(): Promise<Record<string, string>> {
	// sysctl exits with 1: not every one may be read.
	const [{ stdout: sysctls }, links, rules] = await Promise.all([
		attempt([
			"sysctl",
			"net.bridge",
			"net.ipv4.ip_forward",
			"net.ipv4.conf.all",
			"net.ipv6.conf.all",
			"net.ipv6.conf.default",
		]),
		run(["ip", "-br", "link"]),
		run(["iptables-save"]),
	]);
	const own = links.split("\n").filter((line) => /^(flannel|cni|docker|sw\d)/.test(line));
	return { sysctls, links: own.join("\n"), rules: rules.replaceAll(/^#.*|\[\d+:\d+\]/gm, "") };
}

export async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

async function processesNaming(word: string): Promise<string[]> {
	const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
	const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
	return lines.filter((line) => line.includes(word));
}
