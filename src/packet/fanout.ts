import type { SourceSink } from "./source.js";

/**
 * One sink for several: `witnesses` hear each call first, in order, and copy what they want of a batch; `owner` hears it
 * last and may keep, change or transfer the batch.
 */
export function fanOut(witnesses: readonly SourceSink[], owner: SourceSink): SourceSink {
	const all = [...witnesses, owner];
	return {
		hook: (source, hook) => all.forEach((sink) => sink.hook(source, hook)),
		unhook: (source, hook) => all.forEach((sink) => sink.unhook(source, hook)),
		batch: (source, rows) => all.forEach((sink) => sink.batch(source, rows)),
		lost: (source, cause, count) => all.forEach((sink) => sink.lost(source, cause, count)),
		watermark: (source, timeNs) => all.forEach((sink) => sink.watermark(source, timeNs)),
		clock: (source, clock) => all.forEach((sink) => sink.clock(source, clock)),
		end: (source) => all.forEach((sink) => sink.end(source)),
	};
}
