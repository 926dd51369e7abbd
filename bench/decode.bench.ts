/**
 * What decoding costs a record, in CPU time: node dist/bench/decode.bench.js [flows]. A process for each number of flows, as a
 * trace has one decoder too: the compiler does better by one than by several.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DecodeContext, decode } from "../src/kernel/decode.js";
import { HookIndex } from "../src/kernel/hookindex.js";
import { allocateSightings } from "../src/packet/columns.js";
import type { HookId } from "../src/packet/hook.js";
import { OuterTable } from "../src/packet/outers.js";
import { TupleTable } from "../src/packet/tuples.js";
import { cpuNs } from "./cpu.js";
import { median } from "./rounds.js";
import { row, title } from "./table.js";

const RECORDS = 4096;
const BATCHES = 8;
const ROUNDS = 41;
const HOOKS = 12;

/** Deterministic, so that rounds and machines see the same records. */
function random(): () => number {
	let state = 0x9e3779b9;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return state >>> 0;
	};
}

function batches(flows: number): ArrayBuffer[] {
	const next = random();
	return Array.from({ length: BATCHES }, (_, batch) => {
		const raw = new ArrayBuffer(RECORDS * 128);
		for (let i = 0; i < RECORDS; i++) {
			const view = new DataView(raw, i * 128, 128);
			const flow = next() % flows;
			view.setBigUint64(0, BigInt((batch * RECORDS + i) * 500), true);
			view.setUint32(8, next(), true);
			view.setUint32(24, 0xffff0000, true);
			view.setUint32(28, 0x0af40100 + (flow & 255));
			view.setUint32(40, 0xffff0000, true);
			view.setUint32(44, 0x0af40200 + ((flow >> 8) & 255));
			view.setUint32(56, 0xffff0000, true);
			view.setUint32(60, 0xc0a8420b + (i & 1));
			view.setUint32(64, (next() % HOOKS) + 2, true);
			view.setUint32(72, 1514, true);
			view.setUint32(96, 1448, true);
			view.setUint16(108, 32768 + (flow % 20000), true);
			view.setUint16(110, 80, true);
			view.setUint16(120, 0x0101 | ((i & 3) === 0 ? 4 : 0), true);
			view.setUint8(125, 6);
		}
		return raw;
	});
}

function bench(flows: number): void {
	const hooks = new HookIndex();
	for (let i = 0; i < HOOKS; i++) hooks.set(0, i + 2, i as HookId);
	const context = new DecodeContext(hooks, new TupleTable(), new OuterTable(), 0n);
	const rows = allocateSightings(RECORDS);
	const raws = batches(flows);
	const rounds: number[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const start = cpuNs();
		for (const raw of raws) {
			rows.count = 0;
			decode(raw, RECORDS, rows, context);
		}
		rounds.push((cpuNs() - start) / (RECORDS * BATCHES));
	}
	const worst = Math.max(...rounds.slice(3));
	row(
		`decode, ${flows} flows, ${context.tuples.used} tuples`,
		`${median(rounds).toFixed(1)}`,
		"ns a record",
		`worst ${worst.toFixed(0)}`,
	);
}

if (process.argv[2] !== undefined) bench(Number(process.argv[2]));
else {
	title(`Records into columns, CPU time, median of ${ROUNDS} rounds of ${RECORDS * BATCHES}`);
	for (const flows of ["1", "100", "10000", "100000"]) {
		execFileSync(process.execPath, [fileURLToPath(import.meta.url), flows], { stdio: "inherit" });
	}
}
