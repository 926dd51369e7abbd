import { isIP } from "node:net";
import { listDirectory, onHost, readSmallFile } from "./files.js";

const NETWORKS = "/var/lib/cni/networks";

/**
 * Addresses by the files of the host-local plugin: address → container id of the sandbox that it was given to. Leases
 * can leak, so this only supports what another source says.
 */
export function readHostLocal(hostRoot: string | null): ReadonlyMap<string, string> {
	const leases = new Map<string, string>();
	const directory = onHost(hostRoot, NETWORKS);
	for (const network of listDirectory(directory)) {
		for (const name of listDirectory(`${directory}/${network}`)) {
			// Not "lock" nor "last_reserved_ip.0". Colons of IPv6 addresses are kept on Linux.
			if (isIP(name) === 0) continue;
			const file = readSmallFile(`${directory}/${network}/${name}`);
			const id = file.kind === "text" ? file.text.split(/\r?\n/)[0]?.trim() : undefined;
			if (id !== undefined && /^[\w.-]{1,128}$/.test(id)) leases.set(name, id);
		}
	}
	return leases;
}
