import { setTimeout as sleep } from "node:timers/promises";
import { Drops, type DropsOptions, type KernelDrop } from "../kernel/drops.js";
import type { SlotAccess } from "../kernel/hooks.js";
import { MOST_TUNNEL_PORTS } from "../kernel/knobs.js";
import type { SourceId } from "../packet/source.js";
import type { DropReport } from "../path/judgement.js";
import type { Wiring } from "../wiring/model.js";
import { tunnelPorts } from "../wiring/roles.js";
import { DropJudge, type Judged } from "./drop-judge.js";
import { DropNode } from "./drop-node.js";
import { wordsOf } from "./explained.js";

export interface TraceDropsOptions {
	readonly source: SourceId;
	/** The tracer's slots: only what they know for certain ends a path. */
	readonly slots: SlotAccess;
	readonly wiring: Wiring;
	/** CLOCK_MONOTONIC, ns: 0 of the sightings' time. */
	readonly baseNs: bigint;
	/** A packet's end, before the watermark that follows it. */
	readonly drop: (source: SourceId, report: DropReport) => void;
	/** There are no more drops before this time, ns as sightings'. A Joiner that reads on beyond it may miss some. */
	readonly watermark?: (source: SourceId, timeNs: number) => void;
}

/** The wiring hears of what changed a little later than the packets. */
const SETTLE_MS = 100;
const MOST_TICKETS = 4096;
let tickets = 0;

/**
 * What the kernel throws away on a node while its packets are traced: the end of their paths. A drop is told by the
 * packet's pointer, at once, for the pointer soon carries another packet; and only where the tracer's slot knows pointer
 * and packet, so that a reused one ends nobody's path. Why it was dropped can be asked for afterwards.
 */
export class TraceDrops {
	readonly #options: TraceDropsOptions;
	readonly #drops: Drops;
	readonly #node: DropNode;
	readonly #judge = new DropJudge();
	readonly #told = new Map<number, KernelDrop>();

	/** As the constructor, verifying on another thread. @throws KernelError on kernels that do not tell */
	static async begin(options: TraceDropsOptions): Promise<TraceDrops> {
		return new TraceDrops(options, await Drops.load(wantedOf(options)));
	}

	/** Begins. @throws KernelError on kernels that do not tell */
	constructor(options: TraceDropsOptions, drops = new Drops(wantedOf(options))) {
		this.#options = options;
		const { source, wiring, baseNs } = options;
		this.#node = new DropNode(wiring);
		this.#drops = drops;
		this.#drops.watch(this.#node.namespaces());
		this.#drops.start((drops, watermarkNs) => {
			for (const drop of drops) if (drop.hop !== null) this.#tell(drop);
			options.watermark?.(source, Number(watermarkNs - baseNs));
		});
	}

	/** Something came, went or changed on the node. */
	world(wiring: Wiring): void {
		this.#node.update(wiring);
		this.#drops.watch(this.#node.namespaces());
	}

	/** More than was told at once: with the node's tables and its firewall's rules as of now. Null: it is not known here. */
	async explain(ticket: number): Promise<Judged | null> {
		const drop = this.#told.get(ticket);
		if (drop === undefined) return null;
		this.#told.delete(ticket);
		await sleep(SETTLE_MS);
		return await this.#judge.judge(drop, this.#node);
	}

	/** Every drop has been told when this resolves, and there is no watermark any more. */
	async stop(): Promise<void> {
		await this.#drops.stop();
		this.#options.watermark?.(this.#options.source, Number.POSITIVE_INFINITY);
		this.#drops.close();
	}

	#tell(drop: KernelDrop): void {
		const judged = this.#judge.judgeNow(drop, this.#node);
		if (judged === null) return;
		const { skbLow, skbHigh, reason, function: name } = drop;
		const ticket = tickets++;
		if (this.#told.size < MOST_TICKETS) this.#told.set(ticket, drop);
		const { source, baseNs, drop: tell } = this.#options;
		tell(source, {
			timeNs: Number(drop.timeNs - baseNs),
			...{ skbLow, skbHigh, reason, function: name },
			words: wordsOf(judged),
			remedy: judged.remedy,
			ticket,
		});
	}
}

/** What dies inside a pod was seen last on the node's side of its veth: the slots know it by the node's namespace. */
function wantedOf({ slots: { maps, pointerKey, hashSalt, netnsId }, wiring }: TraceDropsOptions): DropsOptions {
	const slots = { maps, pointerKey, hashSalt, netnsId: () => netnsId(wiring.host.cookie) };
	return { slots, tunnelPorts: tunnelPorts(wiring.host).slice(0, MOST_TUNNEL_PORTS) };
}
