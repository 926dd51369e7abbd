import { allocateSightings } from "../../src/packet/columns.js";
import type { Direction, Hook, HookId, NetnsCookie, Role } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import { EventFlag, Family, type Sightings } from "../../src/packet/sightings.js";
import type { SourceId } from "../../src/packet/source.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { TupleTable } from "../../src/packet/tuples.js";
import type { Expectation } from "../../src/path/expectation.js";
import type { Due } from "../../src/wiring/model.js";

/**
 * Two flannel nodes as facts/datapath describes them, as far as a tracer can see: which hooks a packet passes, under
 * which pointer, with which faces, in how many pieces. It knows for every sighting whose it is.
 */

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
const ECHO_REQUEST = 8 << 8;

/** One packet as its sender made it. */
export interface Packet {
	readonly protocol: number;
	readonly payload: number;
	readonly ipId: number;
	readonly sequence?: number;
	readonly acknowledgement?: number;
	readonly tsval?: number;
	readonly hash?: number;
	readonly gsoSize?: number;
	readonly tcpFlags?: number;
	readonly family?: Family;
}

/** A hook by which a packet passes, and what it is to look like there. */
export type NodeName = "node-a" | "node-b" | "node-c";

export interface Leg {
	readonly node: NodeName;
	/** `vA→i`, `cni0→e` … */
	readonly hook: string;
	readonly source: string;
	readonly destination: string;
	/** A new skb from here on: the wire, defragmentation. */
	readonly fresh?: boolean;
}

export interface Event {
	readonly node: NodeName;
	readonly time: number;
	readonly hook: string;
	readonly skb: number;
	readonly tuple: Tuple;
	readonly outer: string | null;
	readonly ingress: number;
	readonly length: number;
	readonly fields: Packet;
	readonly flags: number;
	/** Numbers of the packets of which it holds a part. */
	readonly truth: readonly number[];
	lost: number;
}

const DEVICES: readonly (readonly [string, number, Role, number])[] = [
	["eth0", 2, "nic", 0],
	["flannel.1", 4, "tunnel", 0],
	["cni0", 5, "bridge", 0],
	["vA", 7, "pod", 5],
	["vB", 8, "pod", 5],
	["vC", 9, "pod", 5],
];

/** Between the nodes. */
export const WIRE_NS = 20_000;

export const PODS = {
	"node-a": { vA: "10.244.1.2", vB: "10.244.1.3", vC: "10.244.1.4" },
	"node-b": { vA: "10.244.2.2", vB: "10.244.2.3", vC: "10.244.2.4" },
} as const;

export class Simulator {
	readonly tuples = new TupleTable(2 ** 14);
	readonly outers = new OuterTable(64);
	readonly hooks: Hook[] = [];
	readonly events: Event[] = [];
	/** Packets that were sent, with the hooks that they passed, as node/hook. */
	readonly sent: { readonly hooks: readonly string[]; readonly fate: "whole" | "lost" }[] = [];
	readonly #byName = new Map<string, Hook>();
	readonly #due = new Map<string, Due>();
	readonly #pointers = new Map<string, { readonly skb: number; readonly freed: number }[]>();
	#nextPointer = 1;
	#now = 1000;

	constructor(nodes: readonly NodeName[] = ["node-a", "node-b"]) {
		for (const node of nodes) {
			for (const [device, ifindex, role, master] of DEVICES) {
				for (const direction of ["ingress", "egress"] as const) {
					this.#addHook(node, device, ifindex, role, master, direction);
				}
			}
		}
	}

	get now(): number {
		return this.#now;
	}

	set now(time: number) {
		this.#now = time;
	}

	source(node: string): SourceId {
		return `${node}/1` as SourceId;
	}

	hook(node: string, name: string): Hook {
		const hook = this.#byName.get(`${node}/${name}`);
		if (hook === undefined) throw new RangeError(`no hook ${node}/${name}`);
		return hook;
	}

	name(id: number): string {
		const hook = this.hooks[id];
		if (hook === undefined) throw new RangeError(`no hook ${id}`);
		return `${hook.node}/${hook.device}→${hook.direction === "ingress" ? "i" : "e"}`;
	}

	get expectation(): Expectation {
		return {
			generation: 0,
			due: (hook, tuple) => this.#due.get(dueKey(this.name(hook), tuple)) ?? { kind: "unknown" },
		};
	}

	/**
	 * Sends a packet over legs; returns its number. Every hop takes `gap` ns. Only the first `until` legs are passed: the
	 * packet is lost behind them.
	 */
	send(packet: Packet, legs: readonly Leg[], gap = 700, until = legs.length): number {
		const number = this.sent.length;
		let skb = 0;
		let iif = 0;
		let before: Leg | null = null;
		for (const leg of legs.slice(0, until)) {
			const hook = this.hook(leg.node, leg.hook);
			if (before === null || leg.fresh === true || leg.node !== before.node) {
				if (before !== null) this.#freePointer(before.node, skb);
				if (before !== null && leg.node !== before.node) this.#now += WIRE_NS;
				skb = this.#takePointer(leg.node);
				// A copy that the stack makes keeps where it came from.
				if (leg.node !== before?.node) iif = 0;
			}
			if (hook.direction === "ingress") iif = hook.ifindex;
			this.#emit(leg, hook, skb, iif, packet, [number]);
			if (hook.role === "tunnel" && hook.direction === "egress") iif = 0;
			this.#now += gap;
			before = leg;
		}
		if (before !== null) this.#freePointer(before.node, skb);
		this.#learn(packet, legs);
		this.sent.push({
			hooks: legs.slice(0, until).map((leg) => `${leg.node}/${leg.hook}`),
			fate: until < legs.length ? "lost" : "whole",
		});
		return number;
	}

	/** Tells the expectation where packets of these legs are due. */
	#learn(packet: Packet, legs: readonly Leg[]): void {
		legs.forEach((leg, n) => {
			const next = legs[n + 1];
			const due: Due =
				next === undefined
					? { kind: "terminal" }
					: next.node === leg.node
						? { kind: "next", hooks: [this.hook(next.node, next.hook).id], optional: [], expected: next.hook }
						: { kind: "leaves", node: next.node, address: null };
			this.#due.set(dueKey(`${leg.node}/${leg.hook}`, tupleOf(packet, leg)), due);
		});
	}

	#emit(leg: Leg, hook: Hook, skb: number, iif: number, packet: Packet, truth: readonly number[]): void {
		const outer =
			hook.role === "nic" && legIsInner(leg) ? (leg.node === "node-a" ? "192.168.66.12" : "192.168.66.11") : null;
		this.events.push({
			node: leg.node,
			time: this.#now,
			hook: leg.hook,
			skb,
			tuple: tupleOf(packet, leg),
			outer,
			ingress: iif,
			length: packet.payload + 54 + (outer === null ? 0 : 50),
			fields: packet,
			flags: 0,
			truth,
			lost: 0,
		});
	}

	/** For what `send` cannot say: one sighting as it is. */
	emit(
		leg: Leg,
		packet: Packet,
		options: { skb?: number; ingress?: number; truth: readonly number[]; flags?: number },
	): void {
		const hook = this.hook(leg.node, leg.hook);
		const ingress = options.ingress ?? (hook.direction === "ingress" ? hook.ifindex : 0);
		this.#emit(leg, hook, options.skb ?? this.takePointer(leg.node), ingress, packet, options.truth);
		const last = this.events.length - 1;
		const event = this.events[last];
		if (event !== undefined) this.events[last] = { ...event, flags: options.flags ?? 0 };
	}

	learn(packet: Packet, legs: readonly Leg[]): void {
		this.#learn(packet, legs);
	}

	takePointer(node: string): number {
		return this.#takePointer(node);
	}

	freePointer(node: string, skb: number): void {
		this.#freePointer(node, skb);
	}

	/** The events of a node in order of time, as batches of `size` rows. */
	batches(events: readonly Event[], size = 1 << 12): Sightings[] {
		const sorted = [...events].sort((a, b) => a.time - b.time);
		const batches: Sightings[] = [];
		for (let start = 0; start < sorted.length; start += size) {
			batches.push(this.rows(sorted.slice(start, start + size)));
		}
		return batches;
	}

	rows(events: readonly Event[]): Sightings {
		const rows = allocateSightings(Math.max(1, events.length));
		for (const event of events) this.#write(rows, rows.count++, event);
		return rows;
	}

	#write(rows: Sightings, i: number, event: Event): void {
		const { fields } = event;
		const gsoSize = fields.gsoSize ?? 0;
		const tsval = fields.tsval;
		rows.time[i] = event.time;
		rows.skbLow[i] = event.skb * 0x9e3779b1;
		rows.skbHigh[i] = event.skb >>> 8;
		rows.hook[i] = this.hook(event.node, event.hook).id;
		rows.tuple[i] = this.tuples.intern(event.tuple);
		rows.outer[i] = event.outer === null ? 0 : this.outers.intern({ peer: event.outer, vni: 1 });
		rows.ingress[i] = event.ingress;
		rows.length[i] = event.length;
		rows.sequence[i] = fields.sequence ?? 0;
		rows.acknowledgement[i] = fields.acknowledgement ?? 0;
		rows.tsval[i] = tsval ?? 0;
		rows.ipId[i] = fields.ipId;
		rows.payload[i] = fields.payload;
		rows.hash[i] = fields.hash ?? 0;
		rows.gsoSize[i] = gsoSize;
		rows.segments[i] = gsoSize > 0 ? Math.max(1, Math.ceil(fields.payload / gsoSize)) : 1;
		rows.window[i] = 512;
		rows.flags[i] =
			(fields.family ?? Family.ipv4) |
			EventFlag.hasPorts |
			(tsval === undefined ? 0 : EventFlag.hasTsval) |
			(event.outer === null ? 0 : EventFlag.inner) |
			event.flags;
		rows.tcpFlags[i] = fields.tcpFlags ?? (fields.protocol === TCP ? 0x10 : 0);
		rows.ttl[i] = 64;
		rows.subscribers[i] = 1;
		rows.lost[i] = event.lost;
	}

	#addHook(node: string, device: string, ifindex: number, role: Role, master: number, direction: Direction): void {
		const hook: Hook = {
			id: this.hooks.length as HookId,
			node,
			netns: "1" as NetnsCookie,
			ifindex,
			device,
			direction,
			role,
			l3: false,
			master,
			hookSet: 0,
		};
		this.hooks.push(hook);
		this.#byName.set(`${node}/${device}→${direction === "ingress" ? "i" : "e"}`, hook);
	}

	/** As the slab gives them: what was freed last comes next; never what is still in use at this time. */
	#takePointer(node: string): number {
		const free = this.#pointers.get(node) ?? [];
		for (let n = free.length - 1; n >= 0; n--) {
			const pointer = free[n];
			if (pointer === undefined || pointer.freed >= this.#now) continue;
			free.splice(n, 1);
			return pointer.skb;
		}
		return this.#nextPointer++;
	}

	#freePointer(node: string, skb: number): void {
		const free = this.#pointers.get(node);
		const pointer = { skb, freed: this.#now };
		if (free === undefined) this.#pointers.set(node, [pointer]);
		else free.push(pointer);
	}
}

function dueKey(hook: string, tuple: Tuple): string {
	return `${hook} ${tuple.protocol} ${tuple.source}:${tuple.sourcePort} ${tuple.destination}:${tuple.destinationPort}`;
}

/** Ends are written address:port. */
export function tupleOf(packet: Packet, leg: Leg): Tuple {
	const [source, sourcePort] = splitEnd(leg.source);
	const [destination, port] = splitEnd(leg.destination);
	const destinationPort = packet.protocol === ICMP ? ECHO_REQUEST : port;
	return {
		family: packet.family ?? Family.ipv4,
		protocol: packet.protocol,
		source,
		destination,
		sourcePort,
		destinationPort,
	};
}

function splitEnd(end: string): [string, number] {
	const colon = end.lastIndexOf(":");
	return [end.slice(0, colon), Number(end.slice(colon + 1))];
}

function legIsInner(leg: Leg): boolean {
	return leg.source.startsWith("10.244.") && leg.destination.startsWith("10.244.");
}
