import { isIP } from "node:net";
import { type FileText, listDirectory, onHost } from "./files.js";
import { ParsedFiles } from "./parsed-files.js";

const NETWORKS = "/var/lib/cni/networks";

/**
 * Addresses by the files of the host-local plugin: address → container id of the sandbox that it was given to. Leases
 * can leak, so this only supports what another source says.
 */
export class HostLocal {
	readonly #directory: string;
	readonly #networks = new Map<string, ParsedFiles<Lease | null>>();
	#read: readonly (readonly (Lease | null)[])[] = [];
	#leases: ReadonlyMap<string, string> = new Map();

	constructor(hostRoot: string | null) {
		this.#directory = onHost(hostRoot, NETWORKS);
	}

	/** The same map as before when no file has changed. */
	read(): ReadonlyMap<string, string> {
		const read = listDirectory(this.#directory).map((network) =>
			this.#network(network).read(`${this.#directory}/${network}`),
		);
		if (read.length === this.#read.length && read.every((one, i) => one === this.#read[i])) return this.#leases;
		this.#read = read;
		this.#leases = new Map(read.flat().flatMap((lease) => (lease === null ? [] : [lease])));
		return this.#leases;
	}

	#network(name: string): ParsedFiles<Lease | null> {
		const known = this.#networks.get(name);
		if (known !== undefined) return known;
		// Not "lock" nor "last_reserved_ip.0". Colons of IPv6 addresses are kept on Linux.
		const files = new ParsedFiles<Lease | null>(parseLease, (file) => isIP(file) !== 0);
		this.#networks.set(name, files);
		return files;
	}
}

type Lease = readonly [address: string, sandbox: string];

/** The first line is the container's id; the second, since 0.7, the interface. */
function parseLease(address: string, file: FileText): Lease | null {
	const id = file.kind === "text" ? file.text.split(/\r?\n/)[0]?.trim() : undefined;
	return id !== undefined && /^[\w.-]{1,128}$/.test(id) ? [address, id] : null;
}
