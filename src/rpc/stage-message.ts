import type { LedgerStage } from "../collector/report.js";
import { numberOf } from "./codec.js";
import type { StageMessage } from "./messages.js";

/** Causes that took nothing are left out. */
export function stageMessage({ stage, in: received, out, lost }: LedgerStage): StageMessage {
	const losses = Object.entries(lost).flatMap(([cause, count]) => (count ? [{ cause, count }] : []));
	return { stage, in: received, out, lost: losses };
}

export function stageOf({ stage, in: received, out, lost }: StageMessage): LedgerStage {
	const counts = Object.fromEntries(lost.map(({ cause, count }) => [cause, numberOf(count)]));
	return { stage, in: numberOf(received), out: numberOf(out), lost: counts };
}
