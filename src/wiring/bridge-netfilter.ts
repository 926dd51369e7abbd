import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { Namespace } from "./model.js";

type BridgeNetfilter = NonNullable<Namespace["bridgeNetfilter"]>;

const FILES = ["iptables", "ip6tables"].map((family) => `/proc/sys/net/bridge/bridge-nf-call-${family}`);
const run = promisify(execFile);

/** Does our own namespace run iptables on what its bridges forward? Null when that cannot be read. */
export function ownBridgeNetfilter(): BridgeNetfilter | null {
	try {
		return parsed(FILES.map((file) => readFileSync(file, "utf8")));
	} catch (cause) {
		// Without the module there are no files, and bridges forward untouched.
		return (cause as NodeJS.ErrnoException).code === "ENOENT" ? { ipv4: false, ipv6: false } : null;
	}
}

/** Of another namespace: the files show that of whoever reads them, so it takes a process in it (5 ms and more). */
export async function bridgeNetfilterOf(netns: string): Promise<BridgeNetfilter | null> {
	try {
		const { stdout } = await run("nsenter", [`--net=${netns}`, "cat", ...FILES], { timeout: 2000 });
		return parsed(stdout.split("\n"));
	} catch {
		return null;
	}
}

function parsed([ipv4, ipv6]: readonly string[]): BridgeNetfilter {
	return { ipv4: ipv4?.trim() === "1", ipv6: ipv6?.trim() === "1" };
}
