import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Channel } from "../../src/rpc/client/channel.js";
import { decode } from "../../src/rpc/codec.js";
import type { NodeTopologyMessage, WatchTopologyResponse } from "../../src/rpc/messages.js";
import { type Responder, RpcServer } from "../../src/rpc/server.js";
import { type ToldNodes, TopologyStream } from "../../src/rpc/topology-stream.js";
import { until } from "../until.js";

/** Nodes whose state is a number, and `bytes` of evidence. */
class Nodes implements ToldNodes {
	readonly #states = new Map<string, number>();
	readonly #bytes: number;

	constructor(bytes = 0) {
		this.#bytes = bytes;
	}

	set(name: string, state: number): void {
		this.#states.set(name, state);
	}

	remove(name: string): void {
		this.#states.delete(name);
	}

	names(): Iterable<string> {
		return this.#states.keys();
	}

	node(name: string): NodeTopologyMessage | null {
		const state = this.#states.get(name);
		if (state === undefined) return null;
		return {
			...{ node: name, devices: [], pods: [], remotes: [], warnings: [], address: "", subnets: [] },
			instance: String(state),
			evidence: new Uint8Array(this.#bytes).fill(state),
		};
	}
}

/** A client that takes a message when it is told to. */
class Client {
	readonly heard: WatchTopologyResponse[] = [];
	readonly destroyed = false;
	#taken: (() => void) | null = null;

	write(bytes: Buffer, taken: () => void): boolean {
		assert.equal(this.#taken, null, "one message in flight");
		this.heard.push(decode("WatchTopologyResponse", bytes));
		this.#taken = taken;
		return false;
	}

	take(): void {
		const taken = this.#taken;
		this.#taken = null;
		taken?.();
	}

	end(): void {}
}

function begun(...names: readonly string[]) {
	const nodes = new Nodes();
	for (const name of names) nodes.set(name, 0);
	const client = new Client();
	const stream = new TopologyStream(client as never, nodes);
	stream.begin();
	return { nodes, client, stream };
}

function said({ snapshot, delta }: WatchTopologyResponse) {
	const states = (all: readonly NodeTopologyMessage[]) => all.map(({ node, instance }) => `${node} ${instance}`);
	return snapshot ? { all: states(snapshot.nodes) } : { changed: states(delta?.changed ?? []), gone: delta?.gone };
}

test("a client that does not read gets each node once, as it is when it reads again", () => {
	const { nodes, client, stream } = begun("a", "b", "c");
	for (let state = 1; state <= 1000; state++) {
		for (const name of ["a", "b"]) {
			nodes.set(name, state);
			stream.changed(name);
		}
	}
	nodes.remove("b");
	stream.changed("b");
	nodes.set("d", 7);
	stream.changed("d");
	assert.equal(client.heard.length, 1, "the snapshot is in flight");
	client.take();
	client.take();
	assert.deepEqual(client.heard.map(said), [
		{ all: ["a 0", "b 0", "c 0"] },
		{ changed: ["a 1000", "d 7"], gone: ["b"] },
	]);
});

test("what went and came back is a change; what came and went is nothing; what is the same is not told again", () => {
	const { nodes, client, stream } = begun("a");
	nodes.remove("a");
	stream.changed("a");
	nodes.set("a", 1);
	stream.changed("a");
	nodes.set("b", 1);
	stream.changed("b");
	nodes.remove("b");
	stream.changed("b");
	client.take();
	client.take();
	stream.changed("a");
	stream.changed("b");
	assert.deepEqual(client.heard.map(said), [{ all: ["a 0"] }, { changed: ["a 1"], gone: [] }]);
});

test("over gRPC, a client that stops reading costs a message or two, not one for each change", async () => {
	const folder = mkdtempSync(join(tmpdir(), "weft-topology-"));
	const address = `unix:${join(folder, "own.sock")}` as const;
	const nodes = new Nodes(BYTES);
	nodes.set("node-a", 0);
	const streams: TopologyStream[] = [];
	const server = new RpcServer({
		watchTopology: (call) => {
			const stream = new TopologyStream(call, nodes);
			streams.push(stream);
			stream.begin();
		},
	} as Pick<Responder, "watchTopology"> as Responder);
	const path = address.slice("unix:".length);
	await server.listen({ kind: "unix", path, text: address }, { tls: null, insecure: false });
	const channel = new Channel(address, { tls: null, insecure: false });
	try {
		const heard: string[] = [];
		const call = channel.watchTopology({ withEvidence: true });
		call.on("error", () => {});
		call.on("data", (bytes: Buffer) => {
			const { snapshot, delta } = decode("WatchTopologyResponse", bytes);
			heard.push((snapshot?.nodes ?? delta?.changed)?.[0]?.instance ?? "");
			if (heard.length === 1) call.pause();
		});
		await until(() => heard.length === 1, 20_000);
		const before = process.memoryUsage();
		for (let state = 1; state <= CHANGES; state++) {
			nodes.set("node-a", state);
			streams[0]?.changed("node-a");
			await sleep(1);
		}
		const now = process.memoryUsage();
		const kept = now.arrayBuffers + now.heapUsed - before.arrayBuffers - before.heapUsed;
		assert.ok(kept < (CHANGES * BYTES) / 4, `${kept} bytes for a client that does not read`);
		call.resume();
		await until(() => heard.at(-1) === String(CHANGES), 20_000);
		assert.ok(heard.length < CHANGES / 2, `${heard.length} messages, most of them of states that were past`);
		call.cancel();
	} finally {
		channel.close();
		await server.close();
		rmSync(folder, { recursive: true, force: true });
	}
});

const CHANGES = 250;
/** In all 250 MB, far more than the windows of HTTP/2 hold. */
const BYTES = 1_000_000;
