import type { GroupBy } from "../../latency/group.js";
import type { Segment } from "../../latency/report.js";
import { WireTimes } from "../../latency/wire-times.js";
import { type RemoteRequest, startRemoteTrace } from "./remote-trace.js";

/** Paths a second that are measured at the most, and at the least where more are sent: between them the sample stays. */
const MOST_A_SECOND = 5000;
const LEAST_A_SECOND = 500;
const MOST_SAMPLE = 2 ** 20;

export interface WireRequest extends Pick<RemoteRequest, "agents" | "followAgents" | "protection"> {
	readonly by: GroupBy | null;
	/** One line: something the user should know. */
	readonly onWarning: (line: string) => void;
}

/**
 * Times packets between the nodes of agents: sightings of NICs alone, of a sample of the packets that is made the smaller
 * the more there are, joined here. What a slow reader or a full ring costs makes fewer samples, never a wrong one.
 */
export class WireWatch {
	readonly #request: WireRequest;
	readonly #nodes = new Set<string>();
	readonly #times: WireTimes;
	#sample = 1;
	#paths = 0;
	#run: { readonly stop: AbortController; readonly over: Promise<void> } | null = null;
	#turn: Promise<void> = Promise.resolve();
	#stopped = false;

	/**
	 * Resolves when the NICs are watched.
	 * @throws TraceError when no agent answers
	 */
	static async start(request: WireRequest): Promise<WireWatch> {
		const watch = new WireWatch(request);
		await watch.#begin();
		return watch;
	}

	private constructor(request: WireRequest) {
		this.#request = request;
		this.#times = new WireTimes(request.by, (node) => this.#nodes.has(node));
	}

	/** One packet in so many is timed now; a power of two. */
	get sample(): number {
		return this.#sample;
	}

	interval(): readonly Segment[] {
		return this.#times.interval();
	}

	total(): readonly Segment[] {
		return this.#times.total();
	}

	/** Nothing is watched any more; what was under way is in the figures. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await this.#turn;
		await this.#end();
	}

	async #begin(): Promise<void> {
		const stop = new AbortController();
		const { by: _, onWarning, ...asked } = this.#request;
		let since = "";
		let isReady: () => void = () => undefined;
		const ready = new Promise<void>((resolve) => {
			isReady = resolve;
		});
		const request = {
			...asked,
			...{ sample: this.#sample, roles: ["nic"] as const, everyPath: true },
			...{ from: "any", to: "any", filter: "ip or ip6", namespace: "default", count: null, durationMs: null },
		};
		const trace = startRemoteTrace(
			request,
			{
				ready: ({ nodes }) => {
					for (const node of nodes) this.#nodes.add(node);
					// Until all were watched, one end of a wire alone says nothing.
					since = new Date().toISOString();
					isReady();
				},
				path: (path) => {
					this.#paths++;
					if ((path.hops[0]?.first ?? "") > since) this.#times.path(path);
				},
				status: ({ seconds }) => this.#adapt(seconds),
				hook: ({ node }) => void this.#nodes.add(node),
				warning: onWarning,
				summary: () => undefined,
			},
			stop.signal,
		);
		const over = trace.then(() => undefined);
		// Before it is ready that is an answer to whoever starts it; later it is a wire that is measured no more.
		over.catch((cause: unknown) => {
			if (!this.#stopped) onWarning(`the wire is not measured: ${cause instanceof Error ? cause.message : cause}`);
		});
		await Promise.race([ready, over]);
		this.#run = { stop, over };
	}

	async #end(): Promise<void> {
		const run = this.#run;
		this.#run = null;
		run?.stop.abort();
		await run?.over.catch(() => undefined);
	}

	#adapt(seconds: number): void {
		const rate = this.#paths / seconds;
		this.#paths = 0;
		const sample = nextSample(this.#sample, rate);
		if (sample === this.#sample || this.#stopped) return;
		this.#sample = sample;
		this.#turn = this.#turn
			.then(async () => {
				if (this.#stopped) return;
				await this.#end();
				await this.#begin();
			})
			.catch(() => undefined);
	}
}

/** The sample that brings so many paths a second between the bounds. */
export function nextSample(sample: number, rate: number): number {
	let next = sample;
	for (let now = rate; now > MOST_A_SECOND && next < MOST_SAMPLE; now /= 2) next *= 2;
	for (let now = rate; now < LEAST_A_SECOND && next > 1; now *= 2) next /= 2;
	return next;
}
