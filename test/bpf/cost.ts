/**
 * What a run of the tracer costs over an empty program, by BPF_PROG_TEST_RUN: ns, rounds alternated, medians.
 * Runs as a script: `node dist/test/bpf/cost.js`.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { addon } from "../../src/kernel/addon.js";
import { LAYOUT } from "../../src/kernel/layout.generated.js";
import type { BpfProgram } from "../../src/kernel/native.js";
import { packet, timestamps } from "./packet.js";
import { Stopwatch } from "./stopwatch.js";
import { type Knobs, prefix, Tracer } from "./tracer.js";

export interface Cost {
	readonly name: string;
	/** Over the empty program, one run. */
	readonly ns: number;
	/** null: not weft's, but what this machine's kernel takes for it. */
	readonly budgetNs: number | null;
}

interface Case {
	readonly name: string;
	readonly budgetNs: number;
	readonly knobs: Knobs;
	readonly packet: Uint8Array;
	readonly emits: boolean;
}

const UDP = packet().ethernet().ipv4().udp().payload(64).build();
const TCP = packet()
	.ethernet()
	.ipv4()
	.tcp({ options: timestamps(7) })
	.payload(64)
	.build();
const UDP6 = packet().ethernet().ipv6().udp().payload(64).build();
const PAIR = [{ source: prefix("10.9.0.1"), destination: prefix("10.9.0.2"), eitherWay: true }];

const CASES: readonly Case[] = [
	{ name: "no match, UDP", budgetNs: 8, knobs: { rules: PAIR }, packet: UDP, emits: false },
	{ name: "no match, UDP, following", budgetNs: 8, knobs: { rules: PAIR, follow: true }, packet: UDP, emits: false },
	{ name: "no match, TCP, following", budgetNs: 8, knobs: { rules: PAIR, follow: true }, packet: TCP, emits: false },
	{ name: "no match, UDP on IPv6", budgetNs: 8, knobs: { rules: PAIR, follow: true }, packet: UDP6, emits: false },
	{ name: "event, UDP", budgetNs: 65, knobs: { matchAll: 1 }, packet: UDP, emits: true },
	{ name: "event, UDP, following", budgetNs: 65, knobs: { matchAll: 1, follow: true }, packet: UDP, emits: true },
	{ name: "event, TCP, following", budgetNs: 65, knobs: { matchAll: 1, follow: true }, packet: TCP, emits: true },
];

/** Short and many: a neighbour on the machine spoils some rounds, and the median does not mind. */
const RUNS = 5_000;
const RING_BYTES = 1 << 24;
const ROUNDS = 61;
/** Until the records of a round have been drained: a full ring would make events look cheap. */
const PAUSE_MS = 3;

export async function measure(): Promise<readonly Cost[]> {
	const costs: Cost[] = [
		{ name: "the clock alone", budgetNs: null, ns: measureFloor("clock_alone") },
		{ name: "an empty record with its time", budgetNs: null, ns: measureFloor("record_alone") },
		{ name: "latency hop, UDP", budgetNs: 40, ns: measureHop(UDP) },
	];
	for (const one of CASES) {
		costs.push({ name: one.name, budgetNs: one.budgetNs, ns: await measureCase(one) });
	}
	return costs;
}

async function measureCase(one: Case): Promise<number> {
	const over: number[] = [];
	const tracer = new Tracer(RING_BYTES);
	try {
		const { trace, noop } = tracer.load(one.knobs);
		tracer.drain(false);
		time(trace, one.packet, 1000);
		for (let round = 0; round < ROUNDS; round++) {
			const empty = time(noop, one.packet, RUNS);
			over.push(time(trace, one.packet, RUNS) - empty);
			await new Promise((resolve) => setTimeout(resolve, one.emits ? PAUSE_MS : 0));
		}
		const { ringFull } = tracer.counters();
		if (ringFull > 0) {
			throw new Error(`${one.name}: ${ringFull} records found the ring full, so this is not their cost`);
		}
	} finally {
		await tracer.finish();
		tracer.close();
	}
	return median(over);
}

/** One of test/bpf/floor.bpf.c. Nobody empties its rings, so each round has new ones. */
function measureFloor(name: string): number {
	const elf = readFileSync(new URL("floor.bpf.o", import.meta.url));
	const options = { kind: "records", recordSize: LAYOUT.weft_event.size } as const;
	return median(
		Array.from({ length: ROUNDS }, () => {
			const rings = addon().createRings({
				...{ ...options, bytesPerRing: RING_BYTES, batchRecords: 1, credits: 1, intervalMs: 1 },
			});
			const object = addon().openObject(elf);
			try {
				for (const map of rings.maps) object.reuseMap(map.name, map);
				object.load();
				const empty = time(object.program("empty"), UDP, RUNS);
				const over = time(object.program(name), UDP, RUNS) - empty;
				if (
					object
						.map("full")
						.lookup(new Uint8Array(4))
						?.some((byte) => byte !== 0)
				) {
					throw new Error(`${name}: the ring was full`);
				}
				return over;
			} finally {
				object.close();
				for (const map of rings.maps) map.close();
				rings.close();
			}
		}),
	);
}

/** The same packet again and again at one hook: known, but not a transition, so it is counted and not bucketed. */
function measureHop(bytes: Uint8Array): number {
	const watch = new Stopwatch();
	try {
		const { program } = watch.load({ hookSet: 1 });
		const noop = watch.noop();
		time(program, bytes, 1000);
		return median(
			Array.from({ length: ROUNDS }, () => {
				const empty = time(noop, bytes, RUNS);
				return time(program, bytes, RUNS) - empty;
			}),
		);
	} finally {
		watch.close();
	}
}

function time(program: BpfProgram, bytes: Uint8Array, repeat: number): number {
	return program.testRun(bytes, { repeat }).durationNs;
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
	for (const { name, ns, budgetNs } of await measure()) {
		process.stdout.write(
			`${name.padEnd(30)} ${ns.toFixed(0).padStart(4)} ns ${budgetNs === null ? "" : ` (budget ${budgetNs})`}\n`,
		);
	}
}
