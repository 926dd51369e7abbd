import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const FILES = ["iptables", "ip6tables"].map((family) => `/proc/sys/net/bridge/bridge-nf-call-${family}`);

/**
 * Does the namespace run iptables on what its bridges forward? The sysctls are those of the namespace of whoever reads
 * them, so another one's need a process in it (about 5 ms). Null when that cannot be told.
 */
export function readBridgeNetfilter(netns: string | null): { ipv4: boolean; ipv6: boolean } | null {
	try {
		const texts =
			netns === null
				? FILES.map((file) => readFileSync(file, "utf8"))
				: execFileSync("nsenter", [`--net=${netns}`, "cat", ...FILES], {
						encoding: "utf8",
						stdio: ["ignore", "pipe", "ignore"],
						timeout: 2000,
					}).split("\n");
		return { ipv4: texts[0]?.trim() === "1", ipv6: texts[1]?.trim() === "1" };
	} catch (cause) {
		// Without the module there are no files, and bridges forward untouched.
		return netns === null && (cause as NodeJS.ErrnoException).code === "ENOENT" ? { ipv4: false, ipv6: false } : null;
	}
}
