import { listDirectory, onHost } from "./files.js";

const DELEGATES = "/var/lib/cni/flannel";

/**
 * Sandboxes that flannel's CNI plugin has set up: it leaves a file for each, named by the sandbox, with what it gave to
 * the bridge plugin (flannel-io/cni-plugin, saveScratchNetConf). They name nobody, and a half-written one says as much as
 * a whole one: only the names are read.
 */
export class FlannelDelegates {
	readonly #directory: string;
	#names = "";
	#sandboxes: ReadonlySet<string> = new Set();

	constructor(hostRoot: string | null) {
		this.#directory = onHost(hostRoot, DELEGATES);
	}

	/** The same set as before when no file came or went. */
	read(): ReadonlySet<string> {
		const sandboxes = listDirectory(this.#directory).filter((name) => /^[0-9a-f]{12,64}$/.test(name));
		const names = sandboxes.join(" ");
		if (names === this.#names) return this.#sandboxes;
		this.#names = names;
		this.#sandboxes = new Set(sandboxes);
		return this.#sandboxes;
	}
}
