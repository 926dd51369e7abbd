import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import type { GroupBy } from "../../latency/group.js";
import type { LatencyReport, Segment } from "../../latency/report.js";
import { QUANTILE_ERROR } from "../../latency/scale.js";
import { decode, encode } from "../codec.js";
import type { Protection } from "../credentials.js";
import { Phase } from "../messages.js";
import { Channel, RpcError } from "./channel.js";
import { SegmentSums } from "./segment-sums.js";
import { WireWatch } from "./wire-watch.js";

export interface RemoteLatencyRequest {
	/** unix:/path or host:port, of agents and relays. */
	readonly agents: readonly string[];
	readonly protection: Protection;
	readonly bridge: string | null;
	readonly by: GroupBy | null;
	readonly inside: boolean;
	/** Also what is between the nodes. */
	readonly wire: boolean;
}

const MOST_WARNINGS = 20;
/** How often agents tell what was added. */
const INTERVAL_MS = 500;
/** How long agents have for their last words. */
const FINISH_MS = 2000;

/** Latency as agents and relays measure it, each on its nodes; and the wire between them, which is measured here. */
export class RemoteLatency {
	readonly #request: RemoteLatencyRequest;
	readonly #streams: Stream[] = [];
	readonly #since = new SegmentSums();
	readonly #all = new SegmentSums();
	readonly #nodes = new Set<string>();
	readonly #warned: string[] = [];
	#wire: WireWatch | null = null;
	#began = 0;
	#lastTime = 0;

	/**
	 * Resolves when every hook times packets.
	 * @throws RpcError when an agent refuses or does not answer, TraceError when the wire cannot be watched
	 */
	static async start(request: RemoteLatencyRequest): Promise<RemoteLatency> {
		const latency = new RemoteLatency(request);
		try {
			await latency.#begin();
			return latency;
		} catch (cause) {
			await latency.stop();
			throw cause;
		}
	}

	private constructor(request: RemoteLatencyRequest) {
		this.#request = request;
	}

	get ready(): { readonly nodes: readonly string[] } {
		return { nodes: [...this.#nodes].sort() };
	}

	/** What was timed since the last call, or since the beginning. */
	interval(): LatencyReport {
		const now = performance.now();
		const report = this.#report(this.#since, this.#wire?.interval() ?? [], (now - this.#lastTime) / 1000);
		this.#since.clear();
		this.#lastTime = now;
		return report;
	}

	/** What was timed since the beginning. Does not disturb the intervals. */
	total(): LatencyReport {
		return this.#report(this.#all, this.#wire?.total() ?? [], (performance.now() - this.#began) / 1000);
	}

	/** All that the agents have measured has come. */
	async stop(): Promise<void> {
		await Promise.all([...this.#streams.map((stream) => stream.finish()), this.#wire?.stop()]);
		for (const { channel } of this.#streams) channel.close();
	}

	async #begin(): Promise<void> {
		const { agents, protection, bridge, by, inside } = this.#request;
		const request = encode("WatchLatencyRequest", {
			...{ bridge: bridge ?? "", by: by ?? "", inside, wire: false, intervalMs: INTERVAL_MS },
		});
		for (const address of agents) {
			const channel = new Channel(address, protection);
			this.#streams.push(new Stream(channel, request, (bytes) => this.#hear(bytes)));
		}
		const betweenNodes = this.#request.wire ? this.#watchWire() : null;
		await Promise.all([...this.#streams.map(({ ready }) => ready), betweenNodes]);
		this.#began = performance.now();
		this.#lastTime = this.#began;
	}

	async #watchWire(): Promise<void> {
		const { agents, protection, by } = this.#request;
		this.#wire = await WireWatch.start({ agents, protection, by, onWarning: (line) => this.#warn(line) });
	}

	#hear(bytes: Buffer): void {
		const { state, delta } = decode("WatchLatencyResponse", bytes);
		for (const { node } of state?.nodes ?? []) this.#nodes.add(node);
		for (const line of state?.warnings ?? []) this.#warn(line);
		if (!delta) return;
		for (const sums of [this.#since, this.#all]) sums.add(delta);
	}

	#report(sums: SegmentSums, wires: readonly Segment[], seconds: number): LatencyReport {
		const sampled = this.#wire?.sample ?? 1;
		const told = wires.length > 0 && sampled > 1 ? [`of ${sampled} packets on the wire one is timed now`] : [];
		return {
			type: "latency",
			time: new Date().toISOString(),
			seconds,
			quantileError: QUANTILE_ERROR,
			segments: [...sums.segments(), ...wires],
			packets: null,
			warnings: [...this.#warned, ...told],
		};
	}

	#warn(line: string): void {
		if (!this.#warned.includes(line) && this.#warned.length < MOST_WARNINGS) this.#warned.push(line);
	}
}

/** WatchLatency of one agent, to its last word. */
class Stream {
	readonly channel: Channel;
	readonly ready: Promise<void>;
	readonly #stream: ClientReadableStream<Buffer>;
	readonly #over: Promise<void>;

	constructor(channel: Channel, request: Buffer, hear: (bytes: Buffer) => void) {
		this.channel = channel;
		this.#stream = channel.stream("watchLatency", request);
		let end: () => void = () => undefined;
		this.#over = new Promise((resolve) => {
			end = resolve;
		});
		this.ready = new Promise((resolve, reject) => {
			this.#stream.on("data", (bytes: Buffer) => {
				const { state } = decode("WatchLatencyResponse", bytes);
				hear(bytes);
				if (state?.phase === Phase.ready) resolve();
			});
			this.#stream.on("error", (error: ServiceError) => {
				reject(new RpcError(channel.address.text, error));
				end();
			});
			this.#stream.on("end", end);
		});
	}

	/** What was measured up to now comes within an interval. */
	async finish(): Promise<void> {
		const last = new Promise<void>((resolve) => setTimeout(resolve, Math.min(FINISH_MS, INTERVAL_MS * 1.5)));
		await Promise.race([this.#over, last]);
		this.#stream.cancel();
	}
}
