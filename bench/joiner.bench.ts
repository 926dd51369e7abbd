import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { inlineDeeply } from "../src/collector/inlining.js";
import { allocateSightings, copyRow } from "../src/packet/columns.js";
import type { HookId } from "../src/packet/hook.js";
import type { Sightings } from "../src/packet/sightings.js";
import type { SourceId } from "../src/packet/source.js";
import type { Expectation } from "../src/path/expectation.js";
import { Joiner } from "../src/path/joiner.js";
import type { PathView } from "../src/path/path-view.js";
import type { Due } from "../src/wiring/model.js";
import { JOURNEYS } from "../test/path/journeys.js";
import { type Leg, Simulator, TCP, UDP } from "../test/path/simulator.js";
import { cpuNs } from "./cpu.js";
import { spread } from "./rounds.js";
import { row, title } from "./table.js";

/**
 * What joining costs a sighting, all in: merge, paths, verdicts, the sink's call. Rounds, median; not an assertion.
 *
 * A process for each load, as each trace has a thread: V8 takes what one Joiner works on for constants, and that of several
 * not.
 *
 *     node dist/bench/joiner.bench.js [rounds] [million sightings] [flood|flows|across]
 */

const ROUNDS = Number(process.argv[2] ?? 7);
const SIGHTINGS = Number(process.argv[3] ?? 1) * 1e6;
const BATCH = 4096;

interface Load {
	readonly name: string;
	readonly simulator: Simulator;
	readonly template: Sightings;
	/** Nothing of the template's last packet is open, so that it can be repeated at a later time. */
	readonly period: number;
}

function journey(name: string, port: number): Leg[] {
	const legs = JOURNEYS[name]?.(port);
	if (legs === undefined) throw new RangeError(`no journey ${name}`);
	return legs;
}

/** 64-byte UDP between two pods of a node: two pointers, an ID per packet. */
function flood(): Load {
	const simulator = new Simulator(["node-a"]);
	const legs = journey("pod to pod, same node", 5000);
	for (let n = 0; n < 65536; n++) {
		simulator.send({ protocol: UDP, payload: 22, ipId: n, hash: 1 }, legs, 600);
		simulator.now += 200;
	}
	return load("UDP flood, same node, 2 hooks", simulator);
}

/** Requests and replies of 10,000 TCP flows over the half of a path that one node sees, most of them GSO. */
function flows(): Load {
	const simulator = new Simulator(["node-a"]);
	const packets = 30_000;
	for (let n = 0; n < packets; n++) {
		const flow = (n * 7919) % 10_000;
		const big = n % 3 !== 0;
		const common = { protocol: TCP, ipId: n & 0xffff, acknowledgement: n, tsval: (n >> 6) + 1, hash: n };
		simulator.send(
			big
				? { ...common, payload: 43440, gsoSize: 1448, sequence: n * 50_000 }
				: { ...common, payload: 0, sequence: n * 50_000 },
			journey("pod to pod, same node", 10_000 + flow).map((leg) => ({ ...leg })),
			600,
		);
		simulator.now += 200;
	}
	return load("10,000 TCP flows with GSO, same node, 2 hooks", simulator);
}

/** Whole paths over two nodes: what left as one skb of 43,440 bytes arrives as 30 and is merged again. */
function across(): Load {
	const simulator = new Simulator();
	const packets = 10_000;
	const legs = (port: number) => journey("pod to pod, other node", port);
	for (let n = 0; n < packets; n++) {
		simulator.send({ protocol: UDP, payload: 100, ipId: n & 0xffff, hash: n }, legs(n % 10_000), 500);
	}
	return load("10,000 UDP flows, two nodes, 8 hooks", simulator);
}

function load(name: string, simulator: Simulator): Load {
	const template = simulator.rows([...simulator.events].sort((a, b) => a.time - b.time));
	return { name, simulator, template, period: simulator.now + 1e6 };
}

/** The template again and again, later each time, in batches per source. */
function repeat({ template, period, simulator }: Load): { readonly source: SourceId; readonly rows: Sightings }[] {
	const batches: { source: SourceId; rows: Sightings }[] = [];
	const open = new Map<string, Sightings>();
	for (let round = 0, rows = 0; rows < SIGHTINGS; round++) {
		for (let i = 0; i < template.count; i++, rows++) {
			const node = simulator.hooks[template.hook[i] as number]?.node ?? "";
			let batch = open.get(node);
			if (batch === undefined || batch.count === BATCH) {
				batch = allocateSightings(BATCH);
				open.set(node, batch);
				batches.push({ source: simulator.source(node), rows: batch });
			}
			copyRow(template, i, batch, batch.count);
			batch.time[batch.count++] = (template.time[i] as number) + round * period;
		}
	}
	return batches;
}

/** All packets of a load go the same way: one answer a hook, so that the simulator's own book-keeping is not measured. */
function byHook({ simulator, template }: Load): Expectation {
	const answers = new Map<number, Due>();
	for (let i = 0; i < template.count; i++) {
		const hook = template.hook[i] as number;
		if (answers.has(hook)) continue;
		const tuple = simulator.tuples.get(template.tuple[i] as number);
		answers.set(hook, simulator.expectation.due(hook as HookId, tuple));
	}
	return { generation: 0, due: (hook) => answers.get(hook) ?? { kind: "unknown" } };
}

/**
 * One Joiner for all rounds, as a trace has: with a new one for each, V8 forgets the shapes of the one before when it
 * collects it, and throws the code away that it made for them. Each round moves the source's clock to come after the last.
 */
class Run {
	readonly #batches: readonly { readonly source: SourceId; readonly rows: Sightings }[];
	readonly #joiner: Joiner;
	readonly name: string;
	readonly #span: number;
	readonly #sources: ReadonlySet<SourceId>;
	readonly #perRound: number;
	#paths = 0;
	#delivered = 0;
	#hops = 0;
	#round = 0;

	constructor(work: Load) {
		const { simulator } = work;
		this.name = work.name;
		this.#batches = repeat(work);
		this.#sources = new Set(this.#batches.map(({ source }) => source));
		this.#perRound = this.#batches.reduce((sum, { rows }) => sum + rows.count, 0);
		this.#span = Math.max(...this.#batches.map(({ rows }) => rows.time[rows.count - 1] as number)) + 1e9;
		const { tuples, outers } = simulator;
		this.#joiner = new Joiner(
			{ tuples, outers, expectation: byHook(work) },
			{ path: (view) => this.#path(view), revise: () => {} },
		);
		for (const hook of simulator.hooks) this.#joiner.hook(simulator.source(hook.node), hook);
	}

	/** CPU time a sighting, ns: what else the machine does counts less. */
	round(): number {
		const clock = { offsetNs: this.#round++ * this.#span, errorNs: 0 };
		for (const source of this.#sources) this.#joiner.clock(source, clock);
		const begun = cpuNs();
		for (const { source, rows } of this.#batches) {
			this.#joiner.batch(source, rows);
			this.#joiner.watermark(source, (rows.time[rows.count - 1] as number) + 1);
		}
		return (cpuNs() - begun) / this.#perRound;
	}

	/** Says so when not every sighting came out in a delivered path. */
	check(): void {
		this.#joiner.flush();
		const sightings = this.#round * this.#perRound;
		if (this.#delivered === this.#paths && this.#hops === sightings) return;
		process.stderr.write(
			`${this.name}: ${this.#paths} paths, ${this.#delivered} delivered, ${this.#hops} of ${sightings} sightings\n`,
		);
	}

	#path(view: PathView): void {
		this.#paths++;
		this.#hops += view.hopCount;
		if (view.verdict === "delivered") this.#delivered++;
	}
}

const LOADS: Readonly<Record<string, () => Load>> = { flood, flows, across };

function measure(make: () => Load): void {
	inlineDeeply();
	const run = new Run(make());
	run.round();
	row(run.name, spread(Array.from({ length: ROUNDS }, () => run.round())), "ns each", "≤ 150");
	run.check();
}

const make = LOADS[process.argv[4] ?? ""];
if (make !== undefined) measure(make);
else {
	title(`Joining a sighting, all in, CPU time, ${ROUNDS} rounds behind one that warms up, median (min–max)`);
	const program = fileURLToPath(import.meta.url);
	for (const load of Object.keys(LOADS)) {
		execFileSync(process.execPath, [program, `${ROUNDS}`, `${SIGHTINGS / 1e6}`, load], { stdio: "inherit" });
	}
}
