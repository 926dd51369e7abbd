import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JoinedPath } from "../../src/path/path-view.js";
import { JOURNEYS } from "./journeys.js";
import { assertBalance, assertNoFalseJoin, finish, newJoiner, run } from "./run.js";
import { type Event, ICMP, type Packet, Simulator, TCP, UDP } from "./simulator.js";

const NAMES = Object.keys(JOURNEYS);

/** A mixed traffic in which pointers, IDs and payloads come again soon. */
interface Traffic {
	readonly packets: readonly {
		readonly journey: string;
		readonly protocol: number;
		readonly port: number;
		readonly id: number;
		readonly hash: number;
		readonly pause: number;
		readonly gap: number;
	}[];
}

const traffic = fc.record({
	packets: fc.array(
		fc.record({
			journey: fc.constantFrom(...NAMES),
			protocol: fc.constantFrom(TCP, UDP, UDP, ICMP),
			port: fc.integer({ min: 40_000, max: 40_002 }),
			id: fc.nat({ max: 5 }),
			hash: fc.nat({ max: 2 }),
			// Negative: the next packet is under way before this one has arrived.
			pause: fc.integer({ min: -6000, max: 4000 }),
			gap: fc.constantFrom(0, 1, 500),
		}),
		{ minLength: 1, maxLength: 60 },
	),
});

/**
 * @param like `alike`: fields repeat as no kernel would repeat them; `kernel`: what counts counts, but some packets have
 * no ID; `distinct`: every packet has fields of its own
 */
function simulate({ packets }: Traffic, like: "alike" | "kernel" | "distinct" = "alike"): Simulator {
	const distinct = like === "distinct";
	const simulator = new Simulator();
	packets.forEach(({ journey, protocol, port, id, hash, pause, gap }, n) => {
		const packet: Packet = {
			protocol,
			payload: 64,
			ipId: distinct || (like === "kernel" && id !== 0) ? n + 1 : id,
			hash,
			...(protocol === TCP ? { sequence: distinct ? n * 64 : id * 64, acknowledgement: 9, tsval: 100 + hash } : {}),
			...(protocol === ICMP ? { sequence: like === "alike" ? id : n + 1 } : {}),
		};
		simulator.send(packet, JOURNEYS[journey]?.(port) ?? [], gap);
		simulator.now = Math.max(1000, simulator.now + pause);
	});
	return simulator;
}

/** Rings as the kernel's: each event goes to the ring of a CPU; the order inside a ring is that of time. */
function rings(events: readonly Event[], cpus: readonly number[]): Map<string, Event[]> {
	const byRing = new Map<string, Event[]>();
	[...events]
		.sort((a, b) => a.time - b.time)
		.forEach((event, n) => {
			const name = `${event.node} ${cpus[n % cpus.length] ?? 0}`;
			const ring = byRing.get(name);
			if (ring === undefined) byRing.set(name, [event]);
			else ring.push(event);
		});
	return byRing;
}

/** Feeds rings in pieces, in the order of `choices`, with watermarks as early as they may come. */
function interleaved(simulator: Simulator, cpus: readonly number[], choices: readonly number[]): readonly JoinedPath[] {
	const { joiner, told } = newJoiner(simulator);
	const queues = [...rings(simulator.events, cpus)].map(([name, events]) => ({
		node: name.split(" ")[0] ?? "",
		lane: Number(name.split(" ")[1]),
		events,
	}));
	for (let step = 0; queues.some(({ events }) => events.length > 0); step++) {
		const choice = choices[step % choices.length] ?? 1;
		const waiting = queues.filter(({ events }) => events.length > 0);
		const queue = waiting[choice % waiting.length];
		if (queue === undefined) break;
		const rows = simulator.rows(queue.events.splice(0, 1 + (choice % 5)));
		joiner.batch(simulator.source(queue.node), rows, queue.lane);
		if (choice % 3 === 0) continue;
		for (const node of ["node-a", "node-b"]) {
			const rest = queues.filter((other) => other.node === node).flatMap(({ events }) => events);
			joiner.watermark(simulator.source(node), Math.min(1e15, ...rest.map(({ time }) => time)));
		}
	}
	return finish(joiner, told).told;
}

const choices = fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 40 });
const cpus = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 17 });

test("law: any interleaving that keeps each ring's order gives the same paths in the same order", () => {
	fc.assert(
		fc.property(traffic, cpus, choices, choices, (packets, ringOf, first, second) => {
			const one = simulate(packets);
			const other = simulate(packets);
			assert.deepEqual(interleaved(one, ringOf, first), interleaved(other, ringOf, second));
			assert.deepEqual(interleaved(one, [0], [5]), interleaved(one, ringOf, second));
		}),
		{ numRuns: 150 },
	);
});

test("law: batches and watermarks of any size change nothing", () => {
	fc.assert(
		fc.property(traffic, fc.integer({ min: 1, max: 40 }), (packets, batchSize) => {
			const simulator = simulate(packets);
			assert.deepEqual(run(simulator, { batchSize }).told, run(simulator, { batchSize: 4096 }).told);
		}),
		{ numRuns: 150 },
	);
});

test("law: reused pointers, wrapped IDs and equal payloads: an exact path is one packet", () => {
	fc.assert(
		fc.property(traffic, (packets) => {
			const simulator = simulate(packets);
			const { paths, accounts } = run(simulator);
			assertNoFalseJoin(simulator, paths);
			assert.equal(accounts.joined, simulator.events.length);
			const hops = paths.reduce((sum, path) => sum + path.hops.reduce((n, hop) => n + hop.packets, 0), 0);
			assert.equal(hops, simulator.events.length);
		}),
		{ numRuns: 500 },
	);
});

test("law: with fields of its own, every packet that arrived is delivered, and is a path of its own", () => {
	fc.assert(
		fc.property(traffic, (packets) => {
			const simulator = simulate(packets, "distinct");
			const { paths } = run(simulator);
			assert.equal(paths.length, simulator.sent.length);
			assert.equal(assertNoFalseJoin(simulator, paths), 0);
			for (const path of paths) assert.equal(path.verdict, "delivered");
		}),
		{ numRuns: 300 },
	);
});

/** Removes events as full rings do: the next record of the ring says how many, and the counters say so in time. */
function withLoss(simulator: Simulator, cpusOf: readonly number[], drop: ReadonlySet<number>) {
	const kept: Event[] = [];
	const gone: Event[] = [];
	let n = 0;
	for (const ring of rings(simulator.events, cpusOf).values()) {
		let pending = 0;
		for (const event of ring) {
			if (drop.has(n++ % 97)) {
				pending++;
				gone.push(event);
				continue;
			}
			kept.push({ ...event, lost: pending });
			pending = 0;
		}
	}
	return { kept, gone };
}

test("law: lost events make incomplete paths, never lost packets; the books balance", () => {
	fc.assert(
		fc.property(
			traffic,
			cpus,
			fc.uniqueArray(fc.nat({ max: 96 }), { minLength: 1, maxLength: 30 }),
			fc.integer({ min: 1, max: 30 }),
			(packets, ringOf, drop, batchSize) => {
				const simulator = simulate(packets, "kernel");
				const { kept, gone } = withLoss(simulator, ringOf, new Set(drop));
				// Something late on both nodes, so that suspects are judged by their time and not by the end of the trace.
				const late = new Simulator();
				late.now = 1e10;
				late.send({ protocol: UDP, payload: 1, ipId: 1 }, JOURNEYS["pod to pod, other node"]?.(1) ?? []);
				const told = new Map<string, number>();
				const { paths, accounts } = run(
					simulator,
					{
						batchSize,
						before(joiner, node, rows) {
							const until = rows.time[rows.count - 1] as number;
							const from = told.get(node) ?? 0;
							told.set(node, until + 1);
							const count = gone.filter(
								(event) => event.node === node && event.time >= from && event.time <= until,
							).length;
							joiner.lost(simulator.source(node), "ringFull", count);
						},
					},
					[...kept, ...late.events],
				);
				assertBalance(accounts);
				assert.equal(accounts.joined, kept.length + late.events.length);
				assert.equal(accounts.seen, simulator.events.length + late.events.length);
				assertNoFalseJoin(simulator, paths, kept.concat(late.events));
				for (const path of paths) assert.notEqual(path.verdict, "lost", path.blame?.reason);
			},
		),
		{ numRuns: 500 },
	);
});

test("law: packets that are lost are lost behind the right hook, the others are delivered", () => {
	fc.assert(
		fc.property(traffic, fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 20 }), (packets, fates) => {
			const simulator = new Simulator();
			packets.packets.forEach(({ journey, protocol, port, pause }, n) => {
				const legs = JOURNEYS[journey]?.(port) ?? [];
				const until = Math.max(1, legs.length - Math.max(0, (fates[n % fates.length] ?? 0) - 5));
				const packet = { protocol, payload: 64, ipId: n + 1, hash: n, sequence: n * 64, acknowledgement: 1, tsval: n };
				simulator.send(packet, legs, 500, until);
				// No two sightings at one time: by their time they are told apart here.
				simulator.now = Math.max(1000, Math.floor(simulator.now) + pause) + (n + 1) / 128;
			});
			simulator.now += 1e10;
			simulator.send({ protocol: UDP, payload: 1, ipId: 60_000 }, JOURNEYS["pod to pod, same node"]?.(1) ?? []);
			const { paths } = run(simulator);
			assert.equal(paths.length, simulator.sent.length);
			for (const path of paths) {
				const first = simulator.events.find(
					(event) =>
						event.time === path.hops[0]?.first && simulator.hook(event.node, event.hook).id === path.hops[0]?.hook,
				);
				const sent = simulator.sent[first?.truth[0] ?? -1];
				assert.deepEqual(
					path.hops.map((hop) => simulator.name(hop.hook)),
					sent?.hooks,
				);
				assert.equal(path.verdict, sent?.fate === "lost" ? "lost" : "delivered");
			}
		}),
		{ numRuns: 300 },
	);
});
