import type { SourceSink } from "./source.js";

/**
 * One sink for several: `witnesses` hear each call first, in order, and copy what they want of a batch; `owner` hears it
 * last and may keep, change or transfer the batch.
 */
export function fanOut(witnesses: readonly SourceSink[], owner: SourceSink): SourceSink {
	const all = [...witnesses, owner];
	return {
		hook(source, hook, sinceNs) {
			for (const sink of all) sink.hook(source, hook, sinceNs);
		},
		unhook(source, hook) {
			for (const sink of all) sink.unhook(source, hook);
		},
		batch(source, rows) {
			for (const sink of all) sink.batch(source, rows);
		},
		lost(source, cause, count) {
			for (const sink of all) sink.lost(source, cause, count);
		},
		watermark(source, timeNs) {
			for (const sink of all) sink.watermark(source, timeNs);
		},
		clock(source, clock) {
			for (const sink of all) sink.clock(source, clock);
		},
		end(source) {
			for (const sink of all) sink.end(source);
		},
	};
}
