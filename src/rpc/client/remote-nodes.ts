import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { type NodeTopology, nameRemotes } from "../../identity/topology.js";
import { decode } from "../codec.js";
import type { Protection } from "../credentials.js";
import { type Evidence, evidenceFrom } from "../evidence.js";
import type { NodeTopologyMessage } from "../messages.js";
import { topologyOf } from "../topology-message.js";
import { Backoff } from "./backoff.js";
import { Channel, RpcError } from "./channel.js";

export interface RemoteNodesOptions {
	readonly addresses: readonly string[];
	readonly protection: Protection;
	/** Whether nodes come with all that their kernels, files and daemons say. */
	readonly withEvidence: boolean;
}

/** For the first answer: a socket may accept and say nothing. */
const PATIENCE_MS = 5000;

/** The nodes that agents and relays serve, as WatchTopology tells of them, followed until closed. */
export class RemoteNodes {
	readonly #followers: readonly Follower[];
	#onChange: () => void = () => {};

	private constructor(options: RemoteNodesOptions) {
		this.#followers = options.addresses.map((address) => new Follower(address, options, () => this.#onChange()));
	}

	/**
	 * Resolves when each has answered or failed.
	 * @throws CredentialsError when an address may not be called like that; RpcError when nobody answers
	 */
	static async open(options: RemoteNodesOptions): Promise<RemoteNodes> {
		const nodes = new RemoteNodes(options);
		const failures = await Promise.all(nodes.#followers.map(({ settled }) => settled));
		const [first] = failures;
		if (first == null || failures.some((failure) => failure === null)) return nodes;
		nodes.close();
		throw first;
	}

	/** From now on, whenever something comes, goes or changes on any of them. */
	onChange(call: () => void): void {
		this.#onChange = call;
	}

	/** As they came, each once. */
	get messages(): readonly NodeTopologyMessage[] {
		const all = this.#followers.flatMap(({ nodes }) => [...nodes.values()]);
		return [...new Map(all.map((node) => [node.node, node])).values()];
	}

	/** The same, each node calling the others by their names. */
	get topologies(): readonly NodeTopology[] {
		return nameRemotes(this.messages.map(topologyOf));
	}

	/** What each node's kernel, files and daemons say, by node; asked for by `withEvidence`. */
	get evidence(): ReadonlyMap<string, Evidence> {
		return new Map(
			this.messages.flatMap(({ node, evidence: bytes }) => {
				const evidence = evidenceFrom(bytes);
				return evidence === null ? [] : [[node, evidence]];
			}),
		);
	}

	/** Why some do not answer now, one line each. */
	get failures(): readonly string[] {
		return this.#followers.flatMap(({ failure }) => failure ?? []);
	}

	close(): void {
		for (const follower of this.#followers) follower.close();
	}
}

/** What is behind one address; connects again, ever less often, when it is gone. */
class Follower {
	readonly nodes = new Map<string, NodeTopologyMessage>();
	/** The first answer, or why there was none. */
	readonly settled: Promise<RpcError | null>;
	readonly #channel: Channel;
	readonly #withEvidence: boolean;
	readonly #onChange: () => void;
	readonly #patience: NodeJS.Timeout;
	#settle: (failure: RpcError | null) => void = () => {};
	#stream: ClientReadableStream<Buffer> | null = null;
	readonly #retry = new Backoff(() => this.#connect());
	#failure: string | null = null;
	#closed = false;

	constructor(address: string, { protection, withEvidence }: RemoteNodesOptions, onChange: () => void) {
		this.#channel = new Channel(address, protection);
		this.#withEvidence = withEvidence;
		this.#onChange = onChange;
		this.settled = new Promise((resolve) => {
			this.#settle = (failure) => {
				clearTimeout(this.#patience);
				resolve(failure);
			};
		});
		// What answers later is taken all the same.
		this.#patience = setTimeout(() => this.#settle(this.#silent()), PATIENCE_MS);
		this.#connect();
	}

	get failure(): string | null {
		return this.#failure;
	}

	close(): void {
		this.#closed = true;
		this.#retry.close();
		clearTimeout(this.#patience);
		this.#stream?.cancel();
		this.#channel.close();
	}

	#connect(): void {
		const stream = this.#channel.watchTopology({ withEvidence: this.#withEvidence });
		this.#stream = stream;
		stream.on("data", (bytes: Buffer) => this.#hear(bytes));
		stream.on("error", (error: ServiceError) => this.#failed(stream, new RpcError(this.#channel.address.text, error)));
		stream.on("end", () => this.#failed(stream, null));
	}

	#silent(): RpcError {
		const { text } = this.#channel.address;
		const details = `no answer within ${PATIENCE_MS / 1000} s`;
		this.#failure ??= `${text}: ${details}`;
		return new RpcError(text, { details, code: status.DEADLINE_EXCEEDED });
	}

	#hear(bytes: Buffer): void {
		const { snapshot, delta } = decode("WatchTopologyResponse", bytes);
		if (snapshot) {
			this.nodes.clear();
			for (const node of snapshot.nodes) this.nodes.set(node.node, node);
			this.#failure = null;
			this.#retry.worked();
			this.#settle(null);
		}
		for (const node of delta?.changed ?? []) this.nodes.set(node.node, node);
		for (const name of delta?.gone ?? []) this.nodes.delete(name);
		if (!this.#closed) this.#onChange();
	}

	#failed(stream: ClientReadableStream<Buffer>, error: RpcError | null): void {
		if (this.#closed || this.#stream !== stream) return;
		this.#stream = null;
		this.#failure = error?.message ?? `${this.#channel.address.text}: it went away`;
		this.nodes.clear();
		this.#settle(error);
		this.#onChange();
		this.#retry.failed();
	}
}
