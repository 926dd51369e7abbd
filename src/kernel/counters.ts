import { ENUMS, LAYOUT } from "./layout.generated.js";
import type { BpfMap } from "./native.js";
import { perCpu, u32Key, u64 } from "./values.js";

/** struct weft_counters of bpf/counters.h over all CPUs, in packets. `matched` = `emitted` + `ringFull`, exactly. */
export interface Counters {
	seen: number;
	matched: number;
	emitted: number;
	ringFull: number;
	/** Would have matched, left out by sampling. */
	unsampled: number;
	/** Of the seen ones, by enum weft_parse; [0] stays 0. */
	unparseable: number[];
}

export function noCounters(): Counters {
	return {
		seen: 0,
		matched: 0,
		emitted: 0,
		ringFull: 0,
		unsampled: 0,
		unparseable: new Array<number>(ENUMS.weft_parse.WEFT_PARSE_CAUSES).fill(0),
	};
}

export function addCounters(sum: Counters, more: Counters): void {
	sum.seen += more.seen;
	sum.matched += more.matched;
	sum.emitted += more.emitted;
	sum.ringFull += more.ringFull;
	sum.unsampled += more.unsampled;
	more.unparseable.forEach((count, cause) => {
		sum.unparseable[cause] = (sum.unparseable[cause] ?? 0) + count;
	});
}

/** What a hook set counted so far. Exact once its programs no longer run; before that, as of some moment per CPU. */
export function readCounters(map: BpfMap, hookSet: number): Counters {
	const sum = noCounters();
	const { size, members: at } = LAYOUT.weft_counters;
	for (const [view, base] of perCpu(map.lookup(u32Key(hookSet)), size)) {
		sum.seen += u64(view, base + at.seen.offset);
		sum.matched += u64(view, base + at.matched.offset);
		sum.emitted += u64(view, base + at.emitted.offset);
		sum.ringFull += u64(view, base + at.ring_full.offset);
		sum.unsampled += u64(view, base + at.unsampled.offset);
		for (let cause = 0; cause < sum.unparseable.length; cause++) {
			sum.unparseable[cause] = (sum.unparseable[cause] ?? 0) + u64(view, base + at.unparseable.offset + cause * 8);
		}
	}
	return sum;
}

/** For a hook set that begins anew under a number used before. */
export function clearCounters(map: BpfMap, hookSet: number, cpus: number): void {
	map.update(u32Key(hookSet), new Uint8Array(cpus * ((LAYOUT.weft_counters.size + 7) & ~7)));
}
