import type { Counters } from "../kernel/counters.js";
import type { Accounts } from "../path/counters.js";
import type { LedgerStage } from "./report.js";

/** enum weft_parse of bpf/event.h from 1, as JSON names the causes. */
export const UNPARSEABLE = [
	"linkTruncated",
	"networkTruncated",
	"networkInvalid",
	"extensionTruncated",
	"extensionLimit",
	"transportTruncated",
	"transportInvalid",
	"tunnelInvalid",
	"vlanLimit",
] as const;

export interface TraceCounts {
	readonly kernel: Counters;
	/** Records taken out of the rings. */
	readonly drained: number;
	readonly accounts: Accounts;
	/** Paths that were to go up, and those that a slow reader had no room for. */
	readonly offered: number;
	readonly unsent: number;
}

/** Every stage of a trace in one process: in = out + Σ lost. Sightings, but for the last stage. */
export function traceLedger({ kernel, drained, accounts, offered, unsent }: TraceCounts): readonly LedgerStage[] {
	const { ringFull = 0, unknownHook = 0, tupleTableFull = 0 } = accounts.lost;
	const decoded = drained - unknownHook - tupleTableFull;
	return [
		{ stage: "kernel", in: kernel.matched, out: kernel.emitted, lost: { ringFull } },
		{ stage: "rings", in: kernel.emitted, out: drained, lost: {} },
		{ stage: "decode", in: drained, out: decoded, lost: { unknownHook, tupleTableFull } },
		{ stage: "join", in: decoded, out: accounts.joined, lost: { ...accounts.unjoined } },
		{ stage: "output (paths)", in: offered, out: offered - unsent, lost: { subscriberSlow: unsent } },
	];
}
