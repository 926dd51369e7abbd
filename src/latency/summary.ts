import { ENUMS } from "../kernel/layout.generated.js";
import { REST as NO_ROOM } from "../kernel/segments.js";
import { type GroupBy, groupOf, type NameOf, OTHER } from "./group.js";
import { Histogram } from "./histogram.js";
import { begins, ends, kindBetween, kindUpTo, type Named } from "./kind.js";
import type { Reading } from "./reading.js";
import type { PacketAccount, Segment, SegmentEnd } from "./report.js";
import { segmentOf } from "./segment.js";
import type { TimedHook } from "./timed-hook.js";

export interface SummaryOptions {
	/** The hook that a hook set and an ifindex name; null: none that was ever announced. */
	readonly hook: (hookSet: number, ifindex: number) => TimedHook | null;
	/** Of the rest, which the kernel tells apart by classes of hooks: what hooks of a class have in common. */
	readonly ofClass: (id: number) => TimedHook | null;
	readonly nameOf: NameOf;
	/** Null: the pairs of a bridge's ports. */
	readonly by: GroupBy | null;
	/** The pods' own devices are hooked, too. */
	readonly inside: boolean;
}

export interface LatencySummary {
	readonly segments: readonly Segment[];
	readonly packets: Omit<PacketAccount, "seen" | "untracked">;
}

/** Parts of a segment (port pairs, groups) that are told apart; those of the fewest packets go into "other". */
const PARTS = 100;
/** Segments that are kept of what is gone, each with its parts; of more, those of the fewest packets are of a device "other". */
const MOST_GONE = 64;

/** Adds up what was read from the kernel to segments by what they are: each as a whole, and its parts. Pure. */
export function summarise(readings: readonly Reading[], options: SummaryOptions): LatencySummary {
	const sum = new Sum();
	sum.count(readings, options);
	return sum.summary();
}

/** What was read, added up, each under the names that its hooks had when it was counted here. */
export class Sum {
	readonly #wholes = new Map<string, Whole>();
	readonly #packets = { timed: 0, begun: 0, unmatched: {} as Record<string, number> };

	count(readings: readonly Reading[], options: SummaryOptions): void {
		const packets = this.#packets;
		for (const reading of readings) {
			const { kind } = reading.counted;
			const { from, to } = endsOf(reading, options);
			if (kind === KIND.WEFT_SEGMENT_TRANSIT) {
				if (to !== null && from !== null && ends(to)) this.#whole(to.node, TRANSIT).sample(reading, null);
				continue;
			}
			if (isSample(kind)) packets.timed += reading.count;
			if (to === null) {
				if (!isSample(kind)) count(packets.unmatched, reasonOf(kind), reading.count);
			} else if (!isSample(kind)) {
				if (begins(to, options.inside)) {
					packets.begun += reading.count;
					continue;
				}
				count(packets.unmatched, reasonOf(kind), reading.count);
				count(this.#whole(to.node, kindUpTo(to)).unmatched, reasonOf(kind), reading.count);
			} else if (from !== null) {
				const named = kindBetween(from, to);
				this.#whole(to.node, named).sample(reading, partOf(options, named, reading, from, to));
			}
		}
	}

	add(other: Sum): void {
		for (const whole of other.#wholes.values()) this.#whole(whole.node, whole.named).add(whole);
		this.#packets.timed += other.#packets.timed;
		this.#packets.begun += other.#packets.begun;
		for (const [reason, packets] of Object.entries(other.#packets.unmatched)) {
			count(this.#packets.unmatched, reason, packets);
		}
	}

	/** Keeps every packet, and of their names only so many. */
	bound(): void {
		const byPackets = [...this.#wholes].sort(([, a], [, b]) => b.packets - a.packets);
		for (const [key, whole] of byPackets.slice(MOST_GONE)) {
			if (whole.named.device === OTHER) continue;
			this.#wholes.delete(key);
			this.#whole(whole.node, { kind: whole.named.kind, device: OTHER }).add(whole);
		}
		for (const whole of this.#wholes.values()) whole.bound();
	}

	summary(): LatencySummary {
		const segments = [...this.#wholes.values()].flatMap((whole) => whole.segments());
		return { segments, packets: { ...this.#packets, unmatched: { ...this.#packets.unmatched } } };
	}

	#whole(node: string, { kind, device }: Named): Whole {
		const key = `${node}\n${kind}\n${device}`;
		const known = this.#wholes.get(key) ?? new Whole(node, { kind, device });
		this.#wholes.set(key, known);
		return known;
	}
}

/** One part of a segment: between two ports, or of a group. */
interface Part {
	readonly key: string;
	readonly from: TimedHook | null;
	readonly to: TimedHook | null;
	readonly group: string | null;
}

/** Null: never announced, or none. */
function endsOf(
	{ counted }: Reading,
	{ hook, ofClass }: SummaryOptions,
): { readonly from: TimedHook | null; readonly to: TimedHook | null } {
	const { kind, group, toHookSet, toIfindex, fromHookSet, fromIfindex } = counted;
	if (group === NO_ROOM) return { from: ofClass(fromIfindex), to: ofClass(toIfindex) };
	return { from: isSample(kind) ? hook(fromHookSet, fromIfindex) : null, to: hook(toHookSet, toIfindex) };
}

function partOf(
	{ by, nameOf }: SummaryOptions,
	{ kind }: Named,
	{ counted }: Reading,
	from: TimedHook,
	to: TimedHook,
): Part | null {
	const hasParts = by !== null || kind === "bridge-forward";
	if (counted.group === NO_ROOM) return hasParts ? REST : null;
	const pair = `${from.netns} ${from.ifindex} ${from.device} ${to.ifindex} ${to.device}`;
	if (by === null) return kind === "bridge-forward" ? { key: pair, from, to, group: null } : null;
	const group = groupOf(by, counted, { from, to }, nameOf);
	if (group === null) return null;
	return by === "port" ? { key: pair, from, to, group } : { key: group, from: null, to: null, group };
}

interface Counted {
	readonly part: Part;
	readonly histogram: Histogram;
}

const REST: Part = { key: OTHER, from: null, to: null, group: OTHER };

/** A kind of segment on one node, at one bridge or tunnel. */
class Whole {
	readonly node: string;
	readonly named: Named;
	readonly unmatched: Record<string, number> = {};
	readonly #all = new Histogram();
	readonly #parts = new Map<string, Counted>();

	constructor(node: string, named: Named) {
		this.node = node;
		this.named = named;
	}

	get packets(): number {
		return Object.values(this.unmatched).reduce((sum, packets) => sum + packets, this.#all.count);
	}

	sample(reading: Reading, part: Part | null): void {
		this.#all.add(reading.histogram);
		if (part !== null) this.#part(part).histogram.add(reading.histogram);
	}

	add(other: Whole): void {
		this.#all.add(other.#all);
		for (const { part, histogram } of other.#parts.values()) this.#part(part).histogram.add(histogram);
		for (const [reason, packets] of Object.entries(other.unmatched)) count(this.unmatched, reason, packets);
	}

	/** What is more than is shown becomes "other". */
	bound(): void {
		const { kept, rest } = this.#sorted();
		this.#parts.clear();
		for (const each of kept) this.#parts.set(each.part.key, each);
		if (rest.count > 0) this.#parts.set(REST.key, { part: REST, histogram: rest });
	}

	segments(): Segment[] {
		const { kept, rest } = this.#sorted();
		return [
			this.#segment(this.#all, null, this.unmatched),
			...kept.map(({ part, histogram }) => this.#segment(histogram, part, {})),
			...(rest.count > 0 ? [this.#segment(rest, REST, {})] : []),
		];
	}

	#part(part: Part): Counted {
		const known = this.#parts.get(part.key) ?? { part, histogram: new Histogram() };
		this.#parts.set(part.key, known);
		return known;
	}

	#sorted(): { readonly kept: readonly Counted[]; readonly rest: Histogram } {
		const parts = [...this.#parts.values()].sort((a, b) => b.histogram.count - a.histogram.count);
		const kept = parts.filter(({ part }) => part.group !== OTHER).slice(0, PARTS);
		const rest = new Histogram();
		for (const each of parts) if (!kept.includes(each)) rest.add(each.histogram);
		return { kept, rest };
	}

	#segment(histogram: Histogram, part: Part | null, unmatched: Readonly<Record<string, number>>): Segment {
		const place = {
			...this.named,
			node: this.node,
			from: part === null ? null : endOf(part.from),
			to: part === null ? null : endOf(part.to),
			group: part?.group ?? null,
		};
		return segmentOf(place, histogram, { clockErrorNs: 0, unmatched });
	}
}

const KIND = ENUMS.weft_segment_kind;
const TRANSIT: Named = { kind: "transit", device: null };

function isSample(kind: number): boolean {
	return kind === KIND.WEFT_SEGMENT_HOP || kind === KIND.WEFT_SEGMENT_TRANSIT;
}

const REASONS: Readonly<Record<number, string>> = Object.fromEntries(
	Object.entries(KIND).flatMap(([name, kind]) => {
		const reason = /^WEFT_UNMATCHED_(\w+)$/.exec(name)?.[1];
		return reason === undefined ? [] : [[kind, reason.toLowerCase()]];
	}),
);

function reasonOf(kind: number): string {
	return REASONS[kind] ?? String(kind);
}

function endOf(hook: TimedHook | null): SegmentEnd | null {
	if (hook === null) return null;
	const { node, device, direction, role, pod } = hook;
	return { node, device, direction, role, pod };
}

function count(counts: Record<string, number>, reason: string, by: number): void {
	counts[reason] = (counts[reason] ?? 0) + by;
}
