import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../until.js";
import { agentsOf } from "./agents.js";
import { cluster } from "./cluster.js";
import { type Any, foreign, lostOf } from "./foreign.js";

const FLOOD = "build/bench/flood";
const PORT = 9000;
const SECONDS = 30;
const RATE = 20_000;
/** What waits for a slow reader has a bound: 8 MiB of rows, 4 MiB of paths; twice, as they are on their way between threads. */
const MOST_GROWTH = 96 << 20;

const REQUEST = { from: { end: "default/client" }, to: { end: "default/neighbor" }, filter: `udp port ${PORT}` };

/** One stream of an agent as a foreign client hears it, on a connection of its own. */
class Hearing {
	rows = 0;
	paths = 0;
	last: Any = null;
	isReady = false;
	/** Longest time between two messages, ms. */
	gapMs = 0;
	readonly #client: Any;
	readonly #call: Any;
	#heardAt = performance.now();

	constructor(address: string, method: "StreamSightings" | "Trace") {
		this.#client = foreign(address);
		this.#call = method === "Trace" ? this.#client.Trace(REQUEST) : this.#client.StreamSightings();
		this.#call.on("error", () => undefined);
		this.#call.on("data", (message: Any) => this.#hear(message));
		if (method === "StreamSightings") this.#call.write(REQUEST);
	}

	get lastState(): Any {
		return this.last?.phase === "PHASE_ENDED" ? this.last : null;
	}

	pause(): void {
		this.#call.pause();
	}

	resume(): void {
		this.#call.resume();
	}

	finish(): void {
		this.#call.write({ finish: true });
	}

	close(): void {
		this.#call.cancel();
		this.#client.close();
	}

	#hear({ state, batch, paths }: Any): void {
		const now = performance.now();
		if (this.isReady) this.gapMs = Math.max(this.gapMs, now - this.#heardAt);
		this.#heardAt = now;
		if (batch) this.rows += batch.skb.length;
		if (paths) this.paths += paths.length;
		if (state) this.last = state;
		this.isReady ||= state?.phase === "PHASE_READY";
	}
}

describe("subscribers that stop reading", () => {
	const lab = cluster();
	const agents = agentsOf(lab);

	const residentBytes = () => {
		const status = readFileSync(`/proc/${agents().pid("node-a")}/status`, "utf8");
		return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
	};

	test("for 30 s in a flood: each loses its own, counted; memory is bounded, and the others get everything", async (t) => {
		const address = agents().address("node-a");
		const neighbor = lab().pod("default/neighbor");
		const { ipv4 } = neighbor.pod.address;
		const slow = new Hearing(address, "StreamSightings");
		const slowTrace = new Hearing(address, "Trace");
		const other = new Hearing(address, "StreamSightings");
		const all = [slow, slowTrace, other];
		const sink = neighbor.spawn([FLOOD, "sink", ipv4, String(PORT), "--seconds", String(SECONDS + 10)], {
			stdio: "ignore",
		});
		try {
			await until(() => all.every(({ isReady }) => isReady));
			for (const each of [slow, slowTrace]) each.pause();
			const quiet = residentBytes();
			const options = ["--seconds", String(SECONDS + 5), "--packets", String(SECONDS * RATE), "--rate", String(RATE)];
			const flood = lab()
				.pod("default/client")
				.spawn([FLOOD, "send", ipv4, String(PORT), ...options], { stdio: ["ignore", "pipe", "ignore"] });
			let told = "";
			flood.stdout?.on("data", (text: Buffer) => {
				told += text.toString();
			});
			const over = once(flood, "close");
			let isOver = false;
			over.then(
				() => {
					isOver = true;
				},
				() => undefined,
			);
			const begun = performance.now();
			/** RSS, each half second. */
			const resident: number[] = [];
			while (!isOver) {
				await sleep(500);
				resident.push(residentBytes());
			}
			const seconds = (performance.now() - begun) / 1000;
			const { sent } = JSON.parse(told) as { sent: number };
			assert.ok(seconds >= SECONDS - 1, `precondition: nothing was read for ${seconds} s`);
			assert.ok(sent >= 200_000, `precondition: a flood of ${sent}`);

			// Who reads has all of it, as soon as it is over.
			other.finish();
			await until(() => other.lastState !== null);
			const ledger = ({ ledger }: Any, name: string) => ledger.find(({ stage }: Any) => stage === name);
			const ring = lostOf(ledger(other.lastState, "kernel"));
			assert.equal(lostOf(ledger(other.lastState, "subscriber")), 0, "the other one lost nothing to them");
			assert.equal(other.rows + ring, sent * 2, "two hooks saw each datagram");

			// The flood was the same for the slow one: what it was not given is counted, row by row.
			slow.finish();
			slow.resume();
			await until(() => slow.lastState !== null);
			const stage = ledger(slow.lastState, "subscriber");
			const lost = lostOf(stage);
			assert.ok(lost > sent, `precondition: it was slow and lost ${lost}`);
			assert.equal(Number(stage.in) + ring, sent * 2, "offered: what the other one was given");
			assert.equal(slow.rows, Number(stage.out), "delivered: what came");
			const told30 = slow.lastState.losses.find(({ cause }: Any) => cause === "subscriberSlow");
			assert.equal(Number(told30.count), lost, "and it is told so by cause");

			slowTrace.resume();
			// Its second's state comes behind what waited for it.
			const pathStages = () =>
				["output (paths)", "subscriber"].map((name) => ledger(slowTrace.last, name) ?? { in: 0, out: 0, lost: [] });
			const lostSoFar = () => pathStages().reduce((sum, each) => sum + lostOf(each), 0);
			// A state may come, and agree with what has come, while more waits behind it.
			await until(
				() =>
					slowTrace.paths > 0 &&
					slowTrace.paths === Number(pathStages()[1].out) &&
					(ring > 0 || slowTrace.paths + lostSoFar() >= sent),
			);
			const lostPaths = lostSoFar();
			assert.ok(lostPaths > sent / 2, `precondition: it was slow, too, and lost ${lostPaths} paths`);
			const toldPaths = slowTrace.last.losses.find(({ cause }: Any) => cause === "subscriberSlow");
			assert.equal(Number(toldPaths.count), lostPaths);
			if (ring === 0) assert.equal(slowTrace.paths + lostPaths, sent, "a path for each datagram, told or counted");

			// What a flood itself takes is there after some seconds; what waits for the slow must not grow on.
			const middle = Math.max(...resident.slice(0, Math.ceil(resident.length / 3)));
			const peak = Math.max(...resident);
			const mib = (bytes: number) => Math.round(bytes / 2 ** 20);
			const grown = `${mib(quiet)} MiB before, ${mib(middle)} in the first third, ${mib(peak)} at most`;
			assert.ok(peak - middle < MOST_GROWTH, grown);
			t.diagnostic(
				`${sent} datagrams in ${seconds.toFixed(1)} s; the slow lost ${lost} of ${stage.in} sightings and ${lostPaths} paths; ` +
					`the other got ${other.rows}, ${Math.round(other.gapMs)} ms between messages at the most; resident ${grown}`,
			);
		} finally {
			sink.kill("SIGINT");
			for (const each of all) each.close();
		}
	});
});
