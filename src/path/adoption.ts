import { highBits, lowBits, unitsOf } from "./coverage.js";
import { Next } from "./due-cache.js";
import type { OpenPaths } from "./open-paths.js";
import { Mark, State } from "./path-table.js";
import { Protocol } from "./protocols.js";
import type { Workshop } from "./workshop.js";

/**
 * Clocks of nodes agree only within a bound, so a packet may be read as arriving before it is read as leaving. What
 * comes off the wire unexpected is an orphan: it waits for as long as the clocks may be wrong, and a path that is seen
 * leaving then takes its hops over. Afterwards it is a path of its own.
 */
export class Adoption {
	readonly #shop: Workshop;
	readonly #open: OpenPaths;

	constructor(shop: Workshop, open: OpenPaths) {
		this.#shop = shop;
		this.#open = open;
	}

	/** The path has left its node: takes over what arrived of it elsewhere already. */
	adopt(path: number): void {
		const { paths, orphans } = this.#shop;
		if (orphans.count === 0) return;
		const orphan = this.#equal(path);
		if (orphan !== 0) this.#takeOver(path, orphan);
		else if (((paths.marks[path] as number) & Mark.ranged) === 0 || !this.#gather(path)) return;
		this.#settle(path);
	}

	/** The orphan has waited its time: nobody sent it, as far as is known. */
	expire(orphan: number): void {
		const { paths, orphans, suspects, flooded } = this.#shop;
		orphans.remove(orphan);
		const marks = paths.marks[orphan] as number;
		if ((marks & Mark.adopted) !== 0) {
			this.#discard(orphan);
			return;
		}
		paths.marks[orphan] = marks & ~Mark.orphan;
		const list = (marks & Mark.flooded) === 0 ? suspects : flooded;
		list.add(orphan, paths.since[orphan] as number);
		this.#settle(orphan);
	}

	/** An orphan with the same fields that this path can have become; 0: none. */
	#equal(path: number): number {
		const { paths, keys } = this.#shop;
		let orphan = keys.find(paths.keyA[path] as number, paths.keyB[path] as number);
		while (orphan !== 0 && !this.#fits(path, orphan, true)) orphan = paths.sameNext[orphan] as number;
		return orphan;
	}

	#fits(path: number, orphan: number, isWhole: boolean): boolean {
		const { paths, hops, hooks, facts } = this.#shop;
		if (orphan === path || ((paths.marks[orphan] as number) & Mark.orphan) === 0) return false;
		const last = paths.lastHop[path] as number;
		const first = paths.firstHop[orphan] as number;
		const entry = hops.hook[first] as number;
		// A part of it may have come there after it left; a whole cannot come twice, nor where it has just been.
		const partly = this.#open.hopAt(path, entry, 0) !== 0;
		if (partly ? isWhole : hooks.source[hops.hook[last] as number] === hooks.source[entry]) return false;
		return facts.sameDirection(hops.tuple[last] as number, hops.tuple[first] as number);
	}

	/** The orphan is this path's rest, as a whole. */
	#takeOver(path: number, orphan: number): void {
		const { paths, hops, suspects, flooded } = this.#shop;
		const marks = paths.marks[orphan] as number;
		const alone = paths.sameNext[path] === 0 && paths.samePrevious[path] === orphan && paths.samePrevious[orphan] === 0;
		if (alone) this.#noteCrossing(path, orphan);
		else this.#open.mark(path, Mark.order);
		this.#open.mark(path, Mark.manifold | (marks & (Mark.order | Mark.ambiguous | Mark.flooded)));
		hops.next[paths.lastHop[path] as number] = paths.firstHop[orphan] as number;
		paths.lastHop[path] = paths.lastHop[orphan] as number;
		paths.latest[path] = Math.max(paths.latest[path] as number, paths.latest[orphan] as number);
		paths.subscribers[path] = (paths.subscribers[path] as number) | (paths.subscribers[orphan] as number);
		paths.branches[path] = paths.branches[orphan] as number;
		if ((marks & Mark.flooded) !== 0 && suspects.has(path)) {
			suspects.remove(path);
			flooded.add(path, paths.since[orphan] as number);
		}
		this.#handOver(orphan, path, 1);
		paths.firstHop[orphan] = 0;
		this.#discard(orphan);
	}

	#noteCrossing(path: number, orphan: number): void {
		const { paths, hops, hooks, crossings } = this.#shop;
		const left = paths.lastHop[path] as number;
		const came = paths.firstHop[orphan] as number;
		const from = hooks.source[hops.hook[left] as number] as number;
		const to = hooks.source[hops.hook[came] as number] as number;
		crossings.note(from, hops.first[left] as number, to, hops.first[came] as number);
	}

	/** Copies the hops of every orphan that holds a part of the path. Returns whether there were any. */
	#gather(path: number): boolean {
		const { paths, facts, ranges } = this.#shop;
		const start = paths.rangeStart[path] as number;
		const span = paths.rangeSpan[path] as number;
		const count = ranges.overlapping(facts.root(paths.tuple[path] as number), start, span);
		const orphans = Array.from(ranges.found.subarray(0, count)).filter((other) => this.#isPart(path, other));
		for (const orphan of orphans) {
			this.#copyHops(orphan, path);
			const ahead = ((paths.rangeStart[orphan] as number) - start) | 0;
			const inside = ahead >= 0 && ahead + (paths.rangeSpan[orphan] as number) <= span;
			this.#handOver(orphan, inside ? path : orphan, 0);
			if (inside) this.#discard(orphan);
			else this.#open.mark(orphan, Mark.adopted);
		}
		return orphans.length > 0;
	}

	#isPart(path: number, orphan: number): boolean {
		const { paths, facts } = this.#shop;
		if (!this.#fits(path, orphan, false)) return false;
		if ((facts.kind(paths.tuple[path] as number) & 0xff) !== Protocol.tcp) return paths.ipId[path] !== 0;
		return paths.tsval[path] === paths.tsval[orphan];
	}

	#copyHops(orphan: number, path: number): void {
		const { paths, hops } = this.#shop;
		const ahead = ((paths.rangeStart[orphan] as number) - (paths.rangeStart[path] as number)) | 0;
		const unit = paths.unit[path] as number;
		const from = Math.max(0, Math.floor(ahead / unit));
		const to = Math.ceil(Math.min(paths.rangeSpan[path] as number, ahead + (paths.rangeSpan[orphan] as number)) / unit);
		for (let hop = paths.firstHop[orphan] as number; hop !== 0; hop = hops.next[hop] as number) {
			const own = this.#open.hopAt(path, hops.hook[hop] as number, hops.branch[hop] as number);
			const target = own === 0 ? this.#newHop(path, hop) : own;
			if (own !== 0) this.#addHop(own, hop, from === 0);
			if (ahead < 0)
				hops.leadingPackets[target] = (hops.leadingPackets[target] as number) + (hops.packets[hop] as number);
			if (hops.coverLow[hop] === 0xffffffff && hops.coverHigh[hop] === 0xffffffff)
				this.#coverUnits(path, target, from, to);
		}
		paths.latest[path] = Math.max(paths.latest[path] as number, paths.latest[orphan] as number);
		this.#open.mark(path, Mark.manifold);
	}

	#newHop(path: number, from: number): number {
		const { paths, hops } = this.#shop;
		const hop = hops.allocate();
		hops.hook[hop] = hops.hook[from] as number;
		hops.first[hop] = hops.first[from] as number;
		hops.last[hop] = hops.last[from] as number;
		hops.packets[hop] = hops.packets[from] as number;
		hops.bytes[hop] = hops.bytes[from] as number;
		hops.tuple[hop] = hops.tuple[from] as number;
		hops.outer[hop] = hops.outer[from] as number;
		hops.branch[hop] = hops.branch[from] as number;
		hops.coverLow[hop] = 0;
		hops.coverHigh[hop] = 0;
		hops.next[paths.lastHop[path] as number] = hop;
		paths.lastHop[path] = hop;
		return hop;
	}

	/** What began before the orphan's range was counted with the orphan before it. */
	#addHop(hop: number, from: number, isFront: boolean): void {
		const { hops } = this.#shop;
		const packets = (hops.packets[from] as number) - (hops.leadingPackets[from] as number);
		const bytes = (hops.bytes[from] as number) - (hops.leadingBytes[from] as number);
		hops.packets[hop] = (hops.packets[hop] as number) + packets;
		hops.bytes[hop] = (hops.bytes[hop] as number) + bytes;
		hops.last[hop] = Math.max(hops.last[hop] as number, hops.last[from] as number);
		if (isFront) hops.first[hop] = hops.first[from] as number;
	}

	#coverUnits(path: number, hop: number, from: number, to: number): void {
		const { paths, hops } = this.#shop;
		const low = ((hops.coverLow[hop] as number) | lowBits(from, to)) >>> 0;
		const high = ((hops.coverHigh[hop] as number) | highBits(from, to)) >>> 0;
		const units = unitsOf(paths.rangeSpan[path] as number, paths.unit[path] as number);
		const complete = low === lowBits(0, units) && high === highBits(0, units);
		hops.coverLow[hop] = complete ? 0xffffffff : low;
		hops.coverHigh[hop] = complete ? 0xffffffff : high;
	}

	/** The orphan's skbs carry `to` from now on. @param whole 1: each carries all of it */
	#handOver(orphan: number, to: number, whole: number): void {
		const { paths, carriers } = this.#shop;
		let last = 0;
		for (let carrier = paths.carrier[orphan] as number; carrier !== 0; carrier = carriers.sibling[carrier] as number) {
			carriers.path[carrier] = to;
			if (whole === 0) carriers.whole[carrier] = 0;
			last = carrier;
		}
		if (to === orphan || last === 0) return;
		carriers.sibling[last] = paths.carrier[to] as number;
		paths.carrier[to] = paths.carrier[orphan] as number;
		paths.carrier[orphan] = 0;
	}

	/** Forgets an orphan whose hops others have now. */
	#discard(orphan: number): void {
		const { orphans } = this.#shop;
		if (orphans.has(orphan)) orphans.remove(orphan);
		this.#open.forget(orphan);
	}

	/** Ends the path if its newest whole hop is where it was to go. */
	#settle(path: number): void {
		const { paths, hops, dues } = this.#shop;
		const hop = paths.lastHop[path] as number;
		if (hops.coverLow[hop] !== 0xffffffff || hops.coverHigh[hop] !== 0xffffffff) return;
		const hook = hops.hook[hop] as number;
		const tuple = hops.tuple[hop] as number;
		if (paths.state[path] !== State.open) return;
		const next = dues.next(hook, tuple);
		if (next !== Next.wait) this.#open.settleAt(path, hook, tuple);
	}
}
