import type { Direction, NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { type AttachType, attachAll, openNetns } from "./attach.js";
import { isNativeError, KernelError } from "./error.js";
import { HookSetIds } from "./hook-set-ids.js";
import type { Knobs } from "./knobs.js";
import type { BpfProgram, ClsactLink, Link, Netns } from "./native.js";
import type { HookPlace, HookTarget } from "./place.js";

/** What hooks run: one program, of which each hook set has an instance with knobs of its own. */
export interface Instrument {
	/** Does nothing: what a hook runs before its instance is loaded, and after the end. */
	readonly noop: BpfProgram;
	load(knobs: Knobs): Promise<BpfProgram>;
}

/** One program instance: all hooks of one namespace, one direction, with or without a link header. */
export interface HookSet {
	readonly id: number;
	readonly netns: NetnsCookie;
	readonly direction: Direction;
	readonly l3: boolean;
}

/** The knobs that a hook set does not decide by what it is. */
export type InstanceKnobs = Omit<Knobs, "hookSet" | "netns" | "egress" | "l3">;
export type KnobsOf = (netns: NetnsCookie) => InstanceKnobs;

/** Told when a hook works, and before anything that it saw can be read: that names it by hook set and ifindex. */
export type Announce<Target> = (target: Target, hookSet: number) => void;

export interface AttachFailure<Target> {
	readonly target: Target;
	readonly error: KernelError;
}

export interface HookSetEvents {
	/** A hook set is about to work under this id. */
	opened(set: HookSet): void;
	/** Its last hook is gone; the id may come again. */
	closed(set: HookSet): void;
}

interface LiveSet extends HookSet {
	/** Null until its first load. */
	program: BpfProgram | null;
	/** By ifindex. */
	readonly links: Map<number, { readonly target: HookTarget; readonly link: Link }>;
}

/**
 * Puts an instrument on devices and takes it off again. Hooks are attached with a program that does nothing, and begin
 * to work all at once when everything is in place; they end the same way.
 *
 * Calls that change hooks wait for one another.
 */
export class HookSets {
	readonly #instrument: Instrument;
	readonly #attachType: AttachType;
	readonly #events: HookSetEvents;
	readonly #realmOf: (netns: NetnsCookie) => NetnsCookie;
	readonly #sets = new Map<string, LiveSet>();
	readonly #ids = new HookSetIds();
	readonly #netnsIds = new Map<NetnsCookie, number>();
	#last: Promise<unknown> = Promise.resolve();
	#quiet = false;

	/** @param realmOf a packet is known again in another namespace of the same realm; by default each is its own */
	constructor(
		instrument: Instrument,
		attachType: AttachType,
		events: HookSetEvents,
		realmOf: (netns: NetnsCookie) => NetnsCookie = (netns) => netns,
	) {
		this.#instrument = instrument;
		this.#attachType = attachType;
		this.#events = events;
		this.#realmOf = realmOf;
	}

	/**
	 * Hooks devices. Those that cannot be hooked (gone meanwhile) are returned, the others work when this resolves. What
	 * is hooked already is left alone.
	 * @throws KernelError when programs cannot be loaded; then nothing was attached
	 */
	attach<Target extends HookTarget>(
		targets: readonly Target[],
		knobsOf: KnobsOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		return this.#exclusively(async () => {
			if (this.#quiet) return [];
			const wanted = targets.filter((target) => !this.#sets.get(keyOf(target))?.links.has(target.ifindex));
			const sets = [...new Set(wanted.map((target) => this.#setFor(target)))];
			// Attaching waits for the kernel, verifying for the CPU: both at once, and what waits longest first.
			const placed = this.#place(wanted);
			const loads = this.#loadFirst(sets, knobsOf);
			await Promise.allSettled([loads, placed]);
			const { attached, failures } = await placed;
			try {
				await loads;
			} catch (cause) {
				for (const [, link] of attached) link.close();
				this.#closeEmpty();
				throw cause;
			}
			for (const [target, link] of attached) this.#setFor(target).links.set(target.ifindex, { target, link });
			for (const [target, link] of attached) switchTo(link, this.#setFor(target).program as BpfProgram);
			// What they see meanwhile is read later, by this thread: who is told of a hook can rely on it.
			for (const [target] of attached) announce(target, this.#setFor(target).id);
			this.#closeEmpty();
			return failures;
		});
	}

	/** Unhooks devices, also those that are gone. */
	detach(places: readonly HookPlace[]): Promise<void> {
		return this.#exclusively(async () => {
			for (const place of places) {
				for (const set of this.#sets.values()) {
					if (set.netns !== place.netns || set.direction !== place.direction) continue;
					set.links.get(place.ifindex)?.link.close();
					set.links.delete(place.ifindex);
				}
			}
			// A removed TCX program has run its last when close returns; a filter may still be running.
			if (this.#attachType === "clsact") await addon().synchronizePrograms();
			this.#closeEmpty();
		});
	}

	/**
	 * Gives every instance new knobs: fresh programs are loaded while the old ones work, then all links are switched
	 * within microseconds.
	 * @throws KernelError; the old instances stay
	 */
	reload(knobsOf: KnobsOf): Promise<void> {
		return this.#exclusively(async () => {
			if (this.#quiet) return;
			const sets = [...this.#sets.values()];
			const programs = await allOrNone(sets.map((set) => this.#load(set, knobsOf)));
			sets.forEach((set, index) => {
				const old = set.program;
				set.program = programs[index] as BpfProgram;
				for (const { link } of set.links.values()) switchTo(link, set.program);
				old?.close();
			});
		});
	}

	/** Lets every hook do nothing, at once and for good. Programs may run for a moment yet: see synchronizePrograms. */
	quiet(): Promise<void> {
		return this.#exclusively(async () => {
			this.#quiet = true;
			for (const set of this.#sets.values()) {
				for (const { link } of set.links.values()) switchTo(link, this.#instrument.noop);
			}
		});
	}

	/** Takes every hook away: some 10 ms each with TCX. A process that ends does without. */
	close(): Promise<void> {
		return this.#exclusively(async () => {
			this.#quiet = true;
			for (const set of this.#sets.values()) {
				for (const { link } of set.links.values()) link.close();
				set.links.clear();
			}
			this.#closeEmpty();
		});
	}

	get sets(): readonly HookSet[] {
		return [...this.#sets.values()];
	}

	/** What is hooked now. */
	get targets(): readonly HookTarget[] {
		return [...this.#sets.values()].flatMap((set) => [...set.links.values()].map(({ target }) => target));
	}

	/** Of them, those that foreign clsact filters run before, which may end a packet's way unseen: worth a warning. */
	get shadowed(): readonly HookTarget[] {
		return [...this.#sets.values()].flatMap((set) =>
			[...set.links.values()].flatMap(({ target, link }) => (isShadowed(link) ? [target] : [])),
		);
	}

	/** The small id of a namespace in the instances' knobs. */
	netnsId(cookie: NetnsCookie): number {
		const id = this.#netnsIds.get(cookie) ?? this.#netnsIds.size + 1;
		this.#netnsIds.set(cookie, id);
		return id;
	}

	/** Attaches the no-op program, one device after the other: the kernel holds its RTNL lock for each. */
	async #place<Target extends HookTarget>(
		targets: readonly Target[],
	): Promise<{ attached: [Target, Link][]; failures: AttachFailure<Target>[] }> {
		const attached: [Target, Link][] = [];
		const failures: AttachFailure<Target>[] = [];
		for (const [cookie, here] of groupBy(targets, (target) => target.netns)) {
			const results = await this.#placeIn(cookie, here);
			here.forEach((target, index) => {
				const result = results[index] as Link | KernelError;
				if (result instanceof KernelError) failures.push({ target, error: result });
				else attached.push([target, result]);
			});
		}
		return { attached, failures };
	}

	/** All are of the namespace. When that is gone, so are they. */
	async #placeIn(netns: NetnsCookie, targets: readonly HookTarget[]): Promise<readonly (Link | KernelError)[]> {
		const [first] = targets;
		if (first === undefined) return [];
		let opened: Netns;
		try {
			opened = openNetns(first.netnsPath, netns);
		} catch (error) {
			if (error instanceof KernelError) return targets.map(() => error);
			throw error;
		}
		try {
			return await attachAll(this.#attachType, this.#instrument.noop, targets, opened);
		} finally {
			// An open handle would keep a pod's namespace alive.
			opened.close();
		}
	}

	#setFor(target: HookTarget): LiveSet {
		const key = keyOf(target);
		let set = this.#sets.get(key);
		if (set === undefined) {
			const { netns, direction, l3 } = target;
			set = { id: this.#ids.take(), netns, direction, l3, program: null, links: new Map() };
			this.#events.opened(set);
			this.#sets.set(key, set);
		}
		return set;
	}

	async #loadFirst(sets: readonly LiveSet[], knobsOf: KnobsOf): Promise<void> {
		const fresh = sets.filter((set) => set.program === null);
		const programs = await allOrNone(fresh.map((set) => this.#load(set, knobsOf)));
		fresh.forEach((set, index) => {
			set.program = programs[index] as BpfProgram;
		});
	}

	#load(set: HookSet, knobsOf: KnobsOf): Promise<BpfProgram> {
		return this.#instrument.load({
			...knobsOf(set.netns),
			hookSet: set.id,
			netns: this.netnsId(this.#realmOf(set.netns)),
			egress: set.direction === "egress",
			l3: set.l3,
		});
	}

	#closeEmpty(): void {
		for (const [key, set] of this.#sets) {
			if (set.links.size > 0) continue;
			set.program?.close();
			this.#sets.delete(key);
			this.#ids.giveBack(set.id);
			this.#events.closed(set);
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

function isShadowed(link: Link | ClsactLink): boolean {
	return "behind" in link && link.behind > 0;
}

/** The kernel answers ENOLINK, or ENOENT with clsact, when the device went meanwhile; its hook went with it. */
function switchTo(link: Link, program: BpfProgram): void {
	try {
		link.update(program);
	} catch (cause) {
		if (!isNativeError(cause) || !["ENOLINK", "ENODEV", "ENOENT", "EINVAL"].includes(cause.code)) throw cause;
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
