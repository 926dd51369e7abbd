import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { RemoteNode } from "./agent-link.js";

/** Bytes between the socket and the joining thread; then the socket waits. */
const MOST_UNREAD = 16 << 20;
/** A process that died says so on all its connections, in any order; one that hangs says so only on some. */
const HUNG_MS = 1000;

export interface StreamsListener {
	bytes(key: string, bytes: Uint8Array<ArrayBuffer>): void;
	/** It is over without its last word. */
	broken(stream: { readonly key: string; readonly node: string }, why: string): void;
}

interface Stream {
	readonly key: string;
	readonly node: string;
	readonly call: ClientDuplexStream<Buffer, Buffer>;
	unread: number;
	isOver: boolean;
}

/** The StreamSightings of a trace: one at a time of each node. */
export class AgentStreams {
	readonly #listener: StreamsListener;
	readonly #streams = new Map<string, Stream>();
	readonly #byNode = new Map<string, Stream>();

	constructor(listener: StreamsListener) {
		this.#listener = listener;
	}

	/** Those that have not ended. */
	get open(): readonly { readonly key: string; readonly node: string }[] {
		return [...this.#streams.values()];
	}

	has(node: string): boolean {
		return this.#byNode.has(node);
	}

	begin({ name: node, link }: RemoteNode, key: string, request: Buffer): void {
		const call = link.channel.streamSightings();
		const stream: Stream = { key, node, call, unread: 0, isOver: false };
		this.#streams.set(key, stream);
		this.#byNode.set(node, stream);
		call.on("data", (bytes: Buffer) => this.#bytes(stream, bytes));
		call.on("error", (error: ServiceError) => this.#broken(stream, error.details || error.message));
		call.on("end", () => this.#broken(stream, "the agent ended the stream"));
		call.write(request);
	}

	/** To all. */
	write(request: Buffer): void {
		for (const { call } of this.#streams.values()) call.write(request);
	}

	/** So many bytes have been read. */
	taken(key: string, bytes: number): void {
		const stream = this.#streams.get(key);
		if (stream === undefined) return;
		stream.unread -= bytes;
		if (stream.call.isPaused() && stream.unread < MOST_UNREAD / 2) stream.call.resume();
	}

	/** Its last word was read. */
	finished(key: string): void {
		const stream = this.#streams.get(key);
		if (stream !== undefined) stream.isOver = true;
		this.#streams.delete(key);
	}

	/** The node is gone: its stream says so by itself, or is given up. False: there is none. */
	giveUp(node: string, isBack: () => boolean): boolean {
		const stream = this.#byNode.get(node);
		if (stream === undefined) return false;
		setTimeout(() => {
			if (!stream.isOver && !isBack()) stream.call.cancel();
		}, HUNG_MS).unref();
		return true;
	}

	close(): void {
		for (const { call } of this.#streams.values()) call.cancel();
	}

	#bytes(stream: Stream, bytes: Buffer): void {
		if (stream.isOver) return;
		const own = new Uint8Array(bytes);
		stream.unread += own.length;
		this.#listener.bytes(stream.key, own);
		if (stream.unread > MOST_UNREAD) stream.call.pause();
	}

	#broken(stream: Stream, why: string): void {
		if (stream.isOver) return;
		stream.isOver = true;
		this.#streams.delete(stream.key);
		if (this.#byNode.get(stream.node) === stream) this.#byNode.delete(stream.node);
		this.#listener.broken(stream, why);
	}
}
