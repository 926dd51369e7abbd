import { wordsOf } from "../../collector/explained.js";
import { TraceDrops } from "../../collector/trace-drops.js";
import { KernelError } from "../../kernel/error.js";
import type { DropReport } from "../../path/judgement.js";
import type { Wiring } from "../../wiring/model.js";
import { word64 } from "../codec.js";
import type { NodeSession } from "./node-session.js";
import type { Subscribers } from "./subscribers.js";

/** Drops of a stream that may wait for words at a time have numbers of their own. */
const MOST_TICKETS = 2 ** 30;

/** Tells the subscribers of a node what its kernel throws away, while there is a session. */
export class DropTelling {
	readonly #subscribers: Subscribers;
	#wiring: Wiring;
	/** Null: not loaded. */
	#drops: TraceDrops | null = null;
	/** Null: not begun. */
	#loading: Promise<void> | null = null;
	/** The kernel does not tell. */
	#isUntold = false;

	constructor(subscribers: Subscribers, wiring: Wiring) {
		this.#subscribers = subscribers;
		this.#wiring = wiring;
	}

	/** Begins, if it has not: on another thread, so that whoever goes meanwhile is not waited for. */
	begin(session: NodeSession): void {
		if (!this.#isUntold) this.#loading ??= this.#load(session);
	}

	world(wiring: Wiring): void {
		this.#wiring = wiring;
		this.#drops?.world(wiring);
	}

	/** Every drop has been told when this resolves. */
	async stop(): Promise<void> {
		await this.#loading;
		await this.#drops?.stop();
		this.#drops = null;
		this.#loading = null;
	}

	async #load(session: NodeSession): Promise<void> {
		const { source, baseNs } = session;
		const wiring = this.#wiring;
		try {
			const drops = await TraceDrops.begin({
				...{ source: source.id, slots: source.slotAccess, wiring, baseNs },
				drop: (_, report) => this.#tell(session, report),
			});
			if (this.#wiring !== wiring) drops.world(this.#wiring);
			this.#drops = drops;
		} catch (cause) {
			// Then a dropped packet is one that was lost.
			if (!(cause instanceof KernelError)) throw cause;
			this.#isUntold = true;
		}
	}

	#tell(session: NodeSession, report: DropReport): void {
		const { timeNs, skbLow, skbHigh, reason, function: name, ticket, words, remedy } = report;
		const number = ticket === undefined ? 0 : (ticket % MOST_TICKETS) + 1;
		this.#subscribers.tellOfDrops({
			drop: {
				timeNs: word64(session.wallAt(timeNs)),
				skb: { low: skbLow | 0, high: skbHigh | 0, unsigned: true },
				...{ reason, function: name ?? "", words: words ?? "", remedy: remedy ?? "", ticket: number },
			},
		});
		if (ticket !== undefined) void this.#explain(ticket, number);
	}

	/** More than could be told at once. */
	async #explain(ticket: number, number: number): Promise<void> {
		const judged = (await this.#drops?.explain(ticket).catch(() => null)) ?? null;
		const words = judged === null ? "" : wordsOf(judged);
		this.#subscribers.tellOfDrops({ words: { ticket: number, words, remedy: judged?.remedy ?? "" } });
	}
}
