import { randomBytes } from "node:crypto";
import type { Cluster } from "../../collector/cluster.js";
import { wordsOf } from "../../collector/explained.js";
import { LocalSource } from "../../collector/local-source.js";
import { type NodePlan, planFor } from "../../collector/plan.js";
import type { LedgerStage } from "../../collector/report.js";
import { TableUpkeep } from "../../collector/table-upkeep.js";
import { TraceDrops } from "../../collector/trace-drops.js";
import { addCounters, type Counters, noCounters } from "../../kernel/counters.js";
import { KernelError } from "../../kernel/error.js";
import type { Hook, HookId, Role } from "../../packet/hook.js";
import { OuterTable } from "../../packet/outers.js";
import type { Sightings } from "../../packet/sightings.js";
import type { SourceId, SourceSink } from "../../packet/source.js";
import { TupleTable } from "../../packet/tuples.js";
import type { DropReport } from "../../path/judgement.js";
import type { Wiring } from "../../wiring/model.js";
import { BatchEncoder } from "../batch-encoder.js";
import { mergeClusters } from "../cluster-message.js";
import { hookMessage } from "../hook-message.js";
import {
	encode,
	Phase,
	type StageMessage,
	type StateMessage,
	type StreamSightingsResponse,
	word64,
} from "../messages.js";
import { wallAt } from "../node-clock.js";
import type { FromNodeWorker, NodeStatus, NodeWorkerOptions, SubscribeOrder } from "./protocol.js";
import { sharedFilter, sharedSites, siteKey } from "./shared-filter.js";
import { Subscription } from "./subscription.js";

/** Bits of weft_event.subscribers. */
export const MOST_SUBSCRIBERS = 32;
const STATE_MS = 1000;
/** Drops of a stream that may wait for words at a time have numbers of their own. */
const MOST_TICKETS = 2 ** 30;
const OTHERS_SALT =
	"payload hashes are keyed by another subscriber's hash_salt, as the state says: they cannot be compared with those of agents that took yours";

/**
 * The hooks of an agent's node, shared by its subscribers: on while somebody asks, and only those that somebody asks
 * for. The kernel marks each event with whom it is for; each subscriber gets its own, encoded here.
 *
 * Calls that change hooks wait for one another: give them one by one.
 */
export class NodeWatch {
	readonly #options: NodeWorkerOptions;
	readonly #send: (message: FromNodeWorker) => void;
	readonly #subscriptions = new Map<number, Subscription>();
	/** By hook id: bits of those who asked for it. */
	readonly #wanted = new Uint32Array(2 ** 16);
	readonly #hooks = new Map<number, Hook>();
	/** Bits given back, the longest ago first: late records may still carry them. */
	readonly #bits = Array.from({ length: MOST_SUBSCRIBERS }, (_, bit) => bit);
	readonly #retired = { kernel: noCounters(), drained: 0, unknownHook: 0, tupleTableFull: 0 };
	readonly #unnamed = { unknownHook: 0, tupleTableFull: 0 };
	/** Waiting for the watermark that ends them. */
	readonly #finishing = new Map<number, () => void>();
	/** Gone while their turn had not come. */
	readonly #abandoned = new Set<number>();
	#wiring: Wiring;
	#cluster: Cluster;
	#node: Watched | null = null;
	#attach: "tcx" | "clsact" | null = null;
	#nextHookId = 0;
	#dropsUntold = false;
	#fingerprint = "";
	#states: NodeJS.Timeout | null = null;

	constructor(options: NodeWorkerOptions, send: (message: FromNodeWorker) => void) {
		this.#options = options;
		this.#send = send;
		this.#wiring = options.wiring;
		this.#cluster = options.cluster;
	}

	async subscribe(order: SubscribeOrder): Promise<void> {
		const { id, question, cluster, sample, roles, hashSalt } = order;
		if (this.#abandoned.has(id)) return;
		const bit = this.#bits.shift();
		if (bit === undefined) {
			this.#send({ kind: "ended", id, failure: `more than ${MOST_SUBSCRIBERS} subscribers` });
			return;
		}
		const send = (bytes: Uint8Array<ArrayBuffer>) => this.#send({ kind: "message", id, bytes });
		const subscription = new Subscription({ id, bit, question, sample, roles, send }, cluster);
		this.#subscriptions.set(id, subscription);
		try {
			this.#node ??= this.#open(order);
			const warnings = await this.#apply();
			const isOthers = hashSalt !== null && this.#node !== null && this.#node.hashSalt !== hashSalt;
			this.#begin(subscription, isOthers ? [...warnings, OTHERS_SALT] : warnings);
			this.#watchDrops();
		} catch (cause) {
			this.#drop(subscription);
			this.#send({ kind: "ended", id, failure: cause instanceof Error ? cause.message : String(cause) });
			await this.#apply().catch(() => undefined);
		}
	}

	async inform(id: number, cluster: Cluster): Promise<void> {
		const subscription = this.#subscriptions.get(id);
		if (subscription === undefined) return;
		subscription.cluster = cluster;
		await this.#apply();
	}

	async world(wiring: Wiring, cluster: Cluster): Promise<void> {
		this.#wiring = wiring;
		this.#cluster = cluster;
		this.#node?.drops?.world(wiring);
		if (this.#node !== null) await this.#apply();
	}

	/** Gives what was seen until now and the final state. */
	async finish(id: number): Promise<void> {
		const subscription = this.#subscriptions.get(id);
		if (subscription === undefined) return;
		if (this.#subscriptions.size === 1 && this.#node !== null) {
			// The last one: its end is the hooks' end, and all counts are exact.
			const node = this.#node;
			await this.#stop(node);
			this.#end(subscription, node);
			this.#node = null;
			await node.source.close();
			return;
		}
		const node = this.#node;
		const now = this.#now();
		await new Promise<void>((resolve) => {
			subscription.untilNs = now;
			this.#finishing.set(id, resolve);
		});
		this.#finishing.delete(id);
		if (node !== null && this.#subscriptions.has(id)) this.#end(subscription, node);
		await this.#apply();
	}

	async cancel(id: number): Promise<void> {
		this.#abandoned.delete(id);
		const subscription = this.#subscriptions.get(id);
		if (subscription === undefined) return;
		this.#drop(subscription);
		await this.#apply("left");
	}

	/** Without waiting for its turn: it will not be served any more, whatever is under way. */
	abandon(id: number): void {
		this.#abandoned.add(id);
		this.#finishing.get(id)?.();
	}

	written(id: number, bytes: number): void {
		this.#subscriptions.get(id)?.written(bytes);
	}

	status(): NodeStatus {
		return {
			hooks: this.#node?.source.hooks ?? [],
			attach: this.#attach,
			hashSalt: this.#node?.hashSalt ?? null,
			ledger: this.#ledger(),
			subscribers: [...this.#subscriptions.values()].map(({ id, delivered, lost }) => ({ id, delivered, lost })),
		};
	}

	async close(): Promise<void> {
		const node = this.#node;
		if (node === null) return;
		await this.#stopDrops(node);
		await node.source.stop();
	}

	/** Hooks and filters as everybody's questions are now; without questions, none. Returns what could not be hooked. */
	async #apply(why: "left" | "changed" = "changed"): Promise<readonly string[]> {
		const node = this.#node;
		if (node === null) return [];
		const subscriptions = [...this.#subscriptions.values()];
		if (subscriptions.length === 0) {
			await this.#stop(node, why);
			this.#node = null;
			await node.source.close();
			return [];
		}
		for (const one of subscriptions) {
			const cluster = mergeClusters(this.#wiring.node, this.#cluster, one.cluster);
			const world = { nodes: [{ name: this.#wiring.node, wiring: this.#wiring }], cluster, names: null };
			one.plan = only(one.roles, planFor(one.question, world).nodes[0] ?? null);
		}
		const filterOf = sharedFilter(subscriptions);
		const fingerprint = subscriptions
			.map(({ bit, sample, plan }) => `${bit} ${sample} ${plan?.fingerprint ?? ""}`)
			.join("\n");
		// Whoever left takes the hooks along at once: to load other filters takes longer.
		if (why === "left") await node.source.watch(sharedSites(subscriptions), filterOf);
		if (this.#fingerprint !== fingerprint) await node.source.refilter(filterOf);
		this.#fingerprint = fingerprint;
		const failures = await node.source.watch(sharedSites(subscriptions), filterOf);
		this.#want();
		return failures;
	}

	/** Who gets what is seen at which hook. */
	#want(): void {
		this.#wanted.fill(0);
		const ids = new Map((this.#node?.source.hooks ?? []).map((hook) => [siteKey(hook), hook.id]));
		for (const { bit, plan } of this.#subscriptions.values()) {
			for (const site of plan?.sites ?? []) {
				const id = ids.get(siteKey(site));
				if (id !== undefined) this.#wanted[id] = (this.#wanted[id] as number) | (2 ** bit);
			}
		}
	}

	#open({ sample, hashSalt }: SubscribeOrder): Watched {
		const { node, attach, clock } = this.#options;
		const tuples = new TupleTable();
		const outers = new OuterTable();
		const baseNs = process.hrtime.bigint();
		const salt = hashSalt ?? randomBytes(8).readBigUInt64LE();
		const source: LocalSource = new LocalSource(
			{
				id: node as SourceId,
				...{ node, attach, tuples, outers, baseNs, hashSalt: salt },
				ringBytes: null,
				sample,
				nextHookId: () => this.#nextHookId++ as HookId,
			},
			this.#sink(),
		);
		this.#attach = source.attachType;
		// Idle there is nothing to tell, and a thread that wakes up for it costs.
		this.#states ??= setInterval(() => this.#tellStates(), STATE_MS).unref();
		this.#fingerprint = "";
		const encoder = new BatchEncoder({
			...{ node, tuples, outers },
			hook: (id) => this.#hookOf(id),
			wall: (timeNs) => wallAt(clock, baseNs + BigInt(Math.round(timeNs))),
			scale: 1 + clock.driftPpm * 1e-6,
		});
		const upkeep = new TableUpkeep(tuples, outers, () => undefined);
		return {
			source,
			encoder,
			upkeep,
			baseNs,
			hashSalt: salt,
			sample,
			rows: null,
			watermarkNs: 0,
			drops: null,
			dropsLoaded: null,
		};
	}

	#sink(): SourceSink {
		return {
			hook: (_, hook) => {
				this.#hooks.set(hook.id, hook);
				this.#tellHook(hook, true);
			},
			unhook: (_, hook) => this.#tellHook(hook, false),
			batch: (_, rows) => {
				if (this.#node !== null) this.#node.rows = rows;
			},
			lost: (_, cause, count) => {
				if (cause === "unknownHook" || cause === "tupleTableFull") this.#unnamed[cause] += count;
				// Whose they were is not known: everybody must take them for lost.
				for (const one of this.#subscriptions.values()) if (one.sinceNs < Infinity) one.lose(cause, count);
			},
			watermark: (_, timeNs) => this.#advance(timeNs),
			clock: () => undefined,
			end: () => this.#advance(this.#now()),
		};
	}

	#advance(timeNs: number): void {
		const node = this.#node;
		if (node === null) return;
		const { rows } = node;
		node.rows = null;
		node.watermarkNs = timeNs;
		for (const one of this.#subscriptions.values()) {
			one.advance(rows, timeNs, this.#wanted, node.encoder);
			if (timeNs >= one.untilNs) this.#finishing.get(one.id)?.();
		}
		if (rows !== null) node.source.release(rows);
		node.upkeep.tick(timeNs);
	}

	/** Not before the hooks are on, which nobody is to wait longer for. */
	#watchDrops(): void {
		const node = this.#node;
		if (node === null || node.dropsLoaded !== null || this.#dropsUntold) return;
		node.dropsLoaded = this.#loadDrops(node);
	}

	/** On another thread, so that whoever goes meanwhile is not waited for. */
	async #loadDrops(node: Watched): Promise<void> {
		const { source, baseNs } = node;
		const drop = (_: SourceId, report: DropReport) => this.#tellDrop(node, report);
		const wiring = this.#wiring;
		try {
			const drops = await TraceDrops.begin({ source: source.id, slots: source.slotAccess, wiring, baseNs, drop });
			if (this.#wiring !== wiring) drops.world(this.#wiring);
			node.drops = drops;
		} catch (cause) {
			// Then a dropped packet is one that was lost.
			if (!(cause instanceof KernelError)) throw cause;
			this.#dropsUntold = true;
		}
	}

	#tellDrop(node: Watched, { timeNs, skbLow, skbHigh, reason, function: name, ticket, ...said }: DropReport): void {
		const wall = wallAt(this.#options.clock, node.baseNs + BigInt(Math.round(timeNs)));
		const number = ticket === undefined ? 0 : (ticket % MOST_TICKETS) + 1;
		this.#tellWatching({
			drop: {
				timeNs: word64(wall),
				skb: { low: skbLow | 0, high: skbHigh | 0, unsigned: true },
				...{ reason, function: name ?? "", words: said.words ?? "", remedy: said.remedy ?? "", ticket: number },
			},
		});
		if (ticket === undefined) return;
		const answer = node.drops?.explain(ticket) ?? Promise.resolve(null);
		answer
			.catch(() => null)
			.then((judged) => {
				const words = judged === null ? "" : wordsOf(judged);
				this.#tellWatching({ words: { ticket: number, words, remedy: judged?.remedy ?? "" } });
			})
			.catch(() => undefined);
	}

	/** To everybody who is told of drops. */
	#tellWatching(message: Pick<StreamSightingsResponse, "drop" | "words">): void {
		const bytes = encode("StreamSightingsResponse", { ...message, node: this.#options.node });
		for (const one of this.#subscriptions.values()) {
			if (one.sinceNs < Infinity && one.wantsDrops) one.tell(owned(bytes), false);
		}
	}

	async #stop(node: Watched, why: "left" | "changed" = "changed"): Promise<void> {
		if (this.#states !== null) clearInterval(this.#states);
		this.#states = null;
		const ended = why === "left" ? node.source.leave() : node.source.stop();
		const [{ total }] = await Promise.all([ended, this.#stopDrops(node)]);
		addCounters(this.#retired.kernel, total);
		this.#retired.drained += node.source.drained;
		node.stopped = true;
	}

	async #stopDrops(node: Watched): Promise<void> {
		await node.dropsLoaded;
		await node.drops?.stop();
	}

	#begin(subscription: Subscription, warnings: readonly string[]): void {
		const node = this.#node;
		if (node === null) return;
		subscription.sinceNs = this.#now();
		for (const hook of node.source.hooks) this.#announce(subscription, hook, true);
		subscription.tell(this.#state(Phase.ready, subscription, node, subscription.sinceNs, warnings), true);
	}

	#end(subscription: Subscription, node: Watched): void {
		subscription.tell(this.#state(Phase.ended, subscription, node, this.#now(), []), true);
		this.#drop(subscription);
		this.#send({ kind: "ended", id: subscription.id, failure: null });
	}

	#drop({ id, bit }: Subscription): void {
		if (this.#subscriptions.delete(id)) this.#bits.push(bit);
	}

	#tellHook(hook: Hook, added: boolean): void {
		for (const one of this.#subscriptions.values()) if (one.sinceNs < Infinity) this.#announce(one, hook, added);
	}

	#announce(subscription: Subscription, hook: Hook, added: boolean): void {
		const wanted = subscription.plan?.sites.some((site) => siteKey(site) === siteKey(hook)) ?? false;
		if (added && !wanted) return;
		const { node } = this.#options;
		subscription.tell(
			owned(encode("StreamSightingsResponse", { hook: { hook: hookMessage(hook), added }, node })),
			true,
		);
	}

	#tellStates(): void {
		const node = this.#node;
		if (node === null) return;
		for (const one of this.#subscriptions.values()) {
			if (one.sinceNs < Infinity) one.tell(this.#state(Phase.running, one, node, node.watermarkNs, []), false);
		}
	}

	#state(
		phase: number,
		one: Subscription,
		node: Watched,
		watermarkNs: number,
		warnings: readonly string[],
	): Uint8Array<ArrayBuffer> {
		const { instance, clock } = this.#options;
		const name = this.#options.node;
		const losses = one.losses();
		const watermark = word64(wallAt(clock, node.baseNs + BigInt(Math.round(watermarkNs))));
		const salt = new Uint8Array(8);
		new DataView(salt.buffer).setBigUint64(0, node.hashSalt, true);
		const state: StateMessage = {
			...{ phase, instance, losses, warnings },
			nextSequence: one.offered,
			nodes: [
				{
					...{ node: name, instance, losses, connected: true, hashSalt: salt, watermarkNs: watermark },
					...{ clockOffsetNs: 0, clockErrorNs: 0, hooks: node.source.hooks.length },
				},
			],
			ledger: [...this.#ledger().map(stageMessage), one.stage()],
		};
		return owned(
			encode("StreamSightingsResponse", {
				...{ state, node: name },
				// What comes between may still be on its way: only the first and the last state say how far it has come.
				...(phase === Phase.running ? {} : { progress: { watermarkNs: watermark, losses } }),
			}),
		);
	}

	/** In sightings, of all subscribers together, since the agent began. Exact while nothing is hooked. */
	#ledger(): readonly LedgerStage[] {
		const kernel = noCounters();
		addCounters(kernel, this.#retired.kernel);
		let { drained } = this.#retired;
		if (this.#node !== null && this.#node.stopped !== true) {
			addCounters(kernel, this.#node.source.counters().total);
			drained += this.#node.source.drained;
		}
		return nodeLedger(kernel, drained, this.#unnamed);
	}

	#hookOf(id: number): Hook {
		const hook = this.#hooks.get(id);
		if (hook === undefined) throw new RangeError(`hook ${id} was never announced`);
		return hook;
	}

	#now(): number {
		return Number(process.hrtime.bigint() - (this.#node?.baseNs ?? 0n));
	}
}

/** A plan without the devices that were not asked for. */
function only(roles: readonly Role[], plan: NodePlan | null): NodePlan | null {
	if (plan === null || roles.length === 0) return plan;
	return { ...plan, sites: plan.sites.filter(({ role }) => roles.includes(role)) };
}

interface Watched {
	readonly source: LocalSource;
	readonly encoder: BatchEncoder;
	readonly upkeep: TableUpkeep;
	/** CLOCK_MONOTONIC at 0 of the rows. */
	readonly baseNs: bigint;
	readonly hashSalt: bigint;
	readonly sample: number;
	/** Null: not loaded, or the kernel does not tell. */
	drops: TraceDrops | null;
	/** Null: not begun. */
	dropsLoaded: Promise<void> | null;
	/** A batch that waits for its watermark, which follows at once. */
	rows: Sightings | null;
	watermarkNs: number;
	stopped?: boolean;
}

function nodeLedger(
	kernel: Counters,
	drained: number,
	{ unknownHook, tupleTableFull }: { readonly unknownHook: number; readonly tupleTableFull: number },
): readonly LedgerStage[] {
	const { seen, matched, emitted, ringFull } = kernel;
	const decoded = drained - unknownHook - tupleTableFull;
	return [
		{ stage: "filter", in: seen, out: matched, lost: { notAsked: seen - matched } },
		{ stage: "kernel", in: matched, out: emitted, lost: { ringFull } },
		{ stage: "rings", in: emitted, out: drained, lost: { underWay: emitted - drained } },
		{ stage: "decode", in: drained, out: decoded, lost: { unknownHook, tupleTableFull } },
	];
}

export function stageMessage({ stage, in: received, out, lost }: LedgerStage): StageMessage {
	const losses = Object.entries(lost).flatMap(([cause, count]) => (count ? [{ cause, count }] : []));
	return { stage, in: received, out, lost: losses };
}

/** Bytes of their own buffer, that can be transferred. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
	return new Uint8Array(bytes);
}
