import type { HookId } from "../packet/hook.js";

const NONE = 0xffff;
const FIRST_SLOTS = 256;

/**
 * (hook set, ifindex) of a record → HookId, without an allocation: open addressing with linear probing, at most an eighth
 * full, so that most look-ups end at their first slot.
 * One namespace's ifindex says nothing in another; the hook set brings the namespace and the direction.
 */
export class HookIndex {
	#ifindexes = new Uint32Array(FIRST_SLOTS);
	#hookSets = new Uint16Array(FIRST_SLOTS);
	#ids = new Uint16Array(FIRST_SLOTS).fill(NONE);
	#mask = FIRST_SLOTS - 1;
	#used = 0;

	/** The hook's dense id; −1 when it was never announced, or is gone. */
	get(hookSet: number, ifindex: number): number {
		let slot = Math.imul(ifindex + (hookSet << 16), 0x9e3779b1) >>> 16;
		for (;;) {
			slot &= this.#mask;
			const id = this.#ids[slot] as number;
			if (id === NONE) return -1;
			if (this.#ifindexes[slot] === ifindex && this.#hookSets[slot] === hookSet) return id;
			slot++;
		}
	}

	/** A known pair gets the new id: the device was made anew under its old index. */
	set(hookSet: number, ifindex: number, id: HookId): void {
		if (id < 0 || id >= NONE) throw new RangeError(`hook id ${id} does not fit 16 bits`);
		if ((this.#used + 1) * 8 > this.#ids.length) this.#rebuild(this.#ids.length * 2);
		this.#put(hookSet, ifindex, id);
	}

	delete(hookSet: number, ifindex: number): void {
		if (this.get(hookSet, ifindex) < 0) return;
		this.#rebuild(this.#ids.length, (set, index) => set !== hookSet || index !== ifindex);
	}

	get size(): number {
		return this.#used;
	}

	#put(hookSet: number, ifindex: number, id: number): void {
		let slot = Math.imul(ifindex + (hookSet << 16), 0x9e3779b1) >>> 16;
		for (;;) {
			slot &= this.#mask;
			const empty = this.#ids[slot] === NONE;
			if (empty || (this.#ifindexes[slot] === ifindex && this.#hookSets[slot] === hookSet)) {
				if (empty) this.#used++;
				this.#ifindexes[slot] = ifindex;
				this.#hookSets[slot] = hookSet;
				this.#ids[slot] = id;
				return;
			}
			slot++;
		}
	}

	#rebuild(slots: number, keep: (hookSet: number, ifindex: number) => boolean = () => true): void {
		const [ifindexes, hookSets, ids] = [this.#ifindexes, this.#hookSets, this.#ids];
		this.#ifindexes = new Uint32Array(slots);
		this.#hookSets = new Uint16Array(slots);
		this.#ids = new Uint16Array(slots).fill(NONE);
		this.#mask = slots - 1;
		this.#used = 0;
		for (let slot = 0; slot < ids.length; slot++) {
			const [set, index] = [hookSets[slot] as number, ifindexes[slot] as number];
			if (ids[slot] !== NONE && keep(set, index)) this.#put(set, index, ids[slot] as number);
		}
	}
}
