import type { Expression } from "../filter/ast.js";
import type { End } from "../filter/end.js";
import { type EndPod, resolveEnd, resolveName } from "../filter/resolve.js";
import { MergedDirectory } from "../identity/merged.js";
import { addon } from "../kernel/addon.js";
import { type DropCounters, Drops, type KernelDrop } from "../kernel/drops.js";
import { MOST_TUNNEL_PORTS } from "../kernel/knobs.js";
import type { DropReport, DropSummary } from "../latency/drop-report.js";
import type { NetnsCookie } from "../packet/hook.js";
import { wallClock } from "../path/materialise.js";
import type { Endpoint } from "../path/path.js";
import type { Wiring } from "../wiring/model.js";
import { tunnelPorts } from "../wiring/roles.js";
import { type Cluster, clusterOf, lookupOver, mergeClusters } from "./cluster.js";
import { dropTest } from "./drop-filter.js";
import { DropHooks } from "./drop-hooks.js";
import { DropJudge, protocolName } from "./drop-judge.js";
import { DropNode } from "./drop-node.js";
import { NodeObserver } from "./node-observer.js";
import type { NodeSpec } from "./request.js";

/** What `weft drops` and an agent's WatchDrops ask. */
export interface DropsRequest {
	/** Nodes on this machine; those that are not to be watched lend their names. */
	readonly nodes: readonly NodeSpec[];
	readonly filter: Expression;
	/** Between these ends, either way; absent: any. */
	readonly from?: End;
	readonly to?: End;
	/** Who is on other nodes: for names, and for what ends and filter mean. Absent: nobody is known. */
	readonly cluster?: Cluster;
	/** Which hooks note where each packet was seen last; absent: none, and where a dropped one was is concluded. */
	readonly hooks?: "tcx" | "clsact" | "auto";
}

export interface DropsReady {
	readonly nodes: readonly string[];
	/** Network namespaces: the nodes' own and their pods'. */
	readonly namespaces: number;
	/** What could not be hooked; one line each. */
	readonly warnings: readonly string[];
}

/** See DropSummary. */
export type DropsAccount = Omit<DropSummary, "type" | "seconds">;

const ANY: End = { kind: "any" };
/** How long names of services and pods may keep it from beginning. */
const NAMES_MS = 250;
/** Drops of this long are told together. */
const GATHER_MS = 100;
const MOST_WARNINGS = 20;
/** The wiring hears of a link that went down a little later than its packets' death. */
const SETTLE_MS = 60;

/**
 * Tells what the kernel throws away in the namespaces of nodes on this machine, why, and whose it was. Unless it is asked
 * for nothing is hooked to any device: while nothing is dropped nothing runs.
 */
export class DropsWatch {
	readonly #request: DropsRequest;
	readonly #observers: NodeObserver[] = [];
	readonly #nodes = new Map<NodeObserver, DropNode>();
	readonly #directory = new MergedDirectory(() => this.#observers.map(({ directory }) => directory));
	readonly #judge = new DropJudge();
	readonly #kinds = new Map<string, Kind>();
	readonly #told = { dropped: 0, consumed: 0, filtered: 0 };
	readonly #onReports: (reports: readonly DropReport[]) => void;
	readonly #wallClockBase: bigint;
	/** Pods that the asker knows, by address; the first that has it. */
	readonly #others: ReadonlyMap<string, EndPod>;
	readonly #warnings: string[] = [];
	#drops: Drops | null = null;
	#hooks: DropHooks | null = null;
	#owners = new Map<NetnsCookie, NodeObserver>();
	#test: (drop: KernelDrop) => boolean = () => true;
	#waiting: KernelDrop[] = [];
	#timer: NodeJS.Timeout | null = null;
	#turn: Promise<void> = Promise.resolve();
	#began = 0;
	#stopped = false;

	/**
	 * @param onReports gets what was dropped alike within a tenth of a second as one report
	 * @throws KernelError when this machine or user cannot
	 */
	static async start(request: DropsRequest, onReports: (reports: readonly DropReport[]) => void): Promise<DropsWatch> {
		const watch = new DropsWatch(request, onReports);
		try {
			await watch.#begin();
			return watch;
		} catch (cause) {
			await watch.close();
			throw cause;
		}
	}

	private constructor(request: DropsRequest, onReports: (reports: readonly DropReport[]) => void) {
		this.#request = request;
		this.#onReports = onReports;
		const pods = [...(request.cluster?.pods ?? [])].reverse();
		this.#others = new Map(pods.flatMap((pod) => pod.addresses.map((address) => [address, pod] as const)));
		const { realtimeNs, monotonicNs } = addon().clocks();
		this.#wallClockBase = realtimeNs - monotonicNs;
	}

	get ready(): DropsReady {
		const nodes = this.#watched().map(({ spec }) => spec.name);
		return { nodes, namespaces: this.#owners.size, warnings: this.#warnings };
	}

	/** As of now: what was seen and is not told yet is in `seen` alone. */
	account(): DropsAccount {
		return this.#accountOf(this.#drops?.counters() ?? null);
	}

	/** Stops, tells what is still waiting, and gives the account, which is exact. */
	async stop(): Promise<DropSummary> {
		this.#stopped = true;
		const counters = await this.#drops?.stop();
		await this.#hooks?.stop();
		if (this.#timer !== null) clearInterval(this.#timer);
		await this.#flush(Number.POSITIVE_INFINITY);
		this.#tellRest();
		for (const observer of this.#observers) observer.close();
		const seconds = (performance.now() - this.#began) / 1000;
		return { type: "drops", seconds, ...this.#accountOf(counters ?? null) };
	}

	/** Takes the hooks away one by one; a process that ends does without. */
	async close(): Promise<void> {
		this.#stopped = true;
		if (this.#timer !== null) clearInterval(this.#timer);
		for (const observer of this.#observers) observer.close();
		this.#drops?.close();
		await this.#hooks?.close();
	}

	#accountOf(counters: DropCounters | null): DropsAccount {
		const { seen = 0, foreign = 0, unknown = 0, unrelated = 0, skipped = 0, ringFull = 0, missed = 0 } = counters ?? {};
		return { seen, ...this.#told, foreign, unknown, unrelated, sampled: skipped, ringFull, missed };
	}

	async #begin(): Promise<void> {
		for (const spec of this.#request.nodes) {
			this.#observers.push(new NodeObserver(spec, new Map(), () => this.#changed()));
		}
		const names = Promise.all(this.#observers.map(({ ready }) => ready));
		await Promise.race([names, new Promise((resolve) => setTimeout(resolve, NAMES_MS).unref())]);
		const ports = this.#wirings().flatMap(({ host }) => tunnelPorts(host));
		const { hooks } = this.#request;
		if (hooks !== undefined) this.#hooks = await this.#hook(hooks);
		const slots = this.#hooks?.slotAccess ?? null;
		this.#drops = new Drops({ slots, tunnelPorts: [...new Set(ports)].slice(0, MOST_TUNNEL_PORTS) });
		this.#changed();
		this.#began = performance.now();
		this.#drops.start((drops) => {
			for (const drop of drops) this.#waiting.push(drop);
		});
		this.#timer = setInterval(() => {
			this.#turn = this.#turn.then(() => this.#flush(SETTLE_MS)).catch(() => undefined);
		}, GATHER_MS);
	}

	async #hook(attach: "tcx" | "clsact" | "auto"): Promise<DropHooks> {
		const hooks = new DropHooks(attach, (line) => this.#warn(line));
		await hooks.follow(this.#wirings());
		return hooks;
	}

	#warn(line: string): void {
		if (this.#warnings.length < MOST_WARNINGS && !this.#warnings.includes(line)) this.#warnings.push(line);
	}

	#changed(): void {
		if (this.#stopped || this.#drops === null) return;
		this.#hooks?.follow(this.#wirings()).catch(() => undefined);
		this.#owners = new Map();
		for (const observer of this.#watched()) {
			const node = this.#nodes.get(observer) ?? new DropNode(observer.wiring, this.#hooks?.seenAt);
			this.#nodes.set(observer, node);
			node.update(observer.wiring);
			for (const netns of node.namespaces()) this.#owners.set(netns, observer);
		}
		this.#drops.watch([...this.#owners.keys()]);
		const lookup = lookupOver(this.#cluster());
		const { filter, from = ANY, to = ANY } = this.#request;
		const ends = { from: resolveEnd(from, lookup), to: resolveEnd(to, lookup) };
		this.#test = dropTest(filter, ends, ({ what, name }) => resolveName(what, name, lookup));
	}

	/** Judges and tells what is older than so many ms. */
	async #flush(settleMs: number): Promise<void> {
		const before = addon().clocks().monotonicNs - BigInt(Number.isFinite(settleMs) ? settleMs * 1_000_000 : 0);
		const isRipe = ({ timeNs }: KernelDrop) => timeNs <= before || settleMs === Number.POSITIVE_INFINITY;
		const ripe = this.#waiting.filter(isRipe);
		if (ripe.length === 0) return;
		this.#waiting = this.#waiting.filter((drop) => !isRipe(drop));
		const reports = new Map<string, DropReport>();
		for (const drop of ripe) {
			const report = await this.#weigh(drop);
			if (report === null) continue;
			const key = keyOf(report);
			const alike = reports.get(key);
			reports.set(key, alike === undefined ? report : { ...report, count: alike.count + report.count });
		}
		if (reports.size > 0) this.#onReports([...reports.values()]);
	}

	/** Null: no drop after all, or not what the filter wants. */
	async #weigh(drop: KernelDrop): Promise<DropReport | null> {
		const observer = this.#owners.get(drop.netns);
		const node = observer && this.#nodes.get(observer);
		const kind = this.#kindOf(drop);
		const answer = node === undefined ? null : await this.#report(drop, node);
		const count = drop.standsFor;
		if (answer === null) {
			// Those alike that it stands for may be real ones: an ARP request dies of a full queue as what floods it does.
			kind.told++;
			this.#told.consumed++;
			return null;
		}
		kind.told += count;
		if (!this.#test(drop)) {
			this.#told.filtered += count;
			return null;
		}
		this.#told.dropped += count;
		kind.last = answer;
		if (kind.flows.size < 2) kind.flows.add(keyOf(answer));
		return answer;
	}

	async #report(drop: KernelDrop, node: DropNode): Promise<DropReport | null> {
		const judged = await this.#judge.judge(drop, node);
		if (judged === null) return null;
		const { hop, diagnosis, explanation, remedy } = judged;
		const atMs = Number((this.#wallClockBase + drop.timeNs) / 1_000_000n);
		const withPorts = drop.protocol === 6 || drop.protocol === 17 || drop.protocol === 132;
		return {
			type: "drop",
			time: wallClock(this.#wallClockBase + drop.timeNs, 0),
			node: node.view.wiring.node,
			count: drop.standsFor,
			kernelReason: drop.reason,
			kernelFunction: drop.function,
			...{ diagnosis, explanation, remedy },
			hop: hop && { device: hop.device, direction: hop.direction, evidence: hop.seen ? "seen" : "concluded" },
			protocol: protocolName(drop.protocol),
			source: this.#endpoint(drop.source, withPorts ? drop.sourcePort : null, atMs),
			destination: this.#endpoint(drop.destination, withPorts ? drop.destinationPort : null, atMs),
			path: null,
		};
	}

	#endpoint(ip: string | null, port: number | null, atMs: number): Endpoint | null {
		if (ip === null) return null;
		const pod = this.#directory.podByAddress(ip, atMs);
		const known = pod ?? this.#others.get(ip) ?? null;
		if (known !== null) return { ip, port, namespace: known.namespace, pod: known.name, node: known.node };
		return { ip, port, namespace: null, pod: null, node: this.#directory.nodeByAddress(ip)?.name ?? null };
	}

	/**
	 * Of a flood the kernel tells every drop's kind and few drops' details. What its counters have beyond the reports so
	 * far goes to the flow of that kind, or, where there were several, to none.
	 */
	#tellRest(): void {
		const rest: DropReport[] = [];
		for (const { reason, function: name, netns, count } of this.#drops?.counts() ?? []) {
			const kind = this.#kinds.get(`${netns} ${reason} ${name}`);
			const untold = count - (kind?.told ?? 0);
			if (untold <= 0) continue;
			const { last = null, flows } = kind ?? { flows: new Set<string>() };
			if (last === null) {
				this.#told.consumed += untold;
				continue;
			}
			this.#told.dropped += untold;
			const several = flows.size === 1 ? {} : { source: null, destination: null };
			// Where these were nobody has looked.
			const hop = last.hop !== null && flows.size === 1 ? { ...last.hop, evidence: "concluded" as const } : null;
			rest.push({ ...last, ...several, hop, count: untold });
		}
		if (rest.length > 0) this.#onReports(rest);
	}

	/** What these nodes know of themselves, and of others what the asker knows. */
	#cluster(): Cluster {
		const { nodes, cluster } = this.#request;
		const own = clusterOf(this.#directory);
		return cluster === undefined ? own : nodes.reduce((told, { name }) => mergeClusters(name, own, told), cluster);
	}

	#kindOf({ netns, reason, function: name }: KernelDrop): Kind {
		const key = `${netns} ${reason} ${name}`;
		const known = this.#kinds.get(key) ?? { told: 0, last: null, flows: new Set<string>() };
		this.#kinds.set(key, known);
		return known;
	}

	#wirings(): readonly Wiring[] {
		return this.#watched().map(({ wiring }) => wiring);
	}

	#watched(): readonly NodeObserver[] {
		return this.#observers.filter(({ spec }) => spec.watch);
	}
}

/** Drops of one reason, function and namespace. */
interface Kind {
	told: number;
	last: DropReport | null;
	/** More than one is all that matters; bounded by the kernel's sampling. */
	readonly flows: Set<string>;
}

function keyOf({
	node,
	kernelReason,
	kernelFunction,
	diagnosis,
	hop,
	protocol,
	source,
	destination,
}: DropReport): string {
	const ends = [source?.ip, source?.port, destination?.ip, destination?.port];
	const place = [hop?.device, hop?.direction, hop?.evidence];
	return [node, kernelReason, kernelFunction, diagnosis, ...place, protocol, ...ends].join(" ");
}
