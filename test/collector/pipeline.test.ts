import assert from "node:assert/strict";
import test from "node:test";
import { NOBODY } from "../../src/collector/cluster.js";
import { Pipeline } from "../../src/collector/pipeline.js";
import { askQuestion } from "../../src/collector/question.js";
import { noCounters } from "../../src/kernel/counters.js";
import { allocateSightings } from "../../src/packet/columns.js";
import type { Direction, HookId } from "../../src/packet/hook.js";
import { EventFlag, Family } from "../../src/packet/sightings.js";
import type { SourceId } from "../../src/packet/source.js";
import { cookie, flannelNode, Index, vethName } from "../wiring/flannel.js";

const SOURCE = "node-a" as SourceId;
const UDP = 17;
const TIMES = { durationMs: 0, hooks: 2, kernel: noCounters(), drained: 0, unsent: 0 };

/** Two pods of a node; `send` has a datagram of one seen leaving it and reaching the other. */
function twoPods(awaitsBegin: boolean) {
	const told: number[] = [];
	const question = askQuestion({ from: "10.244.1.2", to: "10.244.1.3", filter: "", namespace: "default" });
	const path = ({ serial }: { readonly serial: number }) => told.push(serial);
	const pipeline = new Pipeline({ questions: [question], everyPath: true, awaitsBegin, path });
	const wiring = flannelNode({ number: 1, pods: 2, nodes: 2 });
	pipeline.world([wiring], NOBODY);
	for (const [n, direction] of (["ingress", "egress"] as readonly Direction[]).entries()) {
		pipeline.sink.hook(SOURCE, {
			...{ id: n as HookId, ifindex: Index.firstVeth + n + 1, device: vethName(1, n + 1), direction, hookSet: n },
			...{ node: wiring.node, netns: cookie(1, 0), role: "pod", l3: false, master: Index.cni0 },
		});
	}
	const ends = { source: "10.244.1.2", destination: "10.244.1.3", sourcePort: 4000, destinationPort: 53 };
	const tuple = pipeline.tuples.intern({ family: Family.ipv4, protocol: UDP, ...ends });
	const send = (ipId: number) => {
		const rows = allocateSightings(2);
		for (const hook of [0, 1]) {
			rows.time[hook] = ipId * 1000 + hook * 100;
			rows.skbLow[hook] = 1;
			rows.hook[hook] = hook;
			rows.tuple[hook] = tuple;
			rows.ingress[hook] = hook === 0 ? 0 : Index.firstVeth + 1;
			rows.ipId[hook] = ipId;
			rows.segments[hook] = 1;
			rows.flags[hook] = Family.ipv4 | EventFlag.hasPorts;
		}
		rows.count = 2;
		pipeline.sink.batch(SOURCE, rows);
		pipeline.sink.watermark(SOURCE, ipId * 1000 + 500);
	};
	return { pipeline, send, told };
}

test("what ends before a trace begins is neither told nor counted", () => {
	const { pipeline, send, told } = twoPods(true);
	send(1);
	pipeline.begin();
	send(2);
	send(3);
	const { paths, flows, events } = pipeline.summary({ ...TIMES, offered: told.length });
	assert.equal(events.joined, 6, "precondition: all of them were joined");
	assert.equal(told.length, 2);
	assert.equal(paths.delivered, 2);
	assert.equal(flows, 1);
});

test("who does not await the beginning is told of all", () => {
	const { pipeline, send, told } = twoPods(false);
	send(1);
	send(2);
	assert.equal(told.length, 2);
	assert.equal(pipeline.summary({ ...TIMES, offered: 2 }).paths.delivered, 2);
});
