import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hook, HookId, NetnsCookie } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { RemoteSource } from "../../src/rpc/client/remote-source.js";
import { encode, word64 } from "../../src/rpc/codec.js";
import { hookMessage } from "../../src/rpc/hook-message.js";
import { Phase } from "../../src/rpc/messages.js";

const LINE = 1_800_000_000_000_000_000n;
const SECOND = 1_000_000_000n;
/** What the agent's clock is ahead. */
const AHEAD_NS = 5e9;

const hook = (id: number, device: string): Hook => ({
	...{ id: id as HookId, node: "node-a", netns: "1" as NetnsCookie, ifindex: 4 + id, device },
	...{ direction: "ingress", role: "pod", l3: false, master: 0, hookSet: 0 },
});

test("a hook that comes in mid-stream can have seen packets since the agent says, on the Joiner's line; one from the start, since the stream is ready", () => {
	const told: [what: string, timeNs: number | undefined][] = [];
	const sink: SourceSink = {
		hook: (_, { device }, sinceNs) => told.push([device, sinceNs]),
		unhook: (_, { device }) => told.push([`${device} is gone`, undefined]),
		batch: () => undefined,
		lost: () => undefined,
		watermark: (_, timeNs) => told.push(["watermark", timeNs]),
		clock: () => undefined,
		end: () => undefined,
	};
	let ids = 0;
	const source = new RemoteSource(
		{
			...{ id: "a" as SourceId, node: "node-a", lineBase: LINE, tuples: new TupleTable(), outers: new OuterTable() },
			nextHookId: () => ids++ as HookId,
			onDrop: () => undefined,
			onReady: () => undefined,
			onEnded: () => undefined,
		},
		sink,
	);
	source.clock({ offsetNs: AHEAD_NS, errorNs: 0, rate: 0, atNs: 0 });
	const change = (id: number, device: string, added: boolean, sinceNs: bigint) =>
		source.hear(
			encode("StreamSightingsResponse", {
				node: "node-a",
				hook: { hook: hookMessage(hook(id, device)), added, sinceNs: word64(sinceNs) },
			}),
		);
	change(0, "veth0", true, 0n);
	const state = {
		phase: Phase.ready,
		instance: "1",
		nextSequence: 0,
		nodes: [],
		losses: [],
		ledger: [],
		warnings: [],
	};
	const readyNs = LINE + 6n * SECOND;
	source.hear(
		encode("StreamSightingsResponse", {
			...{ node: "node-a", state },
			progress: { watermarkNs: word64(readyNs), losses: [] },
		}),
	);
	change(1, "veth1", true, readyNs + 80_000_000n);
	change(1, "veth1", false, 0n);
	assert.deepEqual(told, [
		["watermark", 1e9],
		["veth0", undefined],
		["veth1", 1.08e9],
		["veth1 is gone", undefined],
	]);
});
