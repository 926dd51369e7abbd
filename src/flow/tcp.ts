import { TcpFlag } from "../packet/sightings.js";
import { Pending } from "./pending.js";
import { SentRanges } from "./ranges.js";
import type { TcpState } from "./record.js";
import { Repairs } from "./repair.js";
import type { RttSketch } from "./sketch.js";

/** One packet of a connection, as the first hop of its path saw it. Times in ns on the joiner's line. */
export interface Segment {
	/** 0 or 1: which of the two ends sent it. */
	readonly way: 0 | 1;
	readonly serial: number;
	readonly time: number;
	/** The device where it was first seen. */
	readonly device: number;
	readonly flags: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	readonly payload: number;
	/** Where it was lost or dropped; undefined: it was not. */
	readonly lostAt: string | null | undefined;
	/** When it passed a device, on whichever hop; null: never. */
	timeAt(device: number): number | null;
}

/** Idle for longer than this, a sender may be repeating itself by timer: RFC 8985 and RFC 6298 timers are no shorter. */
const TIMER_NS = 5e6;
const BURST = 8;
const MOST_SYNS = 8;

/**
 * A TCP connection from its packets, in whatever order their paths were closed: every fact kept here is a minimum, a
 * maximum, a union or a sum. Sequence numbers are unwrapped onto one line per direction.
 */
export class TcpConnection {
	readonly #ways: readonly [Way, Way] = [new Way(), new Way()];
	#resets = 0;

	get resets(): number {
		return this.#resets;
	}

	/** Initial sequence number of a direction, from its SYN; null: not seen. */
	initialSequence(way: 0 | 1): number | null {
		return this.#ways[way].initial;
	}

	/** Who sent the SYN, else the other end of who sent the SYN-ACK; null: neither was seen. */
	get opener(): 0 | 1 | null {
		if (this.#ways[0].opens !== this.#ways[1].opens) return this.#ways[0].opens ? 0 : 1;
		if (this.#ways[0].accepts !== this.#ways[1].accepts) return this.#ways[0].accepts ? 1 : 0;
		return null;
	}

	repairs(way: 0 | 1): Repairs {
		return this.#ways[way].repairs;
	}

	/** @returns how many retransmissions in its direction came to light */
	add(segment: Segment, rtt: RttSketch): number {
		const own = this.#ways[segment.way];
		const { flags } = segment;
		if ((flags & TcpFlag.rst) !== 0) this.#resets++;
		const syn = (flags & TcpFlag.syn) !== 0;
		const acknowledges = (flags & TcpFlag.ack) !== 0;
		const start = own.unwrap(segment.sequence);
		const end = start + lengthOf(segment);
		if (syn) own.noteSyn(segment, acknowledges);
		else own.noteOther(segment, start, acknowledges);
		if (acknowledges && (flags & TcpFlag.rst) === 0) this.#acknowledge(segment, rtt);
		if ((flags & TcpFlag.fin) !== 0) own.finEnd = Math.max(own.finEnd, end);
		return end > start ? own.send(segment, start, end) : 0;
	}

	/**
	 * A path of which was told before is judged otherwise now: it was lost, was not, or was lost elsewhere.
	 * @returns how many retransmissions in its direction came to light
	 */
	revise(segment: Segment): number {
		const { repairs } = this.#ways[segment.way];
		const { serial, lostAt, time } = segment;
		if (lostAt === undefined) repairs.found(serial);
		else if (!repairs.move(serial, lostAt)) {
			const start = this.#ways[segment.way].unwrap(segment.sequence);
			const end = start + lengthOf(segment);
			if (end > start) return repairs.lost({ start, end, time }, serial, lostAt).found;
		}
		return 0;
	}

	get state(): TcpState {
		const [a, b] = this.#ways;
		if (a.isFinished && b.isFinished) return "closed";
		if (this.#resets > 0) return "reset";
		if (a.finEnd > 0 || b.finEnd > 0) return "closing";
		return a.talks || b.talks ? "established" : "new";
	}

	/** From the last SYN before it to the ACK that ends the handshake, both where the opener's packets are first seen. */
	get handshakeNs(): number | null {
		const { opener } = this;
		return opener === null ? null : this.#ways[opener].handshakeNs;
	}

	/** Another account of the same connection, whose way 0 is this one's `way`. */
	merge(other: TcpConnection, way: 0 | 1): void {
		this.#resets += other.#resets;
		this.#ways[way].merge(other.#ways[0]);
		this.#ways[way === 0 ? 1 : 0].merge(other.#ways[1]);
	}

	#acknowledge(segment: Segment, rtt: RttSketch): void {
		const other = this.#ways[segment.way === 0 ? 1 : 0];
		const mark = other.unwrap(segment.acknowledgement);
		if (mark <= other.acknowledged) return;
		other.acknowledged = mark;
		const answered = other.pending.upTo(mark);
		const back = answered === null ? null : segment.timeAt(answered.device);
		if (answered !== null && back !== null && back >= answered.time) rtt.add(back - answered.time);
	}
}

/** In sequence numbers: SYN and FIN take one each, a RST's payload none (RFC 9293, 3.4 and 3.10.7). */
function lengthOf({ flags, payload }: Segment): number {
	if ((flags & TcpFlag.rst) !== 0) return 0;
	return payload + ((flags & TcpFlag.syn) !== 0 ? 1 : 0) + ((flags & TcpFlag.fin) !== 0 ? 1 : 0);
}

/** One direction. */
class Way {
	readonly sent = new SentRanges();
	readonly pending = new Pending();
	readonly repairs = new Repairs();
	initial: number | null = null;
	/** SYN without, with ACK. */
	opens = false;
	accepts = false;
	/** Something else than a SYN or RST was sent. */
	talks = false;
	/** One past the FIN; 0: none. */
	finEnd = 0;
	/** Highest acknowledgement by the other end. */
	acknowledged = Number.NEGATIVE_INFINITY;
	/** Unwrapped position of which the low 32 bits are known; lines start at 2^32 so that 0 is free. */
	#anchor: number | null = null;
	#latest = Number.NEGATIVE_INFINITY;
	/** How many of the next packets may be repairs. */
	#suspicious = 0;
	readonly #syns: { readonly time: number; readonly device: number }[] = [];
	#firstAck: { readonly start: number; readonly time: number; readonly device: number } | null = null;

	get isFinished(): boolean {
		return this.finEnd > 0 && this.acknowledged >= this.finEnd;
	}

	get handshakeNs(): number | null {
		const ack = this.#firstAck;
		if (ack === null || this.initial === null || ack.start !== this.unwrap(this.initial) + 1) return null;
		const before = this.#syns.filter(({ time, device }) => time < ack.time && device === ack.device);
		if (before.length === 0) return null;
		return ack.time - Math.max(...before.map(({ time }) => time));
	}

	unwrap(sequence: number): number {
		if (this.#anchor === null) {
			this.#anchor = 2 ** 32 + sequence;
			return this.#anchor;
		}
		const position = this.#anchor + ((sequence - this.#anchor) | 0);
		if (position > this.#anchor) this.#anchor = position;
		return position;
	}

	noteSyn(segment: Segment, acknowledges: boolean): void {
		this.initial = segment.sequence;
		if (acknowledges) this.accepts = true;
		else this.opens = true;
		if (this.#syns.length < MOST_SYNS) this.#syns.push({ time: segment.time, device: segment.device });
	}

	noteOther(segment: Segment, start: number, acknowledges: boolean): void {
		if ((segment.flags & TcpFlag.rst) !== 0) return;
		this.talks = true;
		if (!acknowledges || (this.#firstAck !== null && this.#firstAck.time <= segment.time)) return;
		this.#firstAck = { start, time: segment.time, device: segment.device };
	}

	/** @returns how many retransmissions came to light */
	send(segment: Segment, start: number, end: number): number {
		const { time, serial, lostAt } = segment;
		const transmission = { start, end, time };
		const isBehind = start < this.sent.frontier;
		const mayRepeat = this.#mayRepeat(isBehind, time);
		const again = this.sent.add(start, end);
		this.#latest = Math.max(this.#latest, time);
		let found = 0;
		let isRepeat = again > 0;
		if (lostAt !== undefined) {
			const repaired = this.repairs.lost(transmission, serial, lostAt);
			found = repaired.found;
			// What was there before came later: then this one is the original.
			isRepeat = again > repaired.repaired;
		}
		if (mayRepeat || isRepeat || this.repairs.waiting) {
			const suspicion = isBehind || isRepeat ? "behind" : mayRepeat ? "pause" : null;
			const tied = this.repairs.sent(transmission, isRepeat, suspicion);
			isRepeat ||= tied;
		}
		if (isRepeat) found++;
		if (again > 0) this.pending.forget(start, end);
		else if (lostAt === undefined && end > this.acknowledged) this.pending.push(end, time, segment.device);
		return found;
	}

	/** Behind what was sent, or after a pause; and the few behind such a one, for repairs come in bursts. */
	#mayRepeat(isBehind: boolean, time: number): boolean {
		if (isBehind || Math.abs(time - this.#latest) >= TIMER_NS) this.#suspicious = BURST;
		if (this.#suspicious === 0) return false;
		this.#suspicious--;
		return true;
	}

	merge(other: Way): void {
		for (const [start, end] of other.sent.intervals()) {
			const moved = this.unwrap(start % 2 ** 32);
			this.sent.add(moved, moved + (end - start));
		}
		const move = (position: number) => this.unwrap(position % 2 ** 32);
		this.repairs.merge(other.repairs);
		this.initial ??= other.initial;
		this.opens ||= other.opens;
		this.accepts ||= other.accepts;
		this.talks ||= other.talks;
		if (other.finEnd > 0) this.finEnd = Math.max(this.finEnd, move(other.finEnd));
		if (other.acknowledged > 0) this.acknowledged = Math.max(this.acknowledged, move(other.acknowledged));
		this.#syns.push(...other.#syns.slice(0, MOST_SYNS - this.#syns.length));
		const ack = other.#firstAck;
		if (ack === null || (this.#firstAck !== null && this.#firstAck.time <= ack.time)) return;
		this.#firstAck = { ...ack, start: move(ack.start) };
	}
}
