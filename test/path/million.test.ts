import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateSightings } from "../../src/packet/columns.js";
import { EventFlag, Family, type Sightings } from "../../src/packet/sightings.js";
import { Joiner } from "../../src/path/joiner.js";
import type { PathView } from "../../src/path/path-view.js";
import { JOURNEYS } from "./journeys.js";
import { type Leg, Simulator, tupleOf, UDP } from "./simulator.js";

/**
 * A million packets of one UDP socket: the ID wraps every 65,536, the payloads repeat, two pointers carry all, one in a
 * hundred is thrown away somewhere. The time of a sighting is its packet's number and its place: so a path that holds two
 * packets shows.
 */
const PACKETS = 1_000_000;
const PERIOD_NS = 1000;
const BATCH = 4096;

interface Outcome {
	readonly paths: number;
	readonly mixed: number;
	readonly exact: number;
	readonly delivered: number;
	readonly lost: number;
}

function flood(legs: readonly Leg[], packets: number, gapNs: number, wireNs: number): Outcome {
	const simulator = new Simulator(legs.some(({ node }) => node === "node-b") ? ["node-a", "node-b"] : ["node-a"]);
	const packet = { protocol: UDP, payload: 64, ipId: 1 };
	simulator.learn(packet, legs);
	const outcome = { paths: 0, mixed: 0, exact: 0, delivered: 0, lost: 0 };
	const places = legs.map((leg, n) => {
		const wires = legs.slice(0, n + 1).filter(({ node }, k) => k > 0 && node !== legs[k - 1]?.node).length;
		return { leg, hook: simulator.hook(leg.node, leg.hook), delay: n * gapNs + wires * wireNs };
	});
	const joiner = new Joiner(
		{ tuples: simulator.tuples, outers: simulator.outers, expectation: simulator.expectation },
		{
			path(view: PathView) {
				outcome.paths++;
				const number = Math.floor(view.first(0) / PERIOD_NS);
				let mixed = false;
				for (let n = 0; n < view.hopCount; n++) {
					const delay = places.find(({ hook }) => hook.id === view.hook(n))?.delay ?? 0;
					mixed ||= Math.floor((view.first(n) - delay) / PERIOD_NS) !== number;
				}
				if (mixed) outcome.mixed++;
				if (view.evidence === "exact") outcome.exact++;
				if (view.verdict === "delivered") outcome.delivered++;
				if (view.verdict === "lost") outcome.lost++;
			},
			revise: (view) => assert.equal(view.evidence, "ambiguous", "nothing else is revised"),
		},
	);
	for (const { hook } of places) joiner.hook(simulator.source(hook.node), hook);
	const tuple = simulator.tuples.intern(tupleOf(packet, legs[0] as Leg));
	const ingress = ingresses(simulator, legs);
	const open = new Map<string, Sightings>();
	const write = (node: string, at: number, number: number, place: number) => {
		const { hook } = places[place] ?? assert.fail();
		let rows = open.get(node);
		if (rows === undefined) {
			rows = allocateSightings(BATCH);
			open.set(node, rows);
		}
		const i = rows.count++;
		rows.time[i] = at;
		rows.skbLow[i] = number & 1;
		rows.hook[i] = hook.id;
		rows.tuple[i] = tuple;
		rows.ingress[i] = ingress[place] ?? 0;
		rows.length[i] = 106;
		rows.ipId[i] = number & 0xffff;
		rows.payload[i] = 64;
		rows.hash[i] = number % 3;
		rows.segments[i] = 1;
		rows.flags[i] = Family.ipv4 | EventFlag.hasPorts;
	};
	// All sightings of a stretch of time, in order of time.
	const stretch = 2000;
	const latest = places.at(-1)?.delay ?? 0;
	const pending: { at: number; number: number; place: number }[] = [];
	for (let from = 0; from < packets; from += stretch) {
		for (let number = from; number < from + stretch; number++) {
			const gone = (Math.imul(number, 2654435761) >>> 0) % 100 === 0;
			const until = gone ? 1 + (number % (places.length - 1)) : places.length;
			for (let place = 0; place < until; place++) {
				pending.push({ at: number * PERIOD_NS + (places[place]?.delay ?? 0), number, place });
			}
		}
		pending.sort((a, b) => a.at - b.at);
		const limit = from + stretch >= packets ? Number.POSITIVE_INFINITY : (from + stretch) * PERIOD_NS;
		let k = 0;
		for (; k < pending.length; k++) {
			const next = pending[k];
			if (next === undefined || next.at >= limit) break;
			const node = places[next.place]?.leg.node ?? "";
			write(node, next.at, next.number, next.place);
			const rows = open.get(node);
			if (rows?.count !== BATCH) continue;
			joiner.batch(simulator.source(node), rows);
			open.delete(node);
		}
		pending.splice(0, k);
		for (const [node, rows] of open) joiner.batch(simulator.source(node), rows);
		open.clear();
		const mark = Math.min(limit, packets * PERIOD_NS + latest + 10e9);
		for (const node of new Set(places.map(({ leg }) => leg.node))) joiner.watermark(simulator.source(node), mark);
	}
	joiner.flush();
	const accounts = joiner.counters();
	assert.equal(accounts.seen, accounts.joined);
	assert.equal(accounts.evicted, 0);
	return outcome;
}

/** ingress_ifindex at each place, as in Simulator.send. */
function ingresses(simulator: Simulator, legs: readonly Leg[]): number[] {
	let iif = 0;
	return legs.map((leg, n) => {
		const hook = simulator.hook(leg.node, leg.hook);
		if (legs[n - 1]?.node !== leg.node) iif = 0;
		if (hook.direction === "ingress") iif = hook.ifindex;
		const here = iif;
		if (hook.role === "tunnel" && hook.direction === "egress") iif = 0;
		return hook.role === "nic" && hook.direction === "egress" ? 0 : here;
	});
}

test("a million packets under two pointers on one node: no path holds two, all are exact", () => {
	const outcome = flood(JOURNEYS["pod to pod, same node"]?.(5000) ?? [], PACKETS, 300, 0);
	assert.equal(outcome.paths, PACKETS);
	assert.equal(outcome.mixed, 0);
	assert.equal(outcome.exact, PACKETS);
	assert.equal(outcome.delivered + outcome.lost, PACKETS);
	assert.ok(outcome.lost > PACKETS / 120 && outcome.lost < PACKETS / 80);
});

test("200,000 packets over two nodes, where the ID wraps before the lost are given up: none is joined wrongly as exact", () => {
	const packets = 200_000;
	const outcome = flood(JOURNEYS["pod to pod, other node"]?.(5000) ?? [], packets, 300, 20_000);
	assert.equal(outcome.paths, packets);
	assert.equal(outcome.mixed, 0);
	assert.equal(outcome.delivered + outcome.lost, packets);
});
