import type { Hook } from "../../packet/hook.js";
import type { PathView } from "../../path/path-view.js";
import type { ClockReading } from "./clock-estimate.js";
import type { RemoteSource } from "./remote-source.js";
import { TrafficClock } from "./traffic-clock.js";

/** Readings come every half second, on a busy machine a little later. */
const UNTIL_NEXT_NS = 800e6;

interface Known {
	readonly source: RemoteSource;
	/** By RPC, against ours. */
	reading: ClockReading | null;
}

/**
 * Keeps the nodes' clocks on one line: by RPC against ours, and better by the packets between them. Errors are told so
 * that the sum of two nodes' bounds how far their clocks may be apart.
 */
export class NodeClocks {
	readonly #hookOf: (id: number) => Hook;
	readonly #known = new Map<string, Known>();
	readonly #traffic = new TrafficClock((node, lineNs) => this.#known.get(node)?.source.offsetOnLine(lineNs) ?? null);

	constructor(hookOf: (id: number) => Hook) {
		this.#hookOf = hookOf;
	}

	/** A new epoch of a node: what was known of its clock holds no more. */
	begin(source: RemoteSource, reading: ClockReading | null): void {
		this.#traffic.forget(source.node);
		this.#known.set(source.node, { source, reading });
		if (reading !== null) source.clock(reading);
	}

	/** RPC has measured a node's clock again; each is told anew. */
	read(node: string, reading: ClockReading): void {
		const known = this.#known.get(node);
		if (known === undefined) return;
		known.reading = reading;
		const reference = this.#traffic.reference;
		if (reference === null || node === reference) known.source.clock(reading);
		if (reference !== null) this.#tie(reference, reading.atNs);
	}

	/** A path has closed: where it crossed from node to node, it says something of their clocks. */
	seen(view: PathView): void {
		if (this.#known.size < 2 || view.evidence !== "exact") return;
		for (let n = 1; n < view.hopCount; n++) {
			const [from, to] = [this.#hookOf(view.hook(n - 1)).node, this.#hookOf(view.hook(n)).node];
			if (from !== to && view.branch(n) === view.branch(n - 1)) {
				this.#traffic.crossed(from, view.first(n - 1), to, view.first(n));
			}
		}
	}

	/** It must hold until the next reading. */
	#tied(node: string, nowNs: number): ClockReading | null {
		const [now, later] = [nowNs, nowNs + UNTIL_NEXT_NS].map((atNs) => this.#traffic.reading(node, atNs));
		return now && later ? { ...now, errorNs: Math.max(now.errorNs, later.errorNs) } : null;
	}

	/** Brings every node onto the reference's line, as well as it is known. */
	#tie(reference: string, nowNs: number): void {
		const base = this.#known.get(reference);
		if (base === undefined || base.reading === null) return;
		const offset = base.source.offsetOnLine(nowNs);
		const loose = base.reading.errorNs;
		let isTied = true;
		for (const [node, { source, reading }] of this.#known) {
			if (node === reference) continue;
			const tied = this.#tied(node, nowNs);
			if (tied !== null && (reading === null || tied.errorNs < reading.errorNs + loose)) {
				const { rate, offsetNs, errorNs } = tied;
				source.clock({ atNs: nowNs, offsetNs: offset + offsetNs, rate: base.source.slope + rate, errorNs });
			} else if (reading !== null) {
				isTied = false;
				source.clock(reading);
			}
		}
		// Against nodes that are tied to it, the reference is right by definition.
		if (isTied) base.source.isReference();
	}
}
