import assert from "node:assert/strict";
import test from "node:test";
import { Joiner } from "../../src/path/joiner.js";
import { JOURNEYS } from "./journeys.js";
import { Simulator, UDP } from "./simulator.js";

test("a hop shows TTL and VLAN id of the packet there", () => {
	const simulator = new Simulator(["node-a"]);
	const legs = JOURNEYS["pod to pod, same node"]?.(5000) ?? [];
	simulator.send({ protocol: UDP, payload: 22, ipId: 7, hash: 1 }, legs, 600);
	const rows = simulator.rows(simulator.events);
	assert.equal(rows.count, 2, "precondition: two hooks saw it");
	rows.ttl.set([64, 63]);
	rows.vlan.set([0, 4094]);

	const seen: number[][] = [];
	const { tuples, outers, expectation, hooks } = simulator;
	const sink = {
		path: (view: { readonly hopCount: number; ttl(n: number): number; vlan(n: number): number }) => {
			for (let n = 0; n < view.hopCount; n++) seen.push([view.ttl(n), view.vlan(n)]);
		},
		revise: () => {},
	};
	const joiner = new Joiner({ tuples, outers, expectation }, sink);
	for (const hook of hooks) joiner.hook(simulator.source(hook.node), hook);
	joiner.batch(simulator.source("node-a"), rows);
	joiner.flush();
	assert.deepEqual(seen, [
		[64, 0],
		[63, 4094],
	]);
});
