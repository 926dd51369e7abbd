import { randomBytes } from "node:crypto";
import type { Direction, NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { type AttachType, attachTypeOf } from "./attach.js";
import { type Announce, type AttachFailure, type HookSetEvents, HookSets, type KnobsOf } from "./hook-sets.js";
import { NO_FILTER } from "./knobs.js";
import { ENUMS, LAYOUT, LIMITS } from "./layout.generated.js";
import type { BpfMap } from "./native.js";
import { InstrumentObject } from "./object.js";
import type { HookPlace, HookTarget } from "./place.js";
import { REST, type Segment, SegmentTable } from "./segments.js";
import { perCpu, u32Key, u64 } from "./values.js";

export interface StopwatchOptions {
	readonly attach: AttachType | "auto";
	/** Pairs of hooks and groups that are told apart, the rest by classes of hooks; a power of two. Default 1024. */
	readonly segments?: number;
	/** Hooks for which the reasons of packets without a sample are counted; a power of two. Default 1024. */
	readonly hooks?: number;
	/** enum weft_group: 0 not at all, 1 by protocol, 2 by flow. */
	readonly groupBy: number;
	/** Also from a packet's first hook to each egress. */
	readonly transit: boolean;
	/** The namespaces of one node, its pods' included, have one realm: a packet is known again across them. */
	readonly realmOf?: (netns: NetnsCookie) => NetnsCookie;
}

/** VXLAN's UDP ports in a namespace. */
export type TunnelPortsOf = (netns: NetnsCookie) => readonly number[];

export interface StopwatchCounters {
	/** Packets at all hooks. */
	readonly seen: number;
	/** Of them, what found no room among the segments, not even among the rest. */
	readonly untracked: number;
}

export interface StopwatchHookSet {
	readonly hookSet: number;
	readonly netns: NetnsCookie;
	readonly direction: Direction;
}

/** Times packets from hook to hook inside the kernel: no packet comes up, only histograms are read. */
export class Stopwatch {
	readonly attachType: AttachType;
	readonly #options: StopwatchOptions;
	readonly #object: InstrumentObject;
	readonly #sets: HookSets;
	readonly #table: SegmentTable;
	readonly #counters: BpfMap;
	readonly #classes: BpfMap;
	readonly #retired = { seen: 0, untracked: 0 };
	readonly #pointerKey = randomBytes(8).readBigUInt64LE() | 1n;
	readonly #hashSalt = randomBytes(8).readBigUInt64LE();

	/** @throws KernelError without the addon, without privileges, or on a kernel that cannot */
	constructor(options: StopwatchOptions) {
		this.#options = options;
		this.attachType = attachTypeOf(options.attach);
		const { segments = LIMITS.segments, hooks = LIMITS.hooks } = options;
		const timed = segments + LIMITS.rest_segments;
		this.#object = new InstrumentObject({
			file: "latency.bpf.o",
			program: "weft_latency",
			noop: "weft_noop",
			tools: [RETIRE, FREE],
			entries: { segments: timed + hooks, histograms: timed, reasons: hooks },
		});
		this.#table = new SegmentTable({
			segments: this.#object.map("segments"),
			histograms: this.#object.map("histograms"),
			reasons: this.#object.map("reasons"),
			retire: this.#object.tool(RETIRE),
			free: this.#object.tool(FREE),
		});
		this.#counters = this.#object.map("latency_counters");
		this.#classes = this.#object.map("classes");
		const events: HookSetEvents = {
			opened: ({ id }) => {
				const size = (LAYOUT.weft_latency_counters.size + 7) & ~7;
				this.#counters.update(u32Key(id), new Uint8Array(size * addon().possibleCpus));
			},
			closed: ({ id }) => addTo(this.#retired, this.#read(id)),
		};
		this.#sets = new HookSets(this.#object, this.attachType, events, options.realmOf);
	}

	/** As Hooks.attach. @throws KernelError */
	attach<Target extends HookTarget>(
		targets: readonly Target[],
		tunnelPortsOf: TunnelPortsOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		return this.#sets.attach(targets, this.#knobsOf(tunnelPortsOf), announce);
	}

	detach(places: readonly HookPlace[]): Promise<void> {
		return this.#sets.detach(places);
	}

	get hookSets(): readonly StopwatchHookSet[] {
		return this.#sets.sets.map(({ id, netns, direction }) => ({ hookSet: id, netns, direction }));
	}

	/**
	 * Samples that find no room of their own are counted between classes of hooks: to be told before a hook begins to work.
	 * @param id not 0; null: no packet comes from there any more
	 */
	classify(hookSet: number, ifindex: number, id: number | null): void {
		const key = new Uint8Array(Uint32Array.of(ifindex, hookSet).buffer);
		if (id === null) this.#classes.delete(key);
		else this.#classes.update(key, u32Key(id));
	}

	/** Every segment that was not released, over all CPUs, as of now. */
	segments(): readonly Segment[] {
		return this.#table.read();
	}

	/**
	 * Makes room for others where segments have an end that is gone. Wait for one call before the next.
	 * @param isGone of a hook set and an ifindex: no hook there works any more
	 * @param isClassGone of a class: no packet comes from or to such a hook any more
	 * @param take is given what they counted, at the very moment from which `segments` does not have it any more
	 */
	release(
		isGone: (hookSet: number, ifindex: number) => boolean,
		isClassGone: (id: number) => boolean,
		take: (last: readonly Segment[]) => void,
	): Promise<void> {
		return this.#table.release(({ kind, group, fromHookSet, fromIfindex, toHookSet, toIfindex }) => {
			if (group === REST) return isClassGone(fromIfindex) || isClassGone(toIfindex);
			return isGone(toHookSet, toIfindex) || (hasOrigin(kind) && isGone(fromHookSet, fromIfindex));
		}, take);
	}

	counters(): StopwatchCounters {
		const total = { ...this.#retired };
		for (const { id } of this.#sets.sets) addTo(total, this.#read(id));
		return total;
	}

	/** What was counted is final when this resolves; the hooks stay, doing nothing, until `close`. */
	async stop(): Promise<void> {
		await this.#sets.quiet();
		await addon().synchronizePrograms();
	}

	async close(): Promise<void> {
		await this.#sets.close();
		this.#object.close();
	}

	#read(hookSet: number): StopwatchCounters {
		const total = { seen: 0, untracked: 0 };
		const { size, members: at } = LAYOUT.weft_latency_counters;
		for (const [view, base] of perCpu(this.#counters.lookup(u32Key(hookSet)), size)) {
			total.seen += u64(view, base + at.seen.offset);
			total.untracked += u64(view, base + at.untracked.offset);
		}
		return total;
	}

	#knobsOf(tunnelPortsOf: TunnelPortsOf): KnobsOf {
		const { groupBy, transit, segments = LIMITS.segments, hooks = LIMITS.hooks } = this.#options;
		return (netns) => ({
			pointerKey: this.#pointerKey,
			hashSalt: this.#hashSalt,
			...NO_FILTER,
			tunnelPorts: tunnelPortsOf(netns),
			segmentMask: segments - 1,
			hookMask: hooks - 1,
			groupBy,
			transit,
		});
	}
}

const RETIRE = "weft_retire_segment";
const FREE = "weft_free_segment";

function hasOrigin(kind: number): boolean {
	const { WEFT_SEGMENT_HOP, WEFT_SEGMENT_TRANSIT } = ENUMS.weft_segment_kind;
	return kind === WEFT_SEGMENT_HOP || kind === WEFT_SEGMENT_TRANSIT;
}

function addTo(total: { seen: number; untracked: number }, more: StopwatchCounters): void {
	total.seen += more.seen;
	total.untracked += more.untracked;
}
