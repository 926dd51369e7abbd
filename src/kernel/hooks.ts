import { randomBytes } from "node:crypto";
import type { KernelRule } from "../filter/rule.js";
import type { Direction, NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { type AttachType, attachTypeOf } from "./attach.js";
import { addCounters, type Counters, clearCounters, noCounters, readCounters } from "./counters.js";
import { explained } from "./error.js";
import { type Announce, type AttachFailure, HookSets, type KnobsOf } from "./hook-sets.js";
import { LAYOUT } from "./layout.generated.js";
import type { BpfMap, RawBatch, Rings } from "./native.js";
import { InstrumentObject } from "./object.js";
import type { HookPlace, HookTarget } from "./place.js";
import { ringBytesFor } from "./ringsize.js";

export type { Announce, AttachFailure } from "./hook-sets.js";

export interface HooksOptions {
	/** "auto": TCX where the kernel has it. */
	readonly attach: AttachType | "auto";
	/** Bytes of each CPU's ring, a power of two; null: by the number of CPUs. */
	readonly ringBytes: number | null;
	/** Keys payload hashes; one for all agents of a trace. */
	readonly hashSalt: bigint;
	/** Keep one packet in so many, the same ones everywhere; 0 and 1: all. */
	readonly sample: number;
	/** Packets that matched at one hook are traced at the next ones, whatever NAT made of them. */
	readonly follow: boolean;
	/** Defaults: 4096 records a batch, 32 batches, 20 ms. */
	readonly batchRecords?: number;
	readonly credits?: number;
	readonly intervalMs?: number;
}

/** What the program instances of one namespace look for. */
export interface InstanceFilter {
	readonly rules: readonly KernelRule[];
	/** Bits of those for whom every packet matches. */
	readonly matchAll: number;
	/** VXLAN's UDP ports in the namespace, at most 4. */
	readonly tunnelPorts: readonly number[];
	/** Instead of HooksOptions.sample. */
	readonly sample?: number;
}

export type FilterOf = (netns: NetnsCookie) => InstanceFilter;

export interface HookSetCounters extends Counters {
	readonly hookSet: number;
	readonly netns: NetnsCookie;
	readonly direction: Direction;
	readonly l3: boolean;
}

export interface HookCounters {
	/** Also of hook sets that are gone. */
	readonly total: Counters;
	readonly sets: readonly HookSetCounters[];
}

/** What a program needs that looks into the tracer's slots: where was this packet seen last? */
export interface SlotAccess {
	/** Maps to reuse, by the names that the other program has for them too. */
	readonly maps: readonly BpfMap[];
	readonly pointerKey: bigint;
	readonly hashSalt: bigint;
	/** As in the slots. */
	netnsId(cookie: NetnsCookie): number;
}

/**
 * The tracer on tc hooks, and the flow of its records. Hooks begin all at once and end all at once, so that the last
 * record is known to be the last and the counters are exact.
 */
export class Hooks {
	readonly attachType: AttachType;
	readonly #options: HooksOptions;
	readonly #rings: Rings;
	readonly #object: InstrumentObject;
	readonly #counters: BpfMap;
	readonly #sets: HookSets;
	readonly #retired = noCounters();
	/** Odd, as the bijection wants it. Secret: skb addresses could be computed with it. */
	readonly #pointerKey = randomBytes(8).readBigUInt64LE() | 1n;
	#generation = 0;
	#stopped = false;

	/** @throws KernelError without the addon, without privileges, or on a kernel that cannot */
	constructor(options: HooksOptions) {
		this.#options = options;
		this.attachType = attachTypeOf(options.attach);
		this.#rings = explained("create the rings", () =>
			addon().createRings({
				kind: "records",
				bytesPerRing: options.ringBytes ?? ringBytesFor(addon().onlineCpus),
				recordSize: LAYOUT.weft_event.size,
				batchRecords: options.batchRecords ?? 4096,
				credits: options.credits ?? 32,
				intervalMs: options.intervalMs ?? 20,
			}),
		);
		try {
			this.#object = new InstrumentObject({
				file: "trace.bpf.o",
				program: "weft_trace",
				noop: "weft_noop",
				reuse: this.#rings.maps,
			});
		} catch (cause) {
			this.#rings.close();
			throw cause;
		}
		this.#counters = this.#object.map("counters");
		this.#sets = new HookSets(this.#object, this.attachType, {
			opened: ({ id }) => clearCounters(this.#counters, id, addon().possibleCpus),
			closed: ({ id }) => addCounters(this.#retired, readCounters(this.#counters, id)),
		});
	}

	/**
	 * Hooks devices. Those that cannot be hooked (gone meanwhile) are returned, the others trace when this resolves.
	 * What is hooked already is left alone, and keeps its filter.
	 * @throws KernelError when programs cannot be loaded; then nothing was attached
	 */
	attach<Target extends HookTarget>(
		targets: readonly Target[],
		filterOf: FilterOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		return this.#sets.attach(targets, this.#knobsOf(filterOf), announce);
	}

	/** Unhooks devices, also those that are gone. Their last records may still be on the way. */
	detach(places: readonly HookPlace[]): Promise<void> {
		return this.#sets.detach(places);
	}

	/**
	 * Gives every instance a new filter: fresh programs are loaded while the old ones trace, then all links are switched
	 * within microseconds. Resolves to the generation that later records carry.
	 * @throws KernelError; the old filter stays
	 */
	async refilter(filterOf: FilterOf): Promise<number> {
		this.#generation = (this.#generation + 1) & 0xff;
		const generation = this.#generation;
		await this.#sets.reload(this.#knobsOf(filterOf));
		return generation;
	}

	/** Starts the flow of batches; give each back with `release`. */
	drain(onBatch: (batch: RawBatch) => void): void {
		this.#rings.drain(onBatch);
	}

	release(batch: RawBatch): void {
		this.#rings.release(batch);
	}

	/** What is hooked now. */
	get targets(): readonly HookTarget[] {
		return this.#sets.targets;
	}

	/** Of them, those that foreign clsact filters run before, which may end a packet's way unseen: worth a warning. */
	get shadowed(): readonly HookTarget[] {
		return this.#sets.shadowed;
	}

	get slotAccess(): SlotAccess {
		return {
			maps: [this.#object.map("slots"), this.#object.map("shared")],
			pointerKey: this.#pointerKey,
			hashSalt: this.#options.hashSalt,
			netnsId: (cookie) => this.#sets.netnsId(cookie),
		};
	}

	/** As of now; exact after `stop`. */
	counters(): HookCounters {
		const total = noCounters();
		addCounters(total, this.#retired);
		const sets = this.#sets.sets.map(({ id, netns, direction, l3 }) => {
			const counters = readCounters(this.#counters, id);
			addCounters(total, counters);
			return { hookSet: id, netns, direction, l3, ...counters };
		});
		return { total, sets };
	}

	/**
	 * Stops tracing: every record that was written has been given to `drain` when this resolves, and the counters are
	 * final, `emitted` being the number of records given. The hooks stay, doing nothing, until `close`.
	 */
	async stop(): Promise<HookCounters> {
		if (!this.#stopped) {
			this.#stopped = true;
			await this.#sets.quiet();
			await addon().synchronizePrograms();
		}
		await this.#rings.stop();
		return this.counters();
	}

	/**
	 * As `stop`, but takes every hook away on the way: nobody waits for the last records. A hook that is taken away has
	 * run its last, so that this waits for nothing twice.
	 */
	async leave(): Promise<HookCounters> {
		this.#stopped = true;
		await this.#sets.quiet();
		await this.#sets.close();
		if (this.attachType === "clsact") await addon().synchronizePrograms();
		await this.#rings.stop();
		return this.counters();
	}

	/** Takes every hook away: some 10 ms each with TCX. A process that ends does without. */
	async close(): Promise<void> {
		await this.#sets.close();
		this.#object.close();
		this.#rings.close();
	}

	#knobsOf(filterOf: FilterOf): KnobsOf {
		const [{ hashSalt, follow, sample }, pointerKey, generation] = [this.#options, this.#pointerKey, this.#generation];
		return (netns) => ({ pointerKey, hashSalt, follow, sample, generation, ...filterOf(netns) });
	}
}
