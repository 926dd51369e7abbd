import { randomBytes } from "node:crypto";
import type { KernelRule } from "../filter/rule.js";
import type { Direction, NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { type AttachType, attach, openNetns, preferredAttachType } from "./attach.js";
import { addCounters, type Counters, clearCounters, noCounters, readCounters } from "./counters.js";
import { explained, isNativeError, KernelError } from "./error.js";
import { HookSetIds } from "./hooksetids.js";
import { LAYOUT } from "./layout.generated.js";
import type { BpfProgram, Link, Netns, RawBatch, Rings } from "./native.js";
import type { HookPlace, HookTarget } from "./place.js";
import { TraceObject } from "./program.js";
import { ringBytesFor } from "./ringsize.js";

export interface HooksOptions {
	/** "auto": TCX where the kernel has it. */
	readonly attach: AttachType | "auto";
	/** Bytes of each CPU's ring, a power of two; null: by the number of CPUs. */
	readonly ringBytes: number | null;
	/** Keys payload hashes; one for all agents of a trace. */
	readonly hashSalt: bigint;
	/** 0: every packet; 2ⁿ−1: one in 2ⁿ, the same ones everywhere. */
	readonly sampleMask: number;
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
}

export type FilterOf = (netns: NetnsCookie) => InstanceFilter;

/** Told before the first record of a hook can arrive: records name hooks by hook set and ifindex. */
export type Announce<Target> = (target: Target, hookSet: number) => void;

export interface AttachFailure<Target> {
	readonly target: Target;
	readonly error: KernelError;
}

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

/** One program instance: all hooks of one namespace, one direction, with or without a link header. */
interface HookSet {
	readonly id: number;
	readonly netns: NetnsCookie;
	readonly direction: Direction;
	readonly l3: boolean;
	/** Null until its first load. */
	program: BpfProgram | null;
	readonly links: Map<number, Attached>;
}

interface Attached {
	readonly target: HookTarget;
	readonly link: Link;
}

/**
 * Puts the tracer on devices and takes it off again. Hooks are attached with a program that does nothing, and begin to
 * trace all at once when everything is in place; they end the same way, so that the last record is known to be the last.
 *
 * Calls that change hooks wait for one another.
 */
export class Hooks {
	readonly attachType: AttachType;
	readonly #options: HooksOptions;
	readonly #rings: Rings;
	readonly #object: TraceObject;
	readonly #sets = new Map<string, HookSet>();
	readonly #ids = new HookSetIds();
	readonly #netnsIds = new Map<NetnsCookie, number>();
	readonly #retired = noCounters();
	/** Odd, as the bijection wants it. Secret: skb addresses could be computed with it. */
	readonly #pointerKey = randomBytes(8).readBigUInt64LE() | 1n;
	#filterOf: FilterOf = () => ({ rules: [], matchAll: 0, tunnelPorts: [] });
	#generation = 0;
	#last: Promise<unknown> = Promise.resolve();
	#stopped = false;

	/** @throws KernelError without the addon, without privileges, or on a kernel that cannot */
	constructor(options: HooksOptions) {
		this.#options = options;
		this.attachType = options.attach === "auto" ? explained("ask for TCX", preferredAttachType) : options.attach;
		this.#rings = explained("create the rings", () =>
			addon().createRings({
				bytesPerRing: options.ringBytes ?? ringBytesFor(addon().onlineCpus),
				recordSize: LAYOUT.weft_event.size,
				batchRecords: options.batchRecords ?? 4096,
				credits: options.credits ?? 32,
				intervalMs: options.intervalMs ?? 20,
			}),
		);
		try {
			this.#object = new TraceObject(this.#rings);
		} catch (cause) {
			this.#rings.close();
			throw cause;
		}
	}

	/**
	 * Hooks devices. Those that cannot be hooked (gone meanwhile) are returned, the others trace when this resolves.
	 * What is hooked already is left alone. `filterOf` holds from now on for all instances made later.
	 * @throws KernelError when programs cannot be loaded; then nothing was attached
	 */
	attach<Target extends HookTarget>(
		targets: readonly Target[],
		filterOf: FilterOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		return this.#exclusively(() => this.#attach(targets, filterOf, announce));
	}

	/** Unhooks devices, also those that are gone. Their last records may still be on the way. */
	detach(places: readonly HookPlace[]): Promise<void> {
		return this.#exclusively(async () => {
			for (const place of places) {
				for (const set of this.#sets.values()) {
					if (set.netns !== place.netns || set.direction !== place.direction) continue;
					set.links.get(place.ifindex)?.link.close();
					set.links.delete(place.ifindex);
				}
			}
			this.#retireEmpty();
		});
	}

	/**
	 * Gives every instance a new filter: fresh programs are loaded while the old ones trace, then all links are switched
	 * within microseconds. Resolves to the generation that later records carry.
	 * @throws KernelError; the old filter stays
	 */
	refilter(filterOf: FilterOf): Promise<number> {
		return this.#exclusively(async () => {
			if (this.#stopped) return this.#generation;
			const [previous, generation] = [this.#filterOf, this.#generation];
			this.#filterOf = filterOf;
			this.#generation = (generation + 1) & 0xff;
			const sets = [...this.#sets.values()];
			try {
				const programs = await allOrNone(sets.map((set) => this.#loadFor(set)));
				sets.forEach((set, index) => {
					const old = set.program;
					set.program = programs[index] as BpfProgram;
					for (const { link } of set.links.values()) switchTo(link, set.program);
					old?.close();
				});
			} catch (cause) {
				[this.#filterOf, this.#generation] = [previous, generation];
				throw cause;
			}
			return this.#generation;
		});
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
		return [...this.#sets.values()].flatMap((set) => [...set.links.values()].map(({ target }) => target));
	}

	/** As of now; exact after `stop`. */
	counters(): HookCounters {
		const total = noCounters();
		addCounters(total, this.#retired);
		const sets = [...this.#sets.values()].map(({ id, netns, direction, l3 }) => {
			const counters = readCounters(this.#object.map("counters"), id);
			addCounters(total, counters);
			return { hookSet: id, netns, direction, l3, ...counters };
		});
		return { total, sets };
	}

	/**
	 * Stops tracing: every record that was written has been given to `drain` when this resolves, and the counters are
	 * final, `emitted` being the number of records given. The hooks stay, doing nothing, until `close`.
	 */
	stop(): Promise<HookCounters> {
		return this.#exclusively(async () => {
			if (!this.#stopped) {
				this.#stopped = true;
				for (const set of this.#sets.values()) {
					for (const { link } of set.links.values()) switchTo(link, this.#object.noop);
				}
				await addon().synchronizePrograms();
				await this.#rings.stop();
			}
			return this.counters();
		});
	}

	/** Takes every hook away: some 10 ms each with TCX. A process that ends does without. */
	close(): Promise<void> {
		return this.#exclusively(async () => {
			for (const set of this.#sets.values()) {
				for (const { link } of set.links.values()) link.close();
				set.program?.close();
			}
			this.#sets.clear();
			this.#object.close();
			this.#rings.close();
		});
	}

	async #attach<Target extends HookTarget>(
		targets: readonly Target[],
		filterOf: FilterOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		if (this.#stopped) return [];
		this.#filterOf = filterOf;
		const wanted = targets.filter((target) => !this.#sets.get(keyOf(target))?.links.has(target.ifindex));
		const sets = new Set(wanted.map((target) => this.#setFor(target)));
		// Attaching waits for the kernel, verifying for the CPU: both at once.
		const loads = allOrNone([...sets].filter((set) => set.program === null).map((set) => this.#prepare(set)));
		const placed = this.#place(wanted);
		await Promise.allSettled([loads, placed]);
		const { attached, failures } = await placed;
		try {
			await loads;
		} catch (cause) {
			for (const [, link] of attached) link.close();
			this.#retireEmpty();
			throw cause;
		}
		for (const [target, link] of attached) {
			const set = this.#setFor(target);
			set.links.set(target.ifindex, { target, link });
			announce(target, set.id);
		}
		for (const [target, link] of attached) {
			const { program } = this.#setFor(target);
			if (program !== null) switchTo(link, program);
		}
		this.#retireEmpty();
		return failures;
	}

	/** Attaches the no-op program, one device after the other: the kernel holds its RTNL lock for each. */
	async #place<Target extends HookTarget>(
		targets: readonly Target[],
	): Promise<{ attached: [Target, Link][]; failures: AttachFailure<Target>[] }> {
		const attached: [Target, Link][] = [];
		const failures: AttachFailure<Target>[] = [];
		for (const [cookie, here] of groupBy(targets, (target) => target.netns)) {
			let netns: Netns | null = null;
			for (const target of here) {
				try {
					netns ??= openNetns(target.netnsPath, cookie);
					attached.push([target, await attach(this.attachType, this.#object.noop, target, netns)]);
				} catch (error) {
					if (!(error instanceof KernelError)) throw error;
					failures.push({ target, error });
				}
			}
			netns?.close();
		}
		return { attached, failures };
	}

	#setFor(target: HookTarget): HookSet {
		const key = keyOf(target);
		let set = this.#sets.get(key);
		if (set === undefined) {
			const { netns, direction, l3 } = target;
			set = { id: this.#ids.take(), netns, direction, l3, program: null, links: new Map() };
			clearCounters(this.#object.map("counters"), set.id, addon().possibleCpus);
			this.#sets.set(key, set);
		}
		return set;
	}

	async #prepare(set: HookSet): Promise<BpfProgram> {
		set.program = await this.#loadFor(set);
		return set.program;
	}

	async #loadFor(set: HookSet): Promise<BpfProgram> {
		const { rules, matchAll, tunnelPorts } = this.#filterOf(set.netns);
		return await this.#object.load({
			pointerKey: this.#pointerKey,
			hashSalt: this.#options.hashSalt,
			hookSet: set.id,
			netns: this.#netnsId(set.netns),
			egress: set.direction === "egress",
			l3: set.l3,
			generation: this.#generation,
			follow: this.#options.follow,
			sampleMask: this.#options.sampleMask,
			matchAll,
			tunnelPorts,
			rules,
		});
	}

	#netnsId(cookie: NetnsCookie): number {
		const id = this.#netnsIds.get(cookie) ?? this.#netnsIds.size + 1;
		this.#netnsIds.set(cookie, id);
		return id;
	}

	/** Hook sets without hooks end; what they counted stays counted. */
	#retireEmpty(): void {
		for (const [key, set] of this.#sets) {
			if (set.links.size > 0) continue;
			addCounters(this.#retired, readCounters(this.#object.map("counters"), set.id));
			set.program?.close();
			this.#sets.delete(key);
			this.#ids.giveBack(set.id);
		}
	}

	#exclusively<Result>(body: () => Promise<Result>): Promise<Result> {
		const result = this.#last.then(body);
		this.#last = result.catch(() => undefined);
		return result;
	}
}

function keyOf({ netns, direction, l3 }: HookTarget): string {
	return `${netns} ${direction} ${l3 ? "l3" : "l2"}`;
}

/** The kernel answers ENOLINK, or ENOENT with clsact, when the device went meanwhile; its hook went with it. */
function switchTo(link: Link, program: BpfProgram): void {
	try {
		link.update(program);
	} catch (cause) {
		if (!isNativeError(cause) || !["ENOLINK", "ENODEV", "ENOENT"].includes(cause.code)) throw cause;
	}
}

/** Like Promise.all, but nothing that did succeed is left open when another failed. */
async function allOrNone(loads: readonly Promise<BpfProgram>[]): Promise<readonly BpfProgram[]> {
	const results = await Promise.allSettled(loads);
	const failed = results.find((result) => result.status === "rejected");
	const programs = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
	if (failed === undefined) return programs;
	for (const program of programs) program.close();
	throw failed.reason;
}

function groupBy<Item, Key>(items: readonly Item[], keyOfItem: (item: Item) => Key): Map<Key, Item[]> {
	const groups = new Map<Key, Item[]>();
	for (const item of items) {
		const key = keyOfItem(item);
		const group = groups.get(key);
		if (group === undefined) groups.set(key, [item]);
		else group.push(item);
	}
	return groups;
}
