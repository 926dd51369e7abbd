import assert from "node:assert/strict";
import { NOBODY } from "../../src/collector/cluster.js";
import { Pipeline } from "../../src/collector/pipeline.js";
import { askQuestion } from "../../src/collector/question.js";
import { fanOut } from "../../src/packet/fanout.js";
import type { Hook, HookId } from "../../src/packet/hook.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import type { PathView } from "../../src/path/path-view.js";
import { AgentLink, type LineBase, lineBaseNow, type RemoteNode } from "../../src/rpc/client/agent-link.js";
import type { ClockReading } from "../../src/rpc/client/clock-estimate.js";
import { NodeClocks } from "../../src/rpc/client/node-clocks.js";
import { RemoteSource } from "../../src/rpc/client/remote-source.js";
import { clusterMessage } from "../../src/rpc/cluster-message.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { until } from "../until.js";

export interface JoiningOptions {
	readonly addresses: readonly string[];
	readonly filter: string;
	/** What keys the hashes of payloads. */
	readonly hashSalt: bigint;
	readonly path: (view: PathView, joining: AgentsJoining) => void;
	/** Rows as they go to the Joiner. */
	readonly rows: (rows: Sightings) => void;
	readonly reading: (node: string, reading: ClockReading, line: LineBase) => void;
}

/**
 * What `weft trace any any FILTER --agent …` does in its two threads, in this one, so that a test sees rows and paths as
 * they are, by the million.
 */
export class AgentsJoining {
	/** 0 of the Joiner's line by our clocks. */
	readonly line: LineBase = lineBaseNow();
	lost = 0;
	readonly #options: JoiningOptions;
	readonly #links: readonly AgentLink[];
	readonly #nodes = new Map<string, RemoteNode>();
	readonly #readings = new Map<string, ClockReading>();
	readonly #sources = new Map<string, RemoteSource>();
	readonly #hooks = new Map<number, Hook>();
	readonly #owners = new Map<Sightings, RemoteSource>();
	readonly #clocks = new NodeClocks((id) => this.#hooks.get(id) as Hook);
	readonly #pipeline: Pipeline;
	readonly #finish: (() => void)[] = [];
	/** Times that were found to be read back as they were sent. */
	checked = 0;
	#latest: Sightings | null = null;
	#ready = 0;
	#ended = 0;

	private constructor(options: JoiningOptions) {
		this.#options = options;
		this.#pipeline = new Pipeline({
			questions: [askQuestion({ from: "any", to: "any", filter: options.filter, namespace: "default" })],
			everyPath: true,
			release: (rows) => this.#release(rows),
			seen: (view) => this.#clocks.seen(view),
			path: (view) => options.path(view, this),
		});
		this.#links = options.addresses.map(
			(address) =>
				new AgentLink(address, { tls: null, insecure: false }, this.line, {
					node: (node) => void this.#nodes.set(node.name, node),
					gone: (name, why) => assert.fail(`${name}: ${why}`),
					settled: () => undefined,
					clock: (name, reading) => this.#read(name, reading),
				}),
		);
	}

	static async begin(options: JoiningOptions): Promise<AgentsJoining> {
		const joining = new AgentsJoining(options);
		await until(() => joining.#nodes.size === options.addresses.length);
		const nodes = [...joining.#nodes.values()];
		await Promise.all(nodes.map(({ name, link }) => link.measure(name)));
		joining.#pipeline.world(
			nodes.map(({ evidence }) => evidence.wiring),
			NOBODY,
		);
		for (const node of nodes) joining.#open(node);
		await until(() => joining.#ready === nodes.length);
		return joining;
	}

	/** ns since 1970 by the clock of the node that saw it: what its agent said. */
	wallAt(hook: number, lineNs: number): bigint {
		const source = this.#sources.get(this.nodeOf(hook)) as RemoteSource;
		return this.line.wallNs + BigInt(Math.round(lineNs + source.offsetOnLine(lineNs)));
	}

	nodeOf(hook: number): string {
		return (this.#hooks.get(hook) as Hook).node;
	}

	async end(): Promise<void> {
		for (const finish of this.#finish) finish();
		await until(() => this.#ended === this.#sources.size, 60_000);
		this.#pipeline.finish();
		for (const link of this.#links) link.close();
	}

	#open({ name, link }: RemoteNode): void {
		const source: RemoteSource = new RemoteSource(
			{
				...{ id: name as SourceId, node: name, lineBase: this.line.wallNs },
				...{ tuples: this.#pipeline.tuples, outers: this.#pipeline.outers },
				nextHookId: () => this.#hooks.size as HookId,
				onDrop: (_, report) => this.#pipeline.drop(source.id, report),
				onReady: () => void this.#ready++,
				onEnded: () => void this.#ended++,
			},
			fanOut([this.#witness(() => source)], this.#pipeline.sink),
		);
		this.#sources.set(name, source);
		const reading = this.#readings.get(name) as ClockReading;
		this.#pipeline.sink.clock(source.id, { offsetNs: 0, errorNs: reading.errorNs });
		this.#clocks.begin(source, reading);
		const call = link.channel.streamSightings();
		let messages = 0;
		call.on("data", (bytes: Buffer) => {
			const own = new Uint8Array(bytes);
			source.hear(own);
			if (messages++ % 20 === 0) this.#check(source, own);
		});
		call.on("error", (cause: Error) => {
			if (this.#ended < this.#sources.size) throw cause;
		});
		const hashSalt = Buffer.alloc(8);
		hashSalt.writeBigUInt64LE(this.#options.hashSalt);
		call.write(
			encode("StreamSightingsRequest", {
				...{ from: { end: "any" }, to: { end: "any" }, filter: this.#options.filter, namespace: "default" },
				...{ hashSalt, sample: 1, nodes: [name], cluster: clusterMessage(NOBODY) },
			}),
		);
		this.#finish.push(() => call.write(encode("StreamSightingsRequest", { finish: true })));
	}

	#release(rows: Sightings): void {
		const owner = this.#owners.get(rows);
		this.#owners.delete(rows);
		owner?.release(rows);
	}

	#witness(source: () => RemoteSource): SourceSink {
		const nothing = () => {};
		return {
			hook: (_, hook) => void this.#hooks.set(hook.id, hook),
			unhook: nothing,
			batch: (_, rows) => {
				this.#owners.set(rows, source());
				this.#options.rows(rows);
				this.#latest = rows;
			},
			lost: (_, __, count) => {
				this.lost += count;
			},
			watermark: nothing,
			clock: nothing,
			end: nothing,
		};
	}

	/** `wallAt` gives back what was sent. */
	#check(source: RemoteSource, bytes: Uint8Array): void {
		const { batch } = decode("StreamSightingsResponse", bytes) as { batch?: { baseTimeNs?: unknown } | null };
		const rows = this.#latest;
		this.#latest = null;
		if (!batch || rows === null || rows.count === 0) return;
		const word = batch.baseTimeNs as { readonly low: number; readonly high: number };
		const base = (BigInt(word.high >>> 0) << 32n) | BigInt(word.low >>> 0);
		// The base is the earliest row's time.
		const read = this.wallAt(rows.hook[0] as number, rows.time[0] as number);
		this.checked++;
		const off = Number(read - base);
		assert.ok(Math.abs(off) < 1000, `precondition: a time of ${source.node} is read back ${off} ns off`);
	}

	#read(name: string, reading: ClockReading): void {
		this.#readings.set(name, reading);
		this.#clocks.read(name, reading);
		this.#options.reading(name, reading, this.line);
	}
}
