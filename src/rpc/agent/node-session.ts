import { randomBytes } from "node:crypto";
import { LocalSource } from "../../collector/local-source.js";
import { TableUpkeep } from "../../collector/table-upkeep.js";
import { addon } from "../../kernel/addon.js";
import type { Hook, HookId } from "../../packet/hook.js";
import { OuterTable } from "../../packet/outers.js";
import type { Sightings } from "../../packet/sightings.js";
import type { SourceId, SourceSink } from "../../packet/source.js";
import { TupleTable } from "../../packet/tuples.js";
import { NodeReader } from "../../wiring/snapshot.js";
import { BatchEncoder } from "../batch-encoder.js";
import { wallAt } from "../node-clock.js";
import type { NodeLedger } from "./node-ledger.js";
import type { NodeWorkerOptions, SubscribeOrder } from "./protocol.js";
import { SharedHooks } from "./shared-hooks.js";
import type { Subscribers } from "./subscribers.js";

export interface SessionOptions extends Pick<NodeWorkerOptions, "node" | "attach" | "clock"> {
	/** Path of the node's namespace. */
	readonly netns: string;
	/** Whoever asks first decides what must be the same for all. */
	readonly order: Pick<SubscribeOrder, "sample" | "hashSalt">;
	readonly subscribers: Subscribers;
	readonly ledger: NodeLedger;
}

/** From the first subscriber's coming to the last one's leaving: hooks, and what they see on its way to each. */
export class NodeSession {
	readonly source: LocalSource;
	/** CLOCK_MONOTONIC at 0 of the rows. */
	readonly baseNs = process.hrtime.bigint();
	readonly hashSalt: bigint;
	watermarkNs = 0;
	readonly #options: SessionOptions;
	readonly #tuples = new TupleTable();
	readonly #outers = new OuterTable();
	readonly #encoder: BatchEncoder;
	readonly #upkeep = new TableUpkeep(this.#tuples, this.#outers, () => undefined);
	readonly #shared: SharedHooks;
	/** By id; also those that are gone, for late rows. */
	readonly #hooks = new Map<number, Hook>();
	/** A batch that waits for its watermark, which follows at once. */
	#rows: Sightings | null = null;
	#isOver = false;
	/** Null until somebody asks for a count. */
	#reader: NodeReader | null = null;

	/** @throws KernelError when this machine or user cannot trace */
	constructor(options: SessionOptions) {
		this.#options = options;
		const { node, attach, clock, order } = options;
		const [tuples, outers, baseNs] = [this.#tuples, this.#outers, this.baseNs];
		this.hashSalt = order.hashSalt ?? randomBytes(8).readBigUInt64LE();
		this.#encoder = new BatchEncoder({
			...{ node, tuples, outers },
			hook: (id) => this.#hookOf(id),
			wall: (timeNs) => this.wallAt(timeNs),
			scale: 1 + clock.driftPpm * 1e-6,
		});
		this.source = new LocalSource(
			{
				id: node as SourceId,
				...{ node, attach, tuples, outers, baseNs, hashSalt: this.hashSalt },
				ringBytes: null,
				sample: order.sample,
				nextHookId: () => this.#hooks.size as HookId,
			},
			this.#sink(),
		);
		this.#shared = new SharedHooks(this.source);
	}

	/** ns since 1970 of a time of the rows, by the node's clock. */
	wallAt(timeNs: number): bigint {
		return wallAt(this.#options.clock, this.baseNs + BigInt(Math.round(timeNs)));
	}

	/** As in the rows. */
	now(): number {
		return Number(process.hrtime.bigint() - this.baseNs);
	}

	/** Null: it is over. */
	get working(): LocalSource | null {
		return this.#isOver ? null : this.source;
	}

	/** Hooks and filters as everybody's plans are now. Returns what could not be hooked. */
	async fit(why: "left" | "changed"): Promise<readonly string[]> {
		return await this.#shared.fit([...this.#options.subscribers], why);
	}

	/** Everything seen has been given to whom it is for when this resolves, and the counts are final. */
	async stop(why: "left" | "changed"): Promise<void> {
		const { total } = await (why === "left" ? this.source.leave() : this.source.stop());
		this.#options.ledger.retire(this.source, total);
		this.#isOver = true;
	}

	/** Once it has stopped. */
	async close(): Promise<void> {
		this.#reader?.close();
		this.#reader = null;
		await this.source.close();
	}

	/** What a device of the node has sent and received so far, by the kernel's own count; null: it is gone. */
	packets(ifindex: number): number | null {
		const { node, netns } = this.#options;
		this.#reader ??= new NodeReader({ native: addon(), node, netns, hostRoot: null });
		return this.#reader.packets(ifindex);
	}

	#sink(): SourceSink {
		const { subscribers, ledger } = this.#options;
		return {
			hook: (_, hook, sinceNs) => {
				this.#hooks.set(hook.id, hook);
				subscribers.announce(hook, true, this.wallAt(sinceNs ?? this.watermarkNs));
			},
			unhook: (_, hook) => subscribers.announce(hook, false),
			batch: (_, rows) => {
				this.#rows = rows;
			},
			lost: (_, cause, count) => {
				ledger.lost(cause, count);
				// Whose they were is not known: everybody must take them for lost.
				for (const one of subscribers.served) one.lose(cause, count);
			},
			watermark: (_, timeNs) => this.#advance(timeNs),
			clock: () => undefined,
			end: () => this.#advance(this.now()),
		};
	}

	#advance(timeNs: number): void {
		const rows = this.#rows;
		this.#rows = null;
		this.watermarkNs = timeNs;
		for (const one of this.#options.subscribers) one.advance(rows, timeNs, this.#shared.wanted, this.#encoder);
		if (rows !== null) this.source.release(rows);
		this.#upkeep.tick(timeNs);
	}

	#hookOf(id: number): Hook {
		const hook = this.#hooks.get(id);
		if (hook === undefined) throw new RangeError(`hook ${id} was never announced`);
		return hook;
	}
}
