import { type FSWatcher, watch } from "node:fs";
import type { Wiring } from "../wiring/model.js";
import type { Claim, Claims } from "./claim.js";
import { readCniCache } from "./cni-cache.js";
import { NodeDirectory } from "./directory.js";
import { onHost } from "./files.js";
import { readHosts, readSubnetEnv, type SubnetEnv } from "./flannel.js";
import { readHostLocal } from "./host-local.js";
import { NO_PORTALS, type Portals } from "./kube-proxy.js";
import { readPortals } from "./portals.js";

export interface IdentityOptions {
	/** The node's namespace, for its NAT rules; null: our own. */
	readonly netns: string | null;
	/** Where the host's filesystem is mounted; null: at /. */
	readonly hostRoot: string | null;
	/** Names of nodes by underlay address, on top of `/etc/hosts`. */
	readonly nodeNames?: ReadonlyMap<string, string>;
}

/** A source that has to be waited for: a runtime's socket. Each may be missing, slow or wrong. */
export interface RuntimeSource {
	/** What it says now; never throws, and ends within its own deadline. */
	read(): Promise<Claims>;
	close(): void;
}

/**
 * The names on one node, kept current: cache files by inotify, NAT rules every few seconds, wiring when the caller says
 * so. The first names are there when `open` returns; services follow with `ready`.
 */
export class IdentityWatch {
	readonly directory = new NodeDirectory();
	readonly #options: IdentityOptions;
	readonly #runtimes: readonly RuntimeSource[];
	readonly #onChange: () => void;
	readonly #watchers: FSWatcher[] = [];
	#wiring: Wiring;
	#files: Files;
	#portals: Portals = NO_PORTALS;
	#portalWarnings: readonly string[] = [];
	#portalText = "";
	#runtimeClaims: Claims = { claims: [], warnings: [] };
	#filesTimer: NodeJS.Timeout | null = null;
	#portalTimer: NodeJS.Timeout | null = null;
	#closed = false;
	/** Resolves when services and runtimes have been asked once. */
	readonly ready: Promise<void>;

	constructor(options: IdentityOptions, wiring: Wiring, onChange: () => void, runtimes: readonly RuntimeSource[] = []) {
		this.#options = options;
		this.#wiring = wiring;
		this.#onChange = onChange;
		this.#runtimes = runtimes;
		this.#watchFiles();
		this.#files = readFiles(options.hostRoot);
		this.#update();
		// Names of nodes may have been filled in meanwhile: the first answer of all counts, changed or not.
		this.ready = Promise.all([this.#refreshPortals(), this.#refreshRuntimes()]).then(() => this.#update());
	}

	/** The wiring has changed: namespaces and veths are matched anew. */
	rewired(wiring: Wiring): void {
		this.#wiring = wiring;
		this.#update();
		// A new link usually comes before its sandbox is written down.
		if (this.directory.resolution.unexplained.length > 0) this.#filesChanged();
	}

	/** Asks runtimes again: one of them has told of a change, or a veth is unexplained. */
	async refreshRuntimes(): Promise<void> {
		await this.#refreshRuntimes();
	}

	close(): void {
		this.#closed = true;
		for (const watcher of this.#watchers) watcher.close();
		if (this.#filesTimer !== null) clearTimeout(this.#filesTimer);
		if (this.#portalTimer !== null) clearTimeout(this.#portalTimer);
		for (const runtime of this.#runtimes) runtime.close();
	}

	#watchFiles(): void {
		for (const directory of WATCHED) {
			try {
				const watcher = watch(onHost(this.#options.hostRoot, directory), { persistent: false }, () =>
					this.#filesChanged(),
				);
				// The directory may go away with its runtime; the timer of the rules looks at the files as well.
				watcher.on("error", () => watcher.close());
				this.#watchers.push(watcher);
			} catch {
				// Not there (yet).
			}
		}
	}

	#filesChanged(): void {
		this.#filesTimer ??= setTimeout(() => {
			this.#filesTimer = null;
			this.#refreshFiles();
		}, SETTLE_MS);
	}

	#refreshFiles(): void {
		if (this.#closed) return;
		this.#files = readFiles(this.#options.hostRoot);
		this.#update();
		this.#onChange();
	}

	async #refreshPortals(): Promise<void> {
		const { portals, warnings } = await readPortals(this.#options.netns);
		if (this.#closed) return;
		const shown = JSON.stringify(portals);
		const changed = shown !== this.#portalText;
		this.#portalText = shown;
		this.#portals = portals;
		this.#portalWarnings = warnings;
		if (changed) {
			this.#update();
			this.#onChange();
		}
		this.#portalTimer = setTimeout(() => {
			this.#refreshPortals().catch(() => undefined);
		}, PORTALS_EVERY_MS);
		this.#portalTimer.unref();
	}

	async #refreshRuntimes(): Promise<void> {
		if (this.#runtimes.length === 0) return;
		const all = await Promise.all(this.#runtimes.map((runtime) => runtime.read()));
		if (this.#closed) return;
		this.#runtimeClaims = {
			claims: all.flatMap(({ claims }) => claims),
			warnings: all.flatMap(({ warnings }) => warnings),
		};
		this.#update();
		this.#onChange();
	}

	#update(): void {
		const { cache, leases, subnetEnv, hosts } = this.#files;
		const claims: readonly Claim[] = [...this.#runtimeClaims.claims, ...cache.claims];
		this.directory.update(
			{
				wiring: this.#wiring,
				claims,
				leases,
				subnetEnv,
				portals: this.#portals,
				nodeNames: new Map([...hosts, ...(this.#options.nodeNames ?? [])]),
				warnings: [...cache.warnings, ...this.#runtimeClaims.warnings, ...this.#portalWarnings],
			},
			Date.now(),
		);
	}
}

const WATCHED = ["/var/lib/cni/results", "/run/flannel"];
const SETTLE_MS = 10;
/** iptables-save of a large cluster takes a second of CPU: services change seldom enough. */
const PORTALS_EVERY_MS = 10_000;

interface Files {
	readonly cache: Claims;
	readonly leases: ReadonlyMap<string, string>;
	readonly subnetEnv: SubnetEnv | null;
	readonly hosts: ReadonlyMap<string, string>;
}

function readFiles(hostRoot: string | null): Files {
	return {
		cache: readCniCache(hostRoot),
		leases: readHostLocal(hostRoot),
		subnetEnv: readSubnetEnv(hostRoot),
		hosts: readHosts(hostRoot),
	};
}
