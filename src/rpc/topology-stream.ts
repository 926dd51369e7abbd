import { createHash } from "node:crypto";
import { encode } from "./codec.js";
import type { NodeTopologyMessage } from "./messages.js";
import type { Reply } from "./server.js";

/** The nodes that a server tells of, as they are when it is asked. */
export interface ToldNodes {
	names(): Iterable<string>;
	/** Null: it is gone. */
	node(name: string): NodeTopologyMessage | null;
}

/**
 * WatchTopology for one client: all nodes, then those that change and those that go. While the client does not read only
 * the names of what has changed are kept; once it reads again it gets each of them once, as it is by then. So it costs
 * one message in flight, however slow it is, and misses nothing but states that are past.
 */
export class TopologyStream {
	readonly #call: Pick<Reply, "write" | "end" | "destroyed">;
	readonly #nodes: ToldNodes;
	/** Digest of what the client knows of each node. */
	readonly #told = new Map<string, string>();
	readonly #pending = new Set<string>();
	#begun = false;
	#busy = false;

	constructor(call: Pick<Reply, "write" | "end" | "destroyed">, nodes: ToldNodes) {
		this.#call = call;
		this.#nodes = nodes;
	}

	/** The snapshot. What changes before is in it. */
	begin(): void {
		if (this.#begun || this.#call.destroyed) return;
		this.#begun = true;
		const nodes = [...this.#nodes.names()].flatMap((name) => this.#news(name) ?? []);
		this.#write({ snapshot: { nodes } });
	}

	/** Something on a node may have changed, or it has come or gone. */
	changed(name: string): void {
		if (!this.#begun) return;
		this.#pending.add(name);
		this.#flush();
	}

	end(): void {
		this.#call.end();
	}

	#flush(): void {
		if (this.#busy || this.#pending.size === 0) return;
		const names = [...this.#pending];
		this.#pending.clear();
		const changed = names.flatMap((name) => this.#news(name) ?? []);
		const gone = names.filter((name) => this.#told.has(name) && this.#nodes.node(name) === null);
		for (const name of gone) this.#told.delete(name);
		if (changed.length + gone.length > 0) this.#write({ delta: { changed, gone } });
	}

	/** A node, unless it is gone or the client knows as much. */
	#news(name: string): NodeTopologyMessage | null {
		const node = this.#nodes.node(name);
		if (node === null) return null;
		const bytes = encode("WatchTopologyResponse", { snapshot: { nodes: [node] } });
		const digest = createHash("sha1").update(bytes).digest("base64");
		if (this.#told.get(name) === digest) return null;
		this.#told.set(name, digest);
		return node;
	}

	#write(message: Parameters<typeof encode<"WatchTopologyResponse">>[1]): void {
		this.#busy = true;
		this.#call.write(encode("WatchTopologyResponse", message), () => {
			this.#busy = false;
			this.#flush();
		});
	}
}
