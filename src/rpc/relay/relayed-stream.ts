import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { RemoteNode } from "../client/agent-link.js";
import { decode, encode } from "../codec.js";
import { type ClusterMessage, Phase, type StreamSightingsRequest } from "../messages.js";
import { bareNodeState } from "../node-state-message.js";
import { Refusal, serviceErrorOf } from "../refusal.js";
import type { Conversation } from "../server.js";

export interface RelayedBy {
	/** @throws Refusal */
	check(request: StreamSightingsRequest): void;
	/** Whom to ask now. */
	asked(request: StreamSightingsRequest): readonly RemoteNode[];
	cluster(): ClusterMessage;
	over(): void;
}

type AgentCall = ClientDuplexStream<Buffer, Buffer>;

/**
 * One client's StreamSightings over those of the agents. A client that reads slowly makes the agents wait, each of which
 * bounds and counts what that costs; nothing is kept here.
 */
export class RelayedStream {
	readonly #call: Conversation;
	readonly #instance: string;
	readonly #by: RelayedBy;
	readonly #agents = new Map<string, AgentCall>();
	readonly #paused = new Set<AgentCall>();
	#request: StreamSightingsRequest | null = null;
	#finishing = false;
	#over = false;

	constructor(call: Conversation, instance: string, by: RelayedBy) {
		this.#call = call;
		this.#instance = instance;
		this.#by = by;
		call.on("data", (bytes: Buffer) => this.#hear(bytes));
		call.on("drain", () => this.#drained());
		call.on("cancelled", () => this.#stop());
		call.on("close", () => this.#stop());
	}

	end(): void {
		this.#stop();
		this.#call.end();
	}

	/** Nodes came back, or new ones are to be asked; and names are known that were not. */
	worldChanged(cluster: ClusterMessage): void {
		const request = this.#request;
		if (request === null || this.#over || this.#finishing) return;
		if (request.cluster === null) {
			const bytes = encode("StreamSightingsRequest", { cluster });
			for (const agent of this.#agents.values()) agent.write(bytes);
		}
		this.#ask(request);
	}

	#hear(bytes: Buffer): void {
		try {
			const request = decode("StreamSightingsRequest", bytes);
			if (this.#request === null) this.#begin(request);
			else this.#follow(request, bytes);
		} catch (cause) {
			this.#stop();
			this.#call.emit("error", serviceErrorOf(cause));
		}
	}

	#begin(request: StreamSightingsRequest): void {
		this.#by.check(request);
		// One key for all agents: hashes of payloads are compared between them.
		const hashSalt = request.hashSalt.length === 0 ? crypto.getRandomValues(new Uint8Array(8)) : request.hashSalt;
		// Encoded and decoded: a copy by spreading has no defaults for what the client left out.
		this.#request = decode("StreamSightingsRequest", encode("StreamSightingsRequest", { ...request, hashSalt }));
		this.#ask(this.#request);
		if (this.#agents.size === 0) throw new Refusal(status.UNAVAILABLE, "no agent holds these ends now");
	}

	#follow(request: StreamSightingsRequest, bytes: Buffer): void {
		for (const agent of this.#agents.values()) agent.write(bytes);
		if (!request.finish) return;
		this.#finishing = true;
		this.#endWhenAll();
	}

	#ask(request: StreamSightingsRequest): void {
		for (const node of this.#by.asked(request)) if (!this.#agents.has(node.name)) this.#open(node, request);
	}

	#open({ name, link }: RemoteNode, request: StreamSightingsRequest): void {
		const agent = link.channel.streamSightings();
		this.#agents.set(name, agent);
		agent.on("data", (bytes: Buffer) => {
			if (this.#over || this.#call.write(bytes)) return;
			agent.pause();
			this.#paused.add(agent);
		});
		agent.on("error", (error: ServiceError) => this.#broken(name, agent, error));
		agent.on("end", () => this.#ended(name, agent));
		const cluster = request.cluster ?? this.#by.cluster();
		agent.write(encode("StreamSightingsRequest", { ...request, cluster, nodes: [name] }));
	}

	#drained(): void {
		for (const agent of this.#paused) agent.resume();
		this.#paused.clear();
	}

	#ended(name: string, agent: AgentCall): void {
		if (this.#agents.get(name) !== agent) return;
		this.#agents.delete(name);
		this.#endWhenAll();
	}

	#broken(name: string, agent: AgentCall, error: ServiceError): void {
		if (this.#over || this.#agents.get(name) !== agent) return;
		this.#agents.delete(name);
		this.#paused.delete(agent);
		const request = this.#request;
		if (request !== null && (request.nodes.length === 1 || error.code === status.INVALID_ARGUMENT)) {
			this.#stop();
			this.#call.emit("error", { code: error.code, details: `${name}: ${error.details}` });
			return;
		}
		this.#tellGone(name, error.details);
		if (this.#finishing) this.#endWhenAll();
	}

	/** It may come back; until then nobody sees what happens there. */
	#tellGone(name: string, why: string): void {
		const state = {
			...{
				phase: Phase.running,
				instance: this.#instance,
				nextSequence: 0,
				nodes: [bareNodeState(name, false)],
				losses: [],
				ledger: [],
			},
			warnings: [`${name} is gone: ${why}`],
		};
		this.#call.write(encode("StreamSightingsResponse", { state, node: name }));
	}

	#endWhenAll(): void {
		if (!this.#finishing || this.#agents.size > 0 || this.#over) return;
		this.#over = true;
		this.#by.over();
		this.#call.end();
	}

	#stop(): void {
		if (this.#over) return;
		this.#over = true;
		this.#by.over();
		for (const agent of this.#agents.values()) agent.cancel();
		this.#agents.clear();
	}
}
