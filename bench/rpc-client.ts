import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { OuterTable } from "../src/packet/outers.js";
import { TupleTable } from "../src/packet/tuples.js";
import { BatchDecoder, readResponse } from "../src/rpc/batch-decoder.js";
import { Channel } from "../src/rpc/client/channel.js";
import { decode, encode, numberOf } from "../src/rpc/codec.js";
import { Phase } from "../src/rpc/messages.js";
import { WireReader } from "../src/rpc/wire.js";
import { cpuNs } from "./cpu.js";

/** What came of a flood. */
export interface Received {
	/** Events; or whole paths: delivered, by all hooks of both nodes. */
	readonly whole: number;
	/** Paths that were not. */
	readonly torn: number;
	/** Events or paths that were counted as lost. */
	readonly lost: number;
	/** Of the client. */
	readonly cpuNs: number;
}

const PROTECTION = { tls: null, insecure: false } as const;

/** Reads StreamSightings into columns, in this process. */
export class SightingsClient {
	readonly #channel: Channel;
	readonly #call: ReturnType<Channel["streamSightings"]>;
	/** CPU time when it was marked. */
	#begun = 0;
	readonly #ready: Promise<void>;
	readonly #decoder = new BatchDecoder({
		tuples: new TupleTable(),
		outers: new OuterTable(),
		hook: () => 0,
		line: (wallNs) => ({ timeNs: Number(wallNs), rate: 1 }),
	});
	#settle: () => void = () => {};
	#events = 0;
	#lost = 0;
	#lostBefore = 0;

	private constructor(address: string, from: string, to: string) {
		this.#channel = new Channel(address, PROTECTION);
		this.#call = this.#channel.streamSightings();
		this.#ready = new Promise((resolve) => {
			this.#settle = resolve;
		});
		this.#call.on("data", (bytes: Buffer) => this.#hear(bytes));
		this.#call.write(
			encode("StreamSightingsRequest", { from: { end: from }, to: { end: to }, filter: "udp port 9000", sample: 1 }),
		);
	}

	/** Resolves when the hooks are on. */
	static async start(address: string, from: string, to: string): Promise<SightingsClient> {
		const client = new SightingsClient(address, from, to);
		await client.#ready;
		client.mark();
		return client;
	}

	/** What comes from here on counts. */
	mark(): void {
		this.#begun = cpuNs();
		this.#events = 0;
		this.#lostBefore = this.#lost;
	}

	async stop(): Promise<Received> {
		const ended = once(this.#call, "end");
		this.#call.write(encode("StreamSightingsRequest", { finish: true }));
		await ended;
		this.#channel.close();
		return { whole: this.#events, torn: 0, lost: this.#lost - this.#lostBefore, cpuNs: cpuNs() - this.#begun };
	}

	#hear(bytes: Buffer): void {
		let isOther = false;
		readResponse(new WireReader(bytes), {
			batch: (reader) => {
				const { rows } = this.#decoder.decode(reader);
				this.#events += rows.count;
				this.#decoder.release(rows);
			},
			progress: (_, losses) => {
				this.#lost = [...losses.values()].reduce((sum, count) => sum + count, 0);
			},
			other: () => {
				isOther = true;
			},
		});
		if (isOther && decode("StreamSightingsResponse", bytes).state?.phase === Phase.ready) this.#settle();
	}
}

/** Fields of TraceResponse and Path, and the numbers that are looked for. */
const RESPONSE_PATHS = 2;
const PATH = { hops: 8, verdict: 9 } as const;
const DELIVERED = 1;
const WHOLE_HOPS = 8;
const QUIET_MS = 1000;

/** Reads the messages of Trace: how each path ended, and by how many hooks it was seen. */
export class PathsClient {
	readonly #channel: Channel;
	readonly #call: ReturnType<Channel["stream"]>;
	/** CPU time when it was marked. */
	#begun = 0;
	readonly #ready: Promise<void>;
	#settle: () => void = () => {};
	#whole = 0;
	#torn = 0;
	#lost = 0;
	#lostBefore = 0;

	private constructor(address: string, from: string, to: string) {
		this.#channel = new Channel(address, PROTECTION);
		const request = { from: { end: from }, to: { end: to }, filter: "udp port 9000", namespace: "", sample: 1 };
		this.#call = this.#channel.stream("trace", encode("TraceRequest", request));
		this.#ready = new Promise((resolve, reject) => {
			this.#settle = resolve;
			this.#call.on("error", reject);
		});
		this.#call.on("data", (bytes: Buffer) => this.#hear(bytes));
	}

	/** Resolves when the hooks are on. */
	static async start(address: string, from: string, to: string): Promise<PathsClient> {
		const client = new PathsClient(address, from, to);
		await client.#ready;
		client.mark();
		return client;
	}

	/** What comes from here on counts. */
	mark(): void {
		this.#begun = cpuNs();
		this.#whole = 0;
		this.#torn = 0;
		this.#lostBefore = this.#lost;
	}

	/** When nothing has come for a while: on a busy machine the last paths take their time. */
	async stop(): Promise<Received> {
		for (let before = -1; before !== this.#whole + this.#torn; await sleep(QUIET_MS)) before = this.#whole + this.#torn;
		this.#call.on("error", () => undefined);
		this.#call.cancel();
		this.#channel.close();
		return { whole: this.#whole, torn: this.#torn, lost: this.#lost - this.#lostBefore, cpuNs: cpuNs() - this.#begun };
	}

	#hear(bytes: Buffer): void {
		const reader = new WireReader(bytes);
		while (reader.next()) {
			if (reader.field !== RESPONSE_PATHS) {
				this.#state(bytes);
				return;
			}
			this.#path(reader.nested());
		}
	}

	#path(reader: WireReader): void {
		let [hops, verdict] = [0, 0];
		while (reader.next()) {
			if (reader.field === PATH.hops) hops++;
			if (reader.field === PATH.verdict) verdict = reader.uint32();
			else reader.skip();
		}
		if (verdict === DELIVERED && hops === WHOLE_HOPS) this.#whole++;
		else this.#torn++;
	}

	#state(bytes: Buffer): void {
		const { state } = decode("TraceResponse", bytes);
		if (!state) return;
		this.#lost = state.losses.reduce((sum, { count }) => sum + numberOf(count), 0);
		if (state.phase === Phase.ready) this.#settle();
	}
}
