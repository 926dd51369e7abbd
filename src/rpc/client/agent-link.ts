import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { bigOf, decode, word64 } from "../codec.js";
import type { Protection } from "../credentials.js";
import { type Evidence, evidenceFrom } from "../evidence.js";
import type { NodeTopologyMessage } from "../messages.js";
import { Backoff } from "./backoff.js";
import { Channel } from "./channel.js";
import { ClockEstimate, type ClockReading } from "./clock-estimate.js";

/** A node that an agent, or a relay, serves. */
export interface RemoteNode {
	readonly name: string;
	/** The agent process: another one is another epoch. */
	readonly instance: string;
	readonly evidence: Evidence;
	/** How to reach it. */
	readonly link: AgentLink;
}

export interface LinkListener {
	/** It came, or something on it changed. */
	node(node: RemoteNode): void;
	gone(name: string, why: string): void;
	/** The first answer, or the first failure. */
	settled(failure: string | null): void;
	/** `offset`: of the node's wall clock against ours. */
	clock(name: string, reading: ClockReading): void;
	/** As it came, before `node`. */
	topology?(node: NodeTopologyMessage): void;
}

/** While rows wait to be put on one line. */
const TRACING_CLOCK_MS = 400;
/** Exchanges in a row: the quickest counts. */
const CLOCK_BURST = 4;

/** Follows what is behind an address, and its nodes' clocks; connects again, ever less often, when it is gone. */
export class AgentLink {
	readonly address: string;
	readonly channel: Channel;
	/** So that exchanges of times do not wait behind batches. */
	readonly #times: Channel;
	readonly #listener: LinkListener;
	readonly #nodes = new Map<string, RemoteNode>();
	readonly #clocks = new Map<string, { readonly instance: string; readonly estimate: ClockEstimate }>();
	readonly #lineBase: bigint;
	readonly #clockMs: number;
	#stream: ClientReadableStream<Buffer> | null = null;
	readonly #retry = new Backoff(
		() => this.#connect(),
		() => 0.75 + Math.random() / 2,
	);
	#clockTimer: NodeJS.Timeout | null = null;
	#closed = false;

	/**
	 * @param line our clocks at 0 of readings' `atNs`
	 * @param clockMs how often clocks are measured
	 */
	constructor(
		address: string,
		protection: Protection,
		line: LineBase,
		listener: LinkListener,
		clockMs = TRACING_CLOCK_MS,
	) {
		this.address = address;
		this.channel = new Channel(address, protection);
		this.#times = new Channel(address, protection);
		this.#listener = listener;
		this.#clockMs = clockMs;
		this.#lineBase = line.wallNs;
		this.#now = () => Number(process.hrtime.bigint() - line.monotonicNs);
		this.#connect();
	}

	readonly #now: () => number;

	get nodes(): ReadonlyMap<string, RemoteNode> {
		return this.#nodes;
	}

	close(): void {
		this.#closed = true;
		this.#stream?.cancel();
		this.#retry.close();
		if (this.#clockTimer !== null) clearTimeout(this.#clockTimer);
		this.channel.close();
		this.#times.close();
	}

	/** Some exchanges now, for a first reading. */
	async measure(name: string, exchanges = CLOCK_BURST): Promise<void> {
		const node = this.#nodes.get(name);
		if (node === undefined) return;
		const known = this.#clocks.get(name);
		const clock =
			known?.instance === node.instance ? known : { instance: node.instance, estimate: new ClockEstimate() };
		this.#clocks.set(name, clock);
		for (let i = 0; i < exchanges; i++) {
			const sentNs = this.#now();
			const clientTimeNs = word64(this.#lineBase + BigInt(sentNs));
			const answer = await this.#times.syncClock({ clientTimeNs, node: name });
			const receivedNs = this.#now();
			if (answer.instance !== node.instance) return;
			const theirs = (word: typeof answer.sentNs) => Number(bigOf(word) - this.#lineBase);
			const [theirsReceivedNs, theirsSentNs] = [theirs(answer.receivedNs), theirs(answer.sentNs)];
			clock.estimate.add({ sentNs, receivedNs, theirsReceivedNs, theirsSentNs });
		}
		const now = this.#now();
		const reading = clock.estimate.at(now);
		// It must hold until the next one.
		const later = clock.estimate.at(now + this.#clockMs * 2e6);
		if (reading === null || this.#closed) return;
		this.#listener.clock(name, { ...reading, errorNs: Math.max(reading.errorNs, later?.errorNs ?? 0) });
	}

	#connect(): void {
		const stream = this.channel.watchTopology({ withEvidence: true });
		this.#stream = stream;
		stream.on("data", (bytes: Buffer) => this.#hear(bytes));
		stream.on("error", (error: ServiceError) => this.#failed(stream, error.details || error.message));
		stream.on("end", () => this.#failed(stream, "it ended"));
	}

	#failed(stream: ClientReadableStream<Buffer>, why: string): void {
		if (this.#closed || this.#stream !== stream) return;
		this.#stream = null;
		for (const name of [...this.#nodes.keys()]) this.#lose(name, why);
		this.#listener.settled(`${this.address}: ${why}`);
		this.#retry.failed();
	}

	#hear(bytes: Buffer): void {
		const { snapshot, delta } = decode("WatchTopologyResponse", bytes);
		if (snapshot) {
			const present = new Set(snapshot.nodes.map(({ node }) => node));
			for (const name of [...this.#nodes.keys()]) if (!present.has(name)) this.#lose(name, "it is gone");
			for (const node of snapshot.nodes) this.#learn(node);
			this.#retry.worked();
			this.#listener.settled(null);
			this.#clockTimer ??= setTimeout(() => this.#keepTime(), this.#clockMs);
		}
		for (const node of delta?.changed ?? []) this.#learn(node);
		for (const name of delta?.gone ?? []) this.#lose(name, "it is gone");
	}

	#learn(message: NodeTopologyMessage): void {
		const { node: name, instance, evidence: bytes } = message;
		const evidence = evidenceFrom(bytes);
		if (evidence === null) return;
		const known = this.#nodes.get(name);
		if (known !== undefined && known.instance !== instance) this.#lose(name, "it was started anew");
		const node: RemoteNode = { name, instance, evidence, link: this };
		this.#nodes.set(name, node);
		this.#listener.topology?.(message);
		this.#listener.node(node);
	}

	#lose(name: string, why: string): void {
		if (this.#nodes.delete(name)) this.#listener.gone(name, why);
	}

	#keepTime(): void {
		const measured = [...this.#nodes.keys()].map((name) => this.measure(name).catch(() => undefined));
		Promise.all(measured)
			.then(() => {
				if (!this.#closed) this.#clockTimer = setTimeout(() => this.#keepTime(), this.#clockMs);
			})
			.catch(() => undefined);
	}
}

/** Our two clocks, read together, ns: 0 of a trace's line. */
export interface LineBase {
	readonly wallNs: bigint;
	readonly monotonicNs: bigint;
}

export function lineBaseNow(): LineBase {
	return { wallNs: BigInt(Date.now()) * 1_000_000n, monotonicNs: process.hrtime.bigint() };
}
