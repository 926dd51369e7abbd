import { MergedDirectory } from "../identity/merged.js";
import { REST, type Segment } from "../kernel/segments.js";
import { Stopwatch } from "../kernel/stopwatch.js";
import { type GroupBy, kernelGroup } from "../latency/group.js";
import { Intervals, type Reading } from "../latency/reading.js";
import type { LatencyReport } from "../latency/report.js";
import { QUANTILE_ERROR } from "../latency/scale.js";
import { Sum, type SummaryOptions } from "../latency/summary.js";
import type { TimedHook } from "../latency/timed-hook.js";
import type { Wiring } from "../wiring/model.js";
import { type Room, roomFor } from "./latency-room.js";
import { bridgesOf, latencySites } from "./latency-sites.js";
import { NodeObserver } from "./node-observer.js";
import { nodeOf, tunnelPortsIn } from "./realm.js";
import type { NodeSpec } from "./request.js";
import { type TimedPlace, timedPlace } from "./timed-place.js";
import { TimedPlaces } from "./timed-places.js";

/** What `weft latency` and an agent's WatchLatency ask. */
export interface LatencyRequest {
	/** Nodes on this machine; those that are not to be watched lend their names. */
	readonly nodes: readonly NodeSpec[];
	/** Only this bridge and its ports; null: every bridge, tunnel and NIC. */
	readonly bridge: string | null;
	readonly by: GroupBy | null;
	/** Also the pods' own devices: how long the way into a pod takes. */
	readonly inside: boolean;
	readonly attach: "tcx" | "clsact" | "auto";
}

export interface LatencyReady {
	readonly nodes: readonly string[];
	readonly hooks: number;
}

/**
 * Times the packets of nodes on this machine: hooks follow devices as they come and go, packets stay in the kernel, and
 * whoever asks gets the histograms. One for a process, or one for a subscriber of an agent.
 */
export class LatencyWatch {
	readonly #request: LatencyRequest;
	readonly #observers: NodeObserver[] = [];
	readonly #directory = new MergedDirectory(() => this.#observers.map(({ directory }) => directory));
	readonly #stopwatch: Stopwatch;
	readonly #room: Room;
	readonly #places = new TimedPlaces((hookSet, ifindex, id) => this.#stopwatch.classify(hookSet, ifindex, id));
	readonly #intervals = new Intervals();
	/** What was counted between hooks that are gone: since the beginning, and since the last interval. */
	readonly #past = new Sum();
	#pastSince = new Sum();
	readonly #warned: string[] = [];
	#began = 0;
	#lastTime = 0;
	#lastCounters = { seen: 0, untracked: 0 };
	#turn: Promise<void> = Promise.resolve();
	#stopped = false;

	/**
	 * Resolves when every hook times packets.
	 * @throws KernelError when nothing can be hooked, LatencyError when there is no such bridge; then nothing is
	 */
	static async start(request: LatencyRequest): Promise<LatencyWatch> {
		const watch = new LatencyWatch(request);
		try {
			await watch.#begin();
			return watch;
		} catch (cause) {
			await watch.close();
			throw cause;
		}
	}

	private constructor(request: LatencyRequest) {
		this.#request = request;
		const { attach, by, nodes } = request;
		try {
			for (const spec of nodes) this.#observers.push(new NodeObserver(spec, new Map(), () => this.#changed()));
			this.#room = roomFor(by, this.#wanted().length);
			this.#stopwatch = new Stopwatch({
				...{ attach, ...this.#room, groupBy: kernelGroup(by), transit: true },
				realmOf: (netns) => nodeOf(this.#wirings(), netns)?.host.cookie ?? netns,
			});
		} catch (cause) {
			for (const observer of this.#observers) observer.close();
			throw cause;
		}
	}

	get ready(): LatencyReady {
		const nodes = this.#observers.filter(({ spec }) => spec.watch).map(({ spec }) => spec.name);
		return { nodes, hooks: this.#places.size };
	}

	/** What was timed since the last call, or since the beginning. */
	interval(): LatencyReport {
		const now = performance.now();
		const counters = this.#stopwatch.counters();
		const sum = this.#pastSince;
		this.#pastSince = new Sum();
		sum.count(this.#intervals.next(this.#read()), this.#names());
		const report = this.#report(sum, {
			seconds: (now - this.#lastTime) / 1000,
			seen: counters.seen - this.#lastCounters.seen,
			untracked: counters.untracked - this.#lastCounters.untracked,
		});
		this.#lastTime = now;
		this.#lastCounters = counters;
		return report;
	}

	/** What was timed since the beginning. Does not disturb the intervals. */
	total(): LatencyReport {
		const sum = new Sum();
		sum.add(this.#past);
		sum.count(new Intervals().next(this.#read()), this.#names());
		const seconds = (performance.now() - this.#began) / 1000;
		return this.#report(sum, { seconds, ...this.#stopwatch.counters() });
	}

	/** No packet is timed any more, and no device is followed: the counts that are asked for now are exact. */
	async stop(): Promise<void> {
		if (this.#stopped) return;
		this.#stopped = true;
		for (const observer of this.#observers) observer.close();
		await this.#turn;
		await this.#stopwatch.stop();
	}

	/** Takes the hooks away one by one; a process that ends does without. */
	async close(): Promise<void> {
		await this.stop();
		await this.#stopwatch.close();
	}

	async #begin(): Promise<void> {
		const { bridge } = this.#request;
		const bridges = this.#watched().flatMap(({ wiring }) => bridgesOf(wiring));
		if (bridge !== null && !bridges.includes(bridge)) throw new LatencyError(bridge, bridges);
		this.#changed();
		await this.#turn;
		this.#failIfNothing();
		this.#began = performance.now();
		this.#lastTime = this.#began;
	}

	#failIfNothing(): void {
		const [failure] = this.#warned;
		if (this.#places.size === 0 && failure !== undefined) throw new Error(failure);
	}

	/** Hooks what came, lets go of what went. */
	#changed(): void {
		if (this.#stopped) return;
		this.#turn = this.#turn
			.then(() => this.#follow())
			.catch((cause: unknown) => {
				this.#warn(cause instanceof Error ? cause.message : String(cause));
			});
	}

	async #follow(): Promise<void> {
		if (this.#stopped) return;
		const wanted = this.#wanted();
		const { gone, fresh } = this.#places.compare(wanted);
		await this.#letGo(gone, wanted);
		if (fresh.length === 0) return;
		const places = new Map(fresh.map((place) => [place.site, place]));
		const failures = await this.#stopwatch.attach(
			[...places.keys()],
			(netns) => tunnelPortsIn(this.#wirings(), netns),
			(site, hookSet) => this.#places.hooked(places.get(site) as TimedPlace, hookSet),
		);
		for (const { error } of failures) this.#warn(error.message);
	}

	#wanted(): readonly TimedPlace[] {
		const { bridge, inside } = this.#request;
		return this.#wirings().flatMap((wiring) =>
			latencySites(wiring, bridge, inside).map((site) => timedPlace(wiring, site)),
		);
	}

	/** Unhooks what is gone; what was counted there goes under the names it had, and makes room for others. */
	async #letGo(gone: readonly TimedPlace[], wanted: readonly TimedPlace[]): Promise<void> {
		const changed = this.#places.changed(wanted);
		if (gone.length === 0 && changed.size === 0) return;
		if (gone.length > 0) await this.#stopwatch.detach(gone.map(({ site }) => site));
		this.#places.unhooked(gone, performance.now());
		await this.#stopwatch.release(
			(hookSet, ifindex) => this.#places.isGone(hookSet, ifindex) || changed.has(hookSet, ifindex),
			this.#places.isClassGone(),
			(last) => {
				this.#keep(this.#past, new Intervals().next(last));
				this.#keep(this.#pastSince, this.#intervals.last(last));
			},
		);
		this.#places.forget(performance.now());
		changed.apply();
	}

	#read(): readonly Segment[] {
		const segments = this.#stopwatch.segments();
		if (segments.some(({ group }) => group === REST)) {
			const what =
				this.#request.by === "flow" || this.#request.by === "protocol" ? "groups between two hooks" : "pairs of hooks";
			this.#warn(
				`the kernel's table has room for ${this.#room.segments} ${what}: those that found none are timed as "other", and whole segments have all of them`,
			);
		}
		return segments;
	}

	#keep(sum: Sum, readings: readonly Reading[]): void {
		sum.count(readings, this.#names());
		sum.bound();
	}

	#names(): SummaryOptions {
		const { by, inside } = this.#request;
		return {
			hook: (hookSet, ifindex) => this.#hook(hookSet, ifindex),
			ofClass: (id) => this.#places.ofClass(id),
			nameOf: (address) => this.#nameOf(address),
			by,
			inside,
		};
	}

	#report(sum: Sum, { seconds, seen, untracked }: { seconds: number; seen: number; untracked: number }): LatencyReport {
		const { segments, packets } = sum.summary();
		return {
			type: "latency",
			time: new Date().toISOString(),
			seconds,
			quantileError: QUANTILE_ERROR,
			segments,
			packets: { seen, ...packets, untracked },
			warnings: [...this.#warned],
		};
	}

	#hook(hookSet: number, ifindex: number): TimedHook | null {
		const place = this.#places.get(hookSet, ifindex);
		if (place === null) return null;
		const { node, site, bridge, hostIfindex } = place;
		const { netns, device, direction, role } = site;
		const isPods = (role === "pod" || role === "inside") && hostIfindex !== null;
		const pod = isPods ? this.#directory.podByDevice(node, hostIfindex, Date.now()) : null;
		return {
			...{ node, netns, ifindex, device, direction, role, bridge },
			pod: pod === null ? null : `${pod.namespace}/${pod.name}`,
		};
	}

	#nameOf(address: string): string | null {
		const pod = this.#directory.podByAddress(address, Date.now());
		return pod === null ? null : `${pod.namespace}/${pod.name}`;
	}

	#wirings(): readonly Wiring[] {
		return this.#watched().map(({ wiring }) => wiring);
	}

	#watched(): readonly NodeObserver[] {
		return this.#observers.filter(({ spec }) => spec.watch);
	}

	#warn(line: string): void {
		if (!this.#warned.includes(line) && this.#warned.length < MOST_WARNINGS) this.#warned.push(line);
	}
}

/** There is no such bridge. */
export class LatencyError extends Error {
	override readonly name = "LatencyError";
	readonly remedy: string;

	constructor(bridge: string, bridges: readonly string[]) {
		super(`no bridge ${bridge} on the nodes that are watched`);
		this.remedy = bridges.length === 0 ? "there is none at all" : `there are ${[...new Set(bridges)].join(", ")}`;
	}
}

const MOST_WARNINGS = 20;
