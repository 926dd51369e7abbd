import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Channel } from "../../src/rpc/client/channel.js";
import { decode, encode, Phase } from "../../src/rpc/messages.js";
import { Agents } from "./agents.js";
import { cluster } from "./cluster.js";
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
});
