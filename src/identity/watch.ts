import { type FSWatcher, watch } from "node:fs";
import type { NetnsCookie } from "../packet/hook.js";
import type { Wiring } from "../wiring/model.js";
import { Settling } from "../wiring/settling.js";
import { readCgroups } from "./cgroup.js";
import type { Claim, Claims } from "./claim.js";
import { CniCache } from "./cni-cache.js";
import { FlannelDelegates } from "./delegates.js";
import { NodeDirectory } from "./directory.js";
import { onHost } from "./files.js";
import { readHosts, readSubnetEnv, type SubnetEnv } from "./flannel.js";
import { HostLocal } from "./host-local.js";
import { NO_PORTALS, type Portals } from "./kube-proxy.js";
import { NodeRules, type RulesReading } from "./node-rules.js";
import { CriSource } from "./runtime/cri.js";
import { DockerSource } from "./runtime/docker.js";
import { RuntimeFollower } from "./runtime/follower.js";
import type { RuntimeSource } from "./runtime/source.js";

export interface IdentityOptions {
	/** The node's namespace, for its NAT rules; null: our own. */
	readonly netns: string | null;
	/** Where the host's filesystem is mounted; null: at /. */
	readonly hostRoot: string | null;
	/** Names of nodes by underlay address, on top of `/etc/hosts`. Looked at anew whenever something changes. */
	readonly nodeNames?: ReadonlyMap<string, string>;
	/** The node's NAT rules, where somebody has begun to read them already: it takes a while. Closed with the watch. */
	readonly rules?: NodeRules;
	/** The daemons to ask; by default the container runtimes and Docker, wherever their sockets are. */
	readonly runtimes?: (onEvent: () => void) => readonly RuntimeSource[];
}

/**
 * The names on one node, kept current: cache files by inotify, runtimes by their events, NAT rules when their generation
 * has changed, asked every few seconds, wiring when the caller says so. A new veth is usually there before its sandbox is known: until its pod has a name the
 * sources are asked again, ever less often, for 5 s. The first names are there at once; daemons and services follow.
 */
export class IdentityWatch {
	readonly directory = new NodeDirectory();
	/** Resolves when services and runtimes have been asked once. */
	readonly ready: Promise<void>;
	readonly #options: IdentityOptions;
	readonly #onChange: () => void;
	readonly #runtimes: readonly RuntimeFollower[];
	readonly #watchers = new Map<string, FSWatcher>();
	readonly #cgroups = new Map<NetnsCookie, Claim | null>();
	readonly #nodeFiles: NodeFiles;
	readonly #rules: NodeRules;
	#wiring: Wiring;
	#files: Files;
	#portals: Portals = NO_PORTALS;
	#portalWarnings: readonly string[] = [];
	#portalText = "";
	readonly #settling = new Settling(SETTLE_MS, () => this.#refreshFiles());
	#slowTimer: NodeJS.Timeout | null = null;
	#pendingTimer: NodeJS.Timeout | null = null;
	#rewireTimer: NodeJS.Timeout | null = null;
	#newest: () => Wiring;
	/** It has changed since names were matched with it, and whoever listens has still to be told. */
	#isDue = false;
	/** How often the sources have been asked about a veth that more will be known of. */
	#attempts = new Map<number, number>();
	#isWhole = false;
	#closed = false;

	constructor(options: IdentityOptions, wiring: Wiring, onChange: () => void) {
		this.#options = options;
		this.#wiring = wiring;
		this.#newest = () => wiring;
		this.#onChange = onChange;
		this.#rules = options.rules ?? new NodeRules(options.netns, null);
		const sources = options.runtimes ?? ((onEvent) => runtimesOf(options.hostRoot, onEvent));
		this.#runtimes = sources(() => this.#askRuntimes()).map(
			(source) => new RuntimeFollower(source, () => this.#changed()),
		);
		this.#watchFiles();
		this.#nodeFiles = new NodeFiles(options.hostRoot);
		this.#files = this.#nodeFiles.read();
		this.#update();
		this.ready = this.#begin();
	}

	/**
	 * The wiring has changed: namespaces and veths are matched anew. At once when nothing has changed for a while; what
	 * comes in a burst, as with hundreds of links, is matched together a little later, and told.
	 */
	rewired(wiring: () => Wiring): void {
		this.#newest = wiring;
		this.#isDue = true;
		if (this.#rewireTimer === null) this.#rewire();
	}

	close(): void {
		this.#closed = true;
		for (const watcher of this.#watchers.values()) watcher.close();
		this.#settling.cancel();
		for (const timer of [this.#slowTimer, this.#pendingTimer, this.#rewireTimer])
			if (timer !== null) clearTimeout(timer);
		for (const runtime of this.#runtimes) runtime.close();
		this.#rules.close();
	}

	/** Then a pause, so that a burst on a large node takes a quarter of a core, not all of it. */
	#rewire(): void {
		const started = performance.now();
		this.#isDue = false;
		this.#update();
		this.#pursue();
		const pauseMs = Math.min(Math.max(SETTLE_MS, 3 * (performance.now() - started)), LONGEST_PAUSE_MS);
		this.#rewireTimer = setTimeout(() => {
			this.#rewireTimer = null;
			if (this.#closed || !this.#isDue) return;
			this.#rewire();
			this.#onChange();
		}, pauseMs);
	}

	async #begin(): Promise<void> {
		// Starting other programs takes milliseconds: whoever made this has its first names before that.
		await new Promise(setImmediate);
		if (this.#closed) return;
		await Promise.all([this.#takePortals(this.#rules.read()), ...this.#runtimes.map((runtime) => runtime.ask())]);
		if (this.#closed) return;
		this.#isWhole = true;
		// Names of nodes may have been filled in meanwhile: the first answer of all counts, changed or not.
		this.#update();
		this.#slowly();
	}

	/** What has no events, or may have missed them. */
	#slowly(): void {
		this.#slowTimer = setTimeout(() => {
			this.#watchFiles();
			this.#settling.changed();
			this.#askRuntimes();
			this.#takePortals(this.#rules.read())
				.catch(() => undefined)
				.finally(() => {
					if (!this.#closed) this.#slowly();
				});
		}, SLOWLY_MS);
		this.#slowTimer.unref();
	}

	#askRuntimes(): void {
		for (const runtime of this.#runtimes) runtime.ask().catch(() => undefined);
	}

	#changed(): void {
		if (this.#closed) return;
		this.#update();
		this.#onChange();
	}

	/**
	 * Asks again about veths that no trusted source has named, and about pods whose containers are still to start, as long
	 * as they are new. Many runtimes have no events, and files name a pod before its sandbox is ready.
	 */
	#pursue(): void {
		const unsettled = this.directory.unsettled(this.#runtimes.some(({ claims: { claims } }) => claims.length > 0));
		this.#attempts = new Map(unsettled.map((ifindex) => [ifindex, this.#attempts.get(ifindex) ?? 0]));
		const next = Math.min(...[...this.#attempts.values()].map((count) => PURSUE_MS[count] ?? Number.POSITIVE_INFINITY));
		if (this.#pendingTimer !== null || !Number.isFinite(next)) return;
		this.#pendingTimer = setTimeout(() => {
			this.#pendingTimer = null;
			for (const [ifindex, count] of this.#attempts) this.#attempts.set(ifindex, count + 1);
			this.#askRuntimes();
			this.#refreshFiles();
			this.#pursue();
		}, next);
	}

	#watchFiles(): void {
		for (const directory of WATCHED) {
			if (this.#watchers.has(directory)) continue;
			try {
				const path = onHost(this.#options.hostRoot, directory);
				const watcher = watch(path, { persistent: false }, () => this.#settling.changed());
				this.#watchers.set(directory, watcher);
				watcher.on("error", () => {
					watcher.close();
					this.#watchers.delete(directory);
				});
			} catch {
				// Not there (yet): the slow timer looks again.
			}
		}
	}

	#refreshFiles(): void {
		if (this.#closed) return;
		const before = this.#files;
		this.#files = this.#nodeFiles.read();
		if (!isSame(before, this.#files)) this.#changed();
	}

	async #takePortals(answer: Promise<RulesReading | null>): Promise<void> {
		const reading = await answer;
		if (this.#closed || reading === null) return;
		const { portals, warnings } = reading;
		const text = JSON.stringify(portals);
		const changed = text !== this.#portalText;
		this.#portalText = text;
		this.#portals = portals;
		this.#portalWarnings = warnings;
		if (changed) this.#changed();
	}

	#update(): void {
		this.#wiring = this.#newest();
		const { cache, leases, delegates, subnetEnv, hosts } = this.#files;
		const runtimes = this.#runtimes.map(({ claims }) => claims);
		this.directory.update(
			{
				wiring: this.#wiring,
				claims: [...runtimes.flatMap(({ claims }) => claims), ...cache.claims, ...this.#cgroupClaims()],
				leases,
				delegates,
				subnetEnv,
				isWhole: this.#isWhole,
				portals: this.#portals,
				nodeNames: new Map([...hosts, ...(this.#options.nodeNames ?? [])]),
				warnings: [...cache.warnings, ...runtimes.flatMap(({ warnings }) => warnings), ...this.#portalWarnings],
			},
			Date.now(),
		);
	}

	/** Processes are looked through only for namespaces that are new. */
	#cgroupClaims(): readonly Claim[] {
		const { others } = this.#wiring;
		const fresh = others.filter(({ cookie }) => !this.#cgroups.has(cookie));
		if (fresh.length > 0) {
			const found = new Map(readCgroups(new Set(fresh.map(({ inode }) => inode))).map((claim) => [claim.inode, claim]));
			for (const { cookie, inode } of fresh) this.#cgroups.set(cookie, found.get(inode) ?? null);
		}
		const present = new Set(others.map(({ cookie }) => cookie));
		for (const cookie of this.#cgroups.keys()) if (!present.has(cookie)) this.#cgroups.delete(cookie);
		return [...this.#cgroups.values()].filter((claim) => claim !== null);
	}
}

const WATCHED = ["/var/lib/cni/results", "/run/flannel"];
const SETTLE_MS = 10;
/** A pod is shown within 100 ms of being known. */
const LONGEST_PAUSE_MS = 50;
/** Services change seldom, and their rules are listed only when they have changed. */
const SLOWLY_MS = 10_000;
const PURSUE_MS = [20, 30, 50, 100, 200, 400, 800, 1600, 1800];

function runtimesOf(hostRoot: string | null, onEvent: () => void): readonly RuntimeSource[] {
	return [new CriSource(hostRoot, onEvent), new DockerSource(hostRoot, onEvent)];
}

interface Files {
	readonly cache: Claims;
	readonly leases: ReadonlyMap<string, string>;
	readonly delegates: ReadonlySet<string>;
	readonly subnetEnv: SubnetEnv | null;
	readonly hosts: ReadonlyMap<string, string>;
}

/** The files of a node; those that come and go with pods are parsed only when they change. */
class NodeFiles {
	readonly #hostRoot: string | null;
	readonly #cache: CniCache;
	readonly #leases: HostLocal;
	readonly #delegates: FlannelDelegates;

	constructor(hostRoot: string | null) {
		this.#hostRoot = hostRoot;
		this.#cache = new CniCache(hostRoot);
		this.#leases = new HostLocal(hostRoot);
		this.#delegates = new FlannelDelegates(hostRoot);
	}

	read(): Files {
		return {
			cache: this.#cache.read(),
			leases: this.#leases.read(),
			delegates: this.#delegates.read(),
			subnetEnv: readSubnetEnv(this.#hostRoot),
			hosts: readHosts(this.#hostRoot),
		};
	}
}

function isSame(a: Files, b: Files): boolean {
	const small = ({ subnetEnv, hosts }: Files) => JSON.stringify([subnetEnv, [...hosts]]);
	const isSamePods = a.cache === b.cache && a.leases === b.leases && a.delegates === b.delegates;
	return isSamePods && small(a) === small(b);
}
