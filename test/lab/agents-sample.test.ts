import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Channel } from "../../src/rpc/client/channel.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { Phase } from "../../src/rpc/messages.js";
import { until } from "../until.js";
import { Agents, end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { type Any, foreign } from "./foreign.js";
import { type RunningWeft, startWeft } from "./weft.js";

/** Several subscribers of one agent, each of which asked for other things that its programs can do only once. */
describe("subscribers of one agent", () => {
	const lab = cluster();
	let agents: Agents;
	const PACKETS = 400;

	before(async () => {
		agents = await Agents.start(lab());
	});
	after(() => agents.stop());

	const traced = (sample: string) =>
		startWeft(
			...["trace", "default/client", "default/neighbor", "udp", "dst", "port", "6000"],
			...["--sample", sample, "--agent", agents.address("node-a")],
		);

	/** Of the datagrams' paths. */
	const idsOf = ({ paths }: RunningWeft) =>
		new Set(
			paths.filter(({ flow, hops }) => flow.protocol === "udp" && hops.length === 2).map(({ packet }) => packet.ipId),
		);

	for (const order of [
		["1/1", "1/4", "1/3"],
		["1/4", "1/3", "1/1"],
	]) {
		test(`get the share of packets that each asked for, in the order ${order.join(", ")}`, async () => {
			const running: RunningWeft[] = [];
			for (const sample of order) running.push(await traced(sample));
			const server = await lab().serve("default/neighbor", { protocol: "udp", port: 6000, as: "sink" });
			const address = lab().pod("default/neighbor").pod.address.ipv4;
			const udp = { protocol: "udp", address, port: 6000, size: 64, count: PACKETS, answers: false } as const;
			await lab().send("default/client", udp);
			await sleep(1500);
			for (const weft of running) await weft.stop();
			await server.stop();

			const ids = new Map(order.map((sample, i) => [sample, idsOf(running[i] as RunningWeft)]));
			const of = (sample: string) => ids.get(sample) ?? new Set();
			assert.equal(of("1/1").size, PACKETS, "every packet for whom asked for every packet");
			for (const [sample, divisor] of [
				["1/3", 3],
				["1/4", 4],
			] as const) {
				const { size } = of(sample);
				// Whether one is kept is a matter of its IP ID: of 400, 5 deviations are some 45.
				assert.ok(Math.abs(size - PACKETS / divisor) < 50, `${size} of ${PACKETS} for ${sample}`);
			}
			const finer = [...of("1/4")].filter((id) => !of("1/3").has(id));
			assert.deepEqual(finer, [], "what one in four keeps, one in three keeps, too");
		});
	}

	test("who brings another key for payload hashes is told that the first one's holds", async () => {
		const [first, second] = [1, 2].map((byte) => new Uint8Array(8).fill(byte)) as [Uint8Array, Uint8Array];
		const channel = new Channel(agents.address("node-a"), { tls: null, insecure: false });
		const warnings = async (hashSalt: Uint8Array) => {
			const call = channel.streamSightings();
			// It ends with the connection, not by itself.
			call.on("error", () => undefined);
			call.write(encode("StreamSightingsRequest", { filter: "udp", namespace: "", hashSalt }));
			for await (const bytes of call.iterator({ destroyOnReturn: false })) {
				const { state } = decode("StreamSightingsResponse", bytes as Buffer);
				if (state?.phase !== Phase.ready) continue;
				assert.deepEqual([...(state.nodes[0]?.hashSalt ?? [])], [...first], "the state says which one holds");
				return state.warnings;
			}
			return assert.fail("the stream ended");
		};
		try {
			assert.deepEqual(await warnings(first), []);
			assert.match((await warnings(second)).join(), /another subscriber's hash_salt/);
			assert.deepEqual(await warnings(first), []);
		} finally {
			channel.close();
		}
	});

	test("clients that begin at once, when nobody is served yet, bring all agents the same key", async () => {
		const nodes = ["node-a", "node-b"];
		const named = nodes.flatMap((name) => ["--agent", agents.address(name)]);
		const keysOf = async () => {
			const channels = nodes.map((name) => new Channel(agents.address(name), { tls: null, insecure: false }));
			try {
				const statuses = await Promise.all(channels.map((channel) => channel.getStatus()));
				return statuses.map(({ agents: [agent] }) => Buffer.from(agent?.hashSalt ?? []).toString("hex"));
			} finally {
				for (const channel of channels) channel.close();
			}
		};
		for (let round = 0; round < 3; round++) {
			// Who was served before is gone a moment after its connection.
			for (let tries = 0; (await keysOf()).join("") !== "" && tries < 50; tries++) await sleep(100);
			assert.deepEqual(await keysOf(), ["", ""], "precondition: nobody is served");
			const running = await Promise.all(
				// The second names the agents the other way round: what comes first at one comes last at the other.
				[named, [...named.slice(2), ...named.slice(0, 2)]].map((agent) =>
					startWeft("trace", "default/client", "default/server", "udp", ...agent),
				),
			);
			const [a, b] = await keysOf();
			assert.equal(a?.length, 16);
			assert.equal(a, b);
			for (const weft of running) {
				await weft.stop();
				assert.doesNotMatch(weft.warnings.join(), /key/);
			}
		}
	});

	test("clients of a relay: without a key all agents get one, with another's the first one's holds, and hashes tell", async () => {
		const address = `unix:${agents.folder}/relay.sock`;
		const relay = await serving("relay", "--listen", address, ...agents.options);
		const open: Hashes[] = [];
		const begin = async (key?: Uint8Array) => {
			const hashes = new Hashes(address, key);
			open.push(hashes);
			await hashes.ready(["node-a", "node-b"]);
			return hashes;
		};
		const send = () =>
			lab().send("default/client", {
				...{ protocol: "udp", address: lab().pod("default/server").pod.address.ipv4, port: 6001 },
				...{ size: 64, count: 20, timeoutMs: 100 },
			});
		const close = async () => {
			for (const hashes of open.splice(0)) hashes.close();
			await sleep(1000);
		};
		try {
			const first = await begin();
			const second = await begin(new Uint8Array(8).fill(7));
			await send();
			await Promise.all([first.whole(20), second.whole(20)]);
			const [key] = [...new Set(first.keys)];
			assert.deepEqual(
				[first.keys.length, new Set(first.keys).size],
				[2, 1],
				"both nodes have the key that the relay made",
			);
			assert.notEqual(key, "0000000000000000");
			assert.deepEqual(second.keys, [key, key], "which holds, whatever comes then");
			assert.match(second.warnings.join(), /another subscriber's hash_salt/);
			assert.doesNotMatch(first.warnings.join(), /hash_salt/);
			assert.deepEqual(first.of("node-a"), first.of("node-b"), "of one packet, wherever it is seen");
			assert.deepEqual(second.of("node-a"), first.of("node-a"), "and whoever asks");
			const before = first.of("node-a");
			await close();
			const third = await begin(new Uint8Array(8).fill(7));
			await send();
			await third.whole(20);
			assert.deepEqual(third.keys, ["0707070707070707", "0707070707070707"]);
			assert.deepEqual(third.of("node-a"), third.of("node-b"));
			assert.ok(!third.of("node-a").some((hash) => before.includes(hash)), "another key, other hashes");
		} finally {
			await close();
			await end(relay, "SIGTERM");
		}
	});
});

interface Told {
	readonly state?: {
		readonly phase: string;
		readonly warnings: string[];
		readonly nodes: { readonly node: string; readonly hashSalt: Buffer }[];
	};
	readonly batch?: { readonly node: string; readonly payloadHash: number[] };
}

/** StreamSightings as anybody would read it, by the shipped .proto: which payloads each node has seen. */
class Hashes {
	readonly warnings: string[] = [];
	readonly #keys = new Map<string, string>();
	readonly #hashes = new Map<string, Set<number>>();
	readonly #client: Any;
	readonly #call: Any;
	#ready = 0;

	constructor(address: string, hashSalt: Uint8Array = new Uint8Array(0)) {
		this.#client = foreign(address);
		this.#call = this.#client.StreamSightings();
		this.#call.on("error", () => undefined);
		this.#call.on("data", (told: Told) => this.#hear(told));
		this.#call.write({ filter: "udp dst port 6001", hashSalt });
	}

	/** In hexadecimal, of each node. */
	get keys(): readonly string[] {
		return [...this.#keys.values()];
	}

	of(node: string): readonly number[] {
		return [...(this.#hashes.get(node) ?? [])].sort((a, b) => a - b);
	}

	ready(nodes: readonly string[]): Promise<void> {
		return until(() => this.#ready >= nodes.length && nodes.every((node) => this.#keys.has(node)));
	}

	/** Both nodes have seen so many payloads. */
	whole(payloads: number): Promise<void> {
		return until(() => ["node-a", "node-b"].every((node) => this.of(node).length >= payloads));
	}

	close(): void {
		this.#call.cancel();
		this.#client.close();
	}

	#hear({ state, batch }: Told): void {
		for (const { node, hashSalt } of state?.nodes ?? []) {
			if (hashSalt.length > 0) this.#keys.set(node, hashSalt.toString("hex"));
		}
		this.warnings.push(...(state?.warnings ?? []));
		if (state?.phase === "PHASE_READY") this.#ready++;
		if (batch === undefined || batch === null) return;
		const seen = this.#hashes.get(batch.node) ?? new Set();
		this.#hashes.set(batch.node, seen);
		for (const hash of batch.payloadHash) if (hash !== 0) seen.add(hash);
	}
}
