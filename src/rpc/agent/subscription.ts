import { type Cluster, mergeClusters } from "../../collector/cluster.js";
import { type NodePlan, planFor } from "../../collector/plan.js";
import type { Question } from "../../collector/question.js";
import type { Role } from "../../packet/hook.js";
import type { Sightings } from "../../packet/sightings.js";
import type { LossCause } from "../../packet/source.js";
import type { TupleTable } from "../../packet/tuples.js";
import type { Wiring } from "../../wiring/model.js";
import type { BatchEncoder } from "../batch-encoder.js";
import type { LossMessage, StageMessage } from "../messages.js";
import { isSampled } from "./sampled.js";

/** Bytes on their way to a subscriber; beyond it, its rows are lost, counted as subscriberSlow. */
const MOST_WAITING = 8 << 20;
/** How long a subscriber hears nothing, at the most. */
const QUIET_NS = 50e6;
/** Devices that are counted for it each second. */
const MOST_ENDS = 32;

export interface SubscriptionOptions {
	readonly id: number;
	/** Its bit in the kernel's rules. */
	readonly bit: number;
	readonly question: Question;
	readonly sample: number;
	/** Only devices that are one of these; empty: all. */
	readonly roles: readonly Role[];
	readonly send: (bytes: Uint8Array<ArrayBuffer>) => void;
}

/** One client of the node's hooks: its question, its bounded queue, its ledger. */
export class Subscription {
	readonly id: number;
	readonly bit: number;
	readonly question: Question;
	readonly sample: number;
	readonly roles: readonly Role[];
	/** What its client knows of other nodes. */
	cluster: Cluster;
	#plan: NodePlan | null = null;
	#ends: readonly number[] = [];
	/** From when on it gets rows, in the source's ns; Infinity: its hooks are not on yet. */
	sinceNs = Number.POSITIVE_INFINITY;
	#end: { readonly untilNs: number; readonly reached: () => void } | null = null;
	/** Marked for it, and given. Sightings. */
	offered = 0;
	delivered = 0;
	slow = 0;
	readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
	readonly #losses: Partial<Record<LossCause, number>> = {};
	#lossesTold = "";
	#waiting = 0;
	#toldNs = Number.NEGATIVE_INFINITY;
	#selected = new Uint32Array(4096);

	constructor({ id, bit, question, sample, roles, send }: SubscriptionOptions, cluster: Cluster) {
		this.id = id;
		this.bit = bit;
		this.question = question;
		this.sample = sample;
		this.roles = roles;
		this.cluster = cluster;
		this.#send = send;
	}

	/** What it wants of the node, as of the latest `replan`; null: nothing to see here. */
	get plan(): NodePlan | null {
		return this.#plan;
	}

	/** Something has changed on the node, or the client knows more, or less. */
	replan(wiring: Wiring, ofNode: Cluster): void {
		const { node } = wiring;
		const cluster = mergeClusters(node, ofNode, this.cluster);
		const { nodes, from, to } = planFor(this.question, { nodes: [{ name: node, wiring }], cluster, names: null });
		this.#plan = only(this.roles, nodes[0] ?? null);
		const devices = [...from.devices, ...to.devices];
		const own = devices.filter((device) => device.node === node).map(({ ifindex }) => ifindex);
		this.#ends = [...new Set(own)].slice(0, MOST_ENDS);
	}

	/** The node's devices that are an END's: ifindexes. */
	get ends(): readonly number[] {
		return this.#ends;
	}

	/** Who watches some devices alone cannot tell where a packet died. */
	get wantsDrops(): boolean {
		return this.roles.length === 0;
	}

	get lost(): number {
		return Object.values(this.#losses).reduce((sum, count) => sum + count, 0);
	}

	written(bytes: number): void {
		this.#waiting -= bytes;
	}

	lose(cause: LossCause, count: number): void {
		if (count > 0) this.#losses[cause] = (this.#losses[cause] ?? 0) + count;
	}

	/** Resolves when it was given everything until then, or is not waited for any more. */
	until(timeNs: number): Promise<void> {
		return new Promise((reached) => {
			this.#end = { untilNs: timeNs, reached };
		});
	}

	/** Its client is gone: whatever is to come need not be waited for. */
	abandon(): void {
		this.#end?.reached();
	}

	/**
	 * Everything before the watermark is in `rows`, or was given or counted before.
	 * @param wanted by hook id: bits of those who asked for it
	 */
	advance(rows: Sightings | null, watermarkNs: number, wanted: Uint32Array, encoder: BatchEncoder): void {
		if (watermarkNs >= this.sinceNs) this.#take(rows, watermarkNs, wanted, encoder);
		if (this.#end !== null && watermarkNs >= this.#end.untilNs) this.#end.reached();
	}

	/** Of a copy. @param must also when the client is slow: the first message, and the last */
	tell(bytes: Uint8Array, must: boolean): void {
		if (must || this.#waiting <= MOST_WAITING) this.#give(new Uint8Array(bytes));
	}

	losses(): LossMessage[] {
		return Object.entries(this.#losses).map(([cause, count]) => ({ cause, count }));
	}

	stage(): StageMessage {
		const { offered, delivered, slow } = this;
		return { stage: "subscriber", in: offered, out: delivered, lost: [{ cause: "subscriberSlow", count: slow }] };
	}

	#take(rows: Sightings | null, watermarkNs: number, wanted: Uint32Array, encoder: BatchEncoder): void {
		const count = rows === null ? 0 : this.#select(rows, wanted, encoder.tuples);
		if (rows !== null && count > 0) {
			const first = this.offered;
			this.offered += count;
			if (this.#waiting > MOST_WAITING) {
				this.slow += count;
				this.lose("subscriberSlow", count);
				return;
			}
			this.delivered += count;
			const progress = { watermarkNs, losses: this.#losses };
			for (const bytes of encoder.encode(rows, this.#selected, count, first, progress)) this.#give(bytes);
			this.#told(watermarkNs);
			return;
		}
		const due = watermarkNs - this.#toldNs >= QUIET_NS || this.#lossText() !== this.#lossesTold;
		if (!due || this.#waiting > MOST_WAITING) return;
		this.#give(encoder.progress({ watermarkNs, losses: this.#losses }));
		this.#told(watermarkNs);
	}

	#select(rows: Sightings, wanted: Uint32Array, tuples: TupleTable): number {
		const { subscribers, hook, time, tuple, count } = rows;
		const { sample } = this;
		if (this.#selected.length < count) this.#selected = new Uint32Array(count);
		const mask = 2 ** this.bit;
		let selected = 0;
		for (let i = 0; i < count; i++) {
			const bits = (subscribers[i] as number) & (wanted[hook[i] as number] as number);
			if ((bits & mask) === 0 || (time[i] as number) < this.sinceNs) continue;
			// Others may have asked for more of them.
			if (sample > 1 && !isSampled(rows, i, tuples.protocol(tuple[i] as number), sample)) continue;
			this.#selected[selected++] = i;
		}
		return selected;
	}

	#give(bytes: Uint8Array<ArrayBuffer>): void {
		this.#waiting += bytes.length;
		this.#send(bytes);
	}

	#told(watermarkNs: number): void {
		this.#toldNs = watermarkNs;
		this.#lossesTold = this.#lossText();
	}

	#lossText(): string {
		return JSON.stringify(this.#losses);
	}
}

/** A plan without the devices that were not asked for. */
function only(roles: readonly Role[], plan: NodePlan | null): NodePlan | null {
	if (plan === null || roles.length === 0) return plan;
	return { ...plan, sites: plan.sites.filter(({ role }) => roles.includes(role)) };
}
