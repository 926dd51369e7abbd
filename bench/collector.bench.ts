/**
 * A record's way through the worker of a trace: decoded, joined, filtered, counted, thinned. The flood of the budget
 * without the kernel, so that what else the machine does counts less. A process for each number of flows, as a trace has.
 *
 * Between two batches a live collector sleeps, and the flood's own way through the kernel has the caches: `cold` walks
 * through memory before each batch, uncounted. What it says is near to what a live trace takes; `warm` is what the code takes.
 *
 *   node dist/bench/collector.bench.js [flows warm|cold]
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NOBODY } from "../src/collector/cluster.js";
import { Pipeline } from "../src/collector/pipeline.js";
import { askQuestion } from "../src/collector/question.js";
import { noCounters } from "../src/kernel/counters.js";
import { DecodeContext, decode } from "../src/kernel/decode.js";
import { HookIndex } from "../src/kernel/hookindex.js";
import { allocateSightings } from "../src/packet/columns.js";
import type { Direction, HookId } from "../src/packet/hook.js";
import type { Sightings } from "../src/packet/sightings.js";
import type { SourceId } from "../src/packet/source.js";
import { cookie, flannelNode, Index, vethName } from "../test/wiring/flannel.js";
import { cpuNs } from "./cpu.js";
import { spread } from "./rounds.js";
import { row, title } from "./table.js";

const RECORD = 128;
/** As many as come in a turn of 8 ms when a socket floods. */
const BATCH = 2900;
/** See Tracer. */
const PIECE = 512;
/** Of a flood that one process sends and another reads: the slab gives them back in no order. */
const POINTERS = 2593;
/** More than a processor's share of its last cache, doubles. */
const TRASH = 3 << 20;
const BATCHES = 250;
const ROUNDS = 9;
/** 64 datagrams of a flow come together, as sendmmsg sends them. */
const BURST = 64;
const GAP_NS = 1000;
const SOURCE = "node-a" as SourceId;

function measure(flows: number, caches: string): void {
	const pipeline = new Pipeline({
		questions: [askQuestion({ from: "10.244.1.2", to: "10.244.1.3", filter: "", namespace: "default" })],
		everyPath: false,
		release: (rows) => idle.push(rows),
		path: (view) => {
			shown.push(view.toPath());
		},
	});
	const idle: Sightings[] = [];
	const shown: object[] = [];
	const index = new HookIndex();
	const wiring = flannelNode({ number: 1, pods: 2, nodes: 2 });
	pipeline.world([wiring], NOBODY);
	(["ingress", "egress"] as const).forEach((direction: Direction, n) => {
		const id = n as HookId;
		const ifindex = Index.firstVeth + n + 1;
		const device = vethName(1, n + 1);
		const common = { node: wiring.node, netns: cookie(1, 0), role: "pod", l3: false, master: Index.cni0 } as const;
		pipeline.sink.hook(SOURCE, { id, ifindex, device, direction, hookSet: n, ...common });
		index.set(n, ifindex, id);
	});
	const decoding = new DecodeContext(index, pipeline.tuples, pipeline.outers, 0n);
	const records = new Records(flows);
	const trash = new Float64Array(caches === "cold" ? TRASH : 0);
	const rounds: number[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		let spent = 0;
		for (let n = 0; n < BATCHES; n++) {
			records.fill();
			for (let i = 0; i < trash.length; i += 8) trash[i] = (trash[i] as number) + 1;
			const begun = cpuNs();
			for (let first = 0; first < BATCH; first += PIECE) {
				const rows = idle.pop() ?? allocateSightings(PIECE);
				rows.count = 0;
				decode(records.raw, Math.min(PIECE, BATCH - first), rows, decoding, first);
				const last = rows.time[rows.count - 1] as number;
				pipeline.sink.batch(SOURCE, rows);
				pipeline.sink.watermark(SOURCE, last);
			}
			pipeline.sink.watermark(SOURCE, records.now);
			spent += cpuNs() - begun;
		}
		pipeline.second();
		rounds.push(spent / (BATCHES * BATCH));
	}
	const { delivered } = pipeline.summary({
		durationMs: 0,
		hooks: 2,
		kernel: noCounters(),
		drained: 0,
		offered: shown.length,
		unsent: 0,
	}).paths;
	row(`${flows} flows, caches ${caches}`, spread(rounds.slice(1)), "ns a record", "≤ 300 with draining");
	row("  paths whole", ((delivered * 2) / (ROUNDS * BATCHES * BATCH)).toFixed(4), "of all");
	row("  resident", (process.resourceUsage().maxRSS / 1024).toFixed(0), "MiB");
}

/** What the kernel writes of the flood: each datagram where it leaves one pod and where it reaches the other. */
class Records {
	readonly raw = new ArrayBuffer(BATCH * RECORD);
	now = 1_000_000;
	readonly #flows: number;
	readonly #view = new DataView(this.raw);
	#packet = 0;
	#ids: Uint16Array;

	constructor(flows: number) {
		this.#flows = flows;
		this.#ids = new Uint16Array(flows);
	}

	fill(): void {
		for (let i = 0; i < BATCH; i += 2) {
			const flow = Math.floor(this.#packet++ / BURST) % this.#flows;
			const id = (this.#ids[flow] as number) + 1;
			this.#ids[flow] = id;
			const pointer = 1 + ((Math.imul(this.#packet, 1103515245) >>> 7) % POINTERS);
			this.#write(i, 0, this.now, flow, id & 0xffff, pointer);
			this.#write(i + 1, 1, this.now + 600, flow, id & 0xffff, pointer);
			this.now += GAP_NS;
		}
	}

	/** struct weft_event of bpf/event.h. */
	#write(i: number, hookSet: number, time: number, flow: number, ipId: number, pointer: number): void {
		const view = this.#view;
		const at = i * RECORD;
		view.setBigUint64(at, BigInt(time), true);
		view.setUint32(at + 8, Math.imul(pointer, 0x9e3779b1) >>> 0, true);
		view.setUint32(at + 12, pointer, true);
		view.setUint32(at + 24, 0xffff0000, true);
		view.setUint32(at + 28, 0x0201f40a, true);
		view.setUint32(at + 40, 0xffff0000, true);
		view.setUint32(at + 44, 0x0301f40a, true);
		view.setUint32(at + 64, Index.firstVeth + hookSet + 1, true);
		view.setUint32(at + 68, hookSet === 0 ? 0 : Index.firstVeth + 1, true);
		view.setUint32(at + 72, 64, true);
		view.setUint32(at + 76, 1, true);
		view.setUint32(at + 92, ipId, true);
		view.setUint32(at + 96, 22, true);
		view.setUint32(at + 100, Math.imul(flow * 65536 + ipId, 0x85ebca6b) >>> 0, true);
		view.setUint16(at + 108, 20_000 + flow, true);
		view.setUint16(at + 110, 9000, true);
		view.setUint16(at + 120, 0x0101, true);
		view.setUint16(at + 122, hookSet, true);
		view.setUint8(at + 125, 17);
		view.setUint8(at + 126, 64);
	}
}

const [flows, caches] = process.argv.slice(2);
if (flows !== undefined) measure(Number(flows), caches ?? "warm");
else {
	title(`A record through the worker, CPU time, ${ROUNDS - 1} rounds of ${BATCHES * BATCH}, median (min–max)`);
	for (const each of ["1", "10000"]) {
		for (const state of ["warm", "cold"]) {
			execFileSync(process.execPath, [fileURLToPath(import.meta.url), each, state], { stdio: "inherit" });
		}
	}
}
