/**
 * The Joiner alone on a recording of 10 M sightings, and what recording and replaying cost. The recording is made as it is
 * read, half a million sightings at a time, and never kept. Prints figures; judging them is the reader's.
 *
 *     node dist/bench/recording.bench.js [million sightings] [joiner|write|read …]
 */
import { createReadStream, createWriteStream, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inlineDeeply } from "../src/collector/inlining.js";
import type { SourceSink } from "../src/packet/source.js";
import { Joiner } from "../src/path/joiner.js";
import type { PathView } from "../src/path/path-view.js";
import { replay } from "../src/recording/reader.js";
import { RecordingWriter } from "../src/recording/writer.js";
import { cpuNs } from "./cpu.js";
import { interruption, listen, unlessInterrupted } from "./interruption.js";
import { Traffic } from "./recording.js";
import { row, title } from "./table.js";

const SIGHTINGS = Number(process.argv[2] ?? 10) * 1e6;
const PARTS = process.argv.slice(3);
const HEADER = { weft: "bench", createdAt: "2026-11-22T12:00:00Z", details: null };
const wanted = (part: string) => PARTS.length === 0 || PARTS.includes(part);

/** Sightings that are made before they are given on: whoever takes them works without the generator between. */
const AT_ONCE = 500_000;

type Call = (sink: SourceSink) => void;

/** A sink that gives on what it takes, a piece of AT_ONCE at a time, with the CPU time that the other takes for it. */
class Timed implements SourceSink {
	readonly #sink: SourceSink;
	#waiting: Call[] = [];
	#waitingRows = 0;
	rows = 0;
	spentNs = 0;

	constructor(sink: SourceSink) {
		this.#sink = sink;
	}

	hook: SourceSink["hook"] = (...values) => this.#take((sink) => sink.hook(...values));
	unhook: SourceSink["unhook"] = (...values) => this.#take((sink) => sink.unhook(...values));
	lost: SourceSink["lost"] = (...values) => this.#take((sink) => sink.lost(...values));
	watermark: SourceSink["watermark"] = (...values) => this.#take((sink) => sink.watermark(...values));
	clock: SourceSink["clock"] = (...values) => this.#take((sink) => sink.clock(...values));
	end: SourceSink["end"] = (...values) => this.#take((sink) => sink.end(...values));
	batch: SourceSink["batch"] = (source, given) => {
		this.#waitingRows += given.count;
		this.#take((sink) => sink.batch(source, given));
		if (this.#waitingRows >= AT_ONCE) this.giveOn();
	};

	giveOn(last: () => void = () => {}): void {
		const calls = this.#waiting;
		const begun = cpuNs();
		for (const call of calls) call(this.#sink);
		last();
		this.spentNs += cpuNs() - begun;
		this.rows += this.#waitingRows;
		this.#waiting = [];
		this.#waitingRows = 0;
	}

	#take(call: Call): void {
		this.#waiting.push(call);
	}
}

function megabytes(bytes: number): string {
	return (bytes / 2 ** 20).toFixed(0);
}

function joinAll(): void {
	const traffic = new Traffic({ sightings: SIGHTINGS });
	let paths = 0;
	let delivered = 0;
	let exact = 0;
	const sink = {
		path(view: PathView) {
			paths++;
			if (view.verdict === "delivered") delivered++;
			if (view.evidence === "exact") exact++;
		},
		revise() {},
	};
	const { tuples, outers, expectation } = traffic;
	const joiner = new Joiner({ tuples, outers, expectation }, sink);
	const before = process.memoryUsage().rss;
	const clock = new Timed(joiner);
	traffic.run(clock);
	clock.giveOn(() => joiner.flush());
	row("joined, 10,000 flows with GSO over two nodes", (clock.spentNs / clock.rows).toFixed(0), "ns each", "≤ 150");
	row("  paths delivered", (delivered / traffic.packets).toFixed(4), "of packets", `${paths} for ${traffic.packets}`);
	row("  exact", (exact / paths).toFixed(4), "of paths");
	row("  resident before and after", `${megabytes(before)}, ${megabytes(process.memoryUsage().rss)}`, "MiB");
}

async function write(file: string, deflate: boolean): Promise<void> {
	const traffic = new Traffic({ sightings: SIGHTINGS });
	// The generator never lets go of the thread, so everything waits here until its end: bench of the encoder, not of disks.
	const writer = new RecordingWriter(createWriteStream(file), traffic, HEADER, { deflate, queueBytes: 2 ** 40 });
	const clock = new Timed(writer);
	traffic.run(clock);
	clock.giveOn();
	const totals = await writer.finish();
	const bytes = statSync(file).size;
	const form = deflate ? "deflated" : "plain";
	row(`written, ${form}`, (clock.spentNs / totals.sightings).toFixed(0), "ns each");
	row("  in the file", (bytes / totals.sightings).toFixed(1), "bytes each");
}

async function read(file: string): Promise<void> {
	const traffic = new Traffic({ flows: 1 });
	const nothing = () => {};
	const sink = {
		hook: nothing,
		unhook: nothing,
		batch: nothing,
		lost: nothing,
		watermark: nothing,
		clock: nothing,
		end: nothing,
	};
	const start = cpuNs();
	const { totals, truncated } = await replay(createReadStream(file, { highWaterMark: 1 << 20 }), sink, traffic);
	const spent = cpuNs() - start;
	row(`  read again, ${truncated?.reason ?? "whole"}`, (spent / totals.sightings).toFixed(0), "ns each");
}

const signal = interruption();
inlineDeeply();
title(`A recording of ${SIGHTINGS / 1e6} M sightings, CPU time`);
if (wanted("joiner")) joinAll();
if (wanted("write") || wanted("read")) {
	const file = join(tmpdir(), `weft-bench-${process.pid}.weft`);
	await unlessInterrupted(signal, async () => {
		try {
			for (const deflate of [false, true]) {
				await listen(signal);
				await write(file, deflate);
				await listen(signal);
				await read(file);
			}
		} finally {
			rmSync(file, { force: true });
		}
	});
}
