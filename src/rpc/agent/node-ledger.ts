import type { LocalSource } from "../../collector/local-source.js";
import type { LedgerStage } from "../../collector/report.js";
import { addCounters, type Counters, noCounters } from "../../kernel/counters.js";
import type { LossCause } from "../../packet/source.js";

/** What became of every sighting of a node, of all subscribers together, since its agent began. */
export class NodeLedger {
	/** Of sources that have stopped. */
	readonly #kernel = noCounters();
	#drained = 0;
	#unknownHook = 0;
	#tupleTableFull = 0;

	/** Drained, but not decoded. Other causes are the kernel's to count. */
	lost(cause: LossCause, count: number): void {
		if (cause === "unknownHook") this.#unknownHook += count;
		else if (cause === "tupleTableFull") this.#tupleTableFull += count;
	}

	/** A source has stopped, and these are its last counts. */
	retire({ drained }: LocalSource, total: Counters): void {
		addCounters(this.#kernel, total);
		this.#drained += drained;
	}

	/** Exact while nothing is hooked. @param source one that works now; null: none */
	stages(source: LocalSource | null): readonly LedgerStage[] {
		const kernel = noCounters();
		addCounters(kernel, this.#kernel);
		let drained = this.#drained;
		if (source !== null) {
			addCounters(kernel, source.counters().total);
			drained += source.drained;
		}
		const { seen, matched, emitted, ringFull } = kernel;
		const [unknownHook, tupleTableFull] = [this.#unknownHook, this.#tupleTableFull];
		const decoded = drained - unknownHook - tupleTableFull;
		return [
			{ stage: "filter", in: seen, out: matched, lost: { notAsked: seen - matched } },
			{ stage: "kernel", in: matched, out: emitted, lost: { ringFull } },
			{ stage: "rings", in: emitted, out: drained, lost: { underWay: emitted - drained } },
			{ stage: "decode", in: drained, out: decoded, lost: { unknownHook, tupleTableFull } },
		];
	}
}
