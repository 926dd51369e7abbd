import type { Cluster } from "../../collector/cluster.js";
import type { Wiring } from "../../wiring/model.js";
import { Phase } from "../messages.js";
import { stageMessage } from "../stage-message.js";
import { DropTelling } from "./drop-telling.js";
import { NodeLedger } from "./node-ledger.js";
import { NodeSession } from "./node-session.js";
import { stateMessage } from "./node-state.js";
import {
	type FromNodeWorker,
	MOST_SUBSCRIBERS,
	type NodeStatus,
	type NodeWorkerOptions,
	type SubscribeOrder,
} from "./protocol.js";
import { Subscribers } from "./subscribers.js";
import type { Subscription } from "./subscription.js";

const STATE_MS = 1000;
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
	readonly #subscribers: Subscribers;
	readonly #drops: DropTelling;
	readonly #ledger = new NodeLedger();
	/** Gone while their turn had not come. */
	readonly #abandoned = new Set<number>();
	#wiring: Wiring;
	#cluster: Cluster;
	/** Null: nobody asks. */
	#session: NodeSession | null = null;
	/** Of the latest session. */
	#attach: "tcx" | "clsact" | null = null;
	#states: NodeJS.Timeout | null = null;

	constructor(options: NodeWorkerOptions, send: (message: FromNodeWorker) => void) {
		this.#options = options;
		this.#send = send;
		this.#wiring = options.wiring;
		this.#cluster = options.cluster;
		this.#subscribers = new Subscribers(options.node);
		this.#drops = new DropTelling(this.#subscribers, options.wiring);
	}

	async subscribe(order: SubscribeOrder): Promise<void> {
		const { id, hashSalt } = order;
		if (this.#abandoned.has(id)) return;
		const subscription = this.#subscribers.add(order, (bytes) => this.#send({ kind: "message", id, bytes }));
		if (subscription === null) {
			this.#send({ kind: "ended", id, failure: `more than ${MOST_SUBSCRIBERS} subscribers` });
			return;
		}
		try {
			this.#session ??= this.#open(order);
			const session = this.#session;
			const warnings = await this.#fit(session);
			const isOthers = hashSalt !== null && session.hashSalt !== hashSalt;
			this.#begin(subscription, session, isOthers ? [...warnings, OTHERS_SALT] : warnings);
			// Not before the hooks are on, which nobody is to wait longer for.
			this.#drops.begin(session);
		} catch (cause) {
			this.#subscribers.remove(subscription);
			this.#send({ kind: "ended", id, failure: cause instanceof Error ? cause.message : String(cause) });
			await this.#refit("changed").catch(() => undefined);
		}
	}

	async inform(id: number, cluster: Cluster): Promise<void> {
		const subscription = this.#subscribers.get(id);
		if (subscription === null || this.#session === null) return;
		subscription.cluster = cluster;
		await this.#fit(this.#session);
	}

	async world(wiring: Wiring, cluster: Cluster): Promise<void> {
		this.#wiring = wiring;
		this.#cluster = cluster;
		this.#drops.world(wiring);
		if (this.#session !== null) await this.#fit(this.#session);
	}

	/** Gives what was seen until now and the final state. */
	async finish(id: number): Promise<void> {
		const subscription = this.#subscribers.get(id);
		const session = this.#session;
		if (subscription === null || session === null) return;
		if (this.#subscribers.size === 1) {
			// The last one: its end is the hooks' end, and all counts are exact.
			await this.#stop(session, "changed");
			this.#end(subscription, session);
			await this.#close(session);
			return;
		}
		await subscription.until(session.now());
		this.#end(subscription, session);
		await this.#fit(session);
	}

	async cancel(id: number): Promise<void> {
		this.#abandoned.delete(id);
		const subscription = this.#subscribers.get(id);
		if (subscription === null) return;
		this.#subscribers.remove(subscription);
		await this.#refit("left");
	}

	/** Without waiting for its turn: it will not be served any more, whatever is under way. */
	abandon(id: number): void {
		this.#abandoned.add(id);
		this.#subscribers.get(id)?.abandon();
	}

	written(id: number, bytes: number): void {
		this.#subscribers.get(id)?.written(bytes);
	}

	status(): NodeStatus {
		return {
			hooks: this.#session?.source.hooks ?? [],
			attach: this.#attach,
			hashSalt: this.#session?.hashSalt ?? null,
			ledger: this.#ledger.stages(this.#session?.working ?? null),
			subscribers: [...this.#subscribers].map(({ id, delivered, lost }) => ({ id, delivered, lost })),
		};
	}

	async close(): Promise<void> {
		if (this.#session === null) return;
		await this.#drops.stop();
		await this.#session.source.stop();
	}

	#open(order: SubscribeOrder): NodeSession {
		const { node, attach, clock } = this.#options;
		const [subscribers, ledger] = [this.#subscribers, this.#ledger];
		const netns = this.#wiring.host.path;
		const session = new NodeSession({ node, netns, attach, clock, order, subscribers, ledger });
		this.#attach = session.source.attachType;
		// Idle there is nothing to tell, and a thread that wakes up for it costs.
		this.#states ??= setInterval(() => this.#tellStates(session), STATE_MS).unref();
		return session;
	}

	/** Hooks and filters as everybody's questions are now. Returns what could not be hooked. */
	async #fit(session: NodeSession, why: "left" | "changed" = "changed"): Promise<readonly string[]> {
		for (const one of this.#subscribers) one.replan(this.#wiring, this.#cluster);
		return await session.fit(why);
	}

	/** Somebody is not served any more: what only he wanted goes, and the session with the last. */
	async #refit(why: "left" | "changed"): Promise<void> {
		const session = this.#session;
		if (session === null) return;
		if (this.#subscribers.size > 0) {
			await this.#fit(session, why);
			return;
		}
		await this.#stop(session, why);
		await this.#close(session);
	}

	async #stop(session: NodeSession, why: "left" | "changed"): Promise<void> {
		if (this.#states !== null) clearInterval(this.#states);
		this.#states = null;
		await Promise.all([session.stop(why), this.#drops.stop()]);
	}

	async #close(session: NodeSession): Promise<void> {
		this.#session = null;
		await session.close();
	}

	#begin(subscription: Subscription, session: NodeSession, warnings: readonly string[]): void {
		subscription.sinceNs = session.now();
		for (const hook of session.source.hooks) this.#subscribers.introduce(subscription, hook, true);
		this.#tellState(Phase.ready, subscription, session, subscription.sinceNs, warnings);
	}

	#end(subscription: Subscription, session: NodeSession): void {
		this.#tellState(Phase.ended, subscription, session, session.now(), []);
		this.#subscribers.remove(subscription);
		this.#send({ kind: "ended", id: subscription.id, failure: null });
	}

	#tellStates(session: NodeSession): void {
		for (const one of this.#subscribers.served) this.#tellState(Phase.running, one, session, session.watermarkNs, []);
	}

	#tellState(
		phase: number,
		subscription: Subscription,
		session: NodeSession,
		watermarkNs: number,
		warnings: readonly string[],
	): void {
		const stages = this.#ledger.stages(session.working).map(stageMessage);
		const bytes = stateMessage(phase, this.#options, { session, subscription, watermarkNs, warnings, stages });
		subscription.tell(bytes, phase !== Phase.running);
	}
}
