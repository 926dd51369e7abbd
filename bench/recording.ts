import { allocateSightings, appendRows, copyRow } from "../src/packet/columns.js";
import type { Direction, Hook, HookId, NetnsCookie, Role } from "../src/packet/hook.js";
import { OuterTable } from "../src/packet/outers.js";
import { EventFlag, Family, type Sightings, TcpFlag } from "../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../src/packet/source.js";
import { TupleTable } from "../src/packet/tuples.js";
import type { Expectation } from "../src/path/expectation.js";
import type { Due } from "../src/wiring/model.js";

/**
 * Traffic of many flows between the pods of two nodes, as both nodes' hooks see it, without end and without being kept:
 * TCP in skbs of up to 45 segments, a quarter of them cut on the wire and merged again in other pieces, acknowledgements
 * back, small requests, UDP. Deterministic: the same options give the same calls.
 *
 *     node-a  veth→i cni0→i flannel.1→e eth0→e ‖ eth0→i flannel.1→i cni0→e veth→e  node-b, and the mirror
 */
export interface TrafficOptions {
	readonly flows: number;
	/** The last packet may bring a few more. */
	readonly sightings: number;
	readonly batchRows: number;
	readonly seed: number;
}

const DEFAULTS: TrafficOptions = { flows: 10_000, sightings: 10_000_000, batchRows: 4096, seed: 1 };

const TCP = 6;
const UDP = 17;
const MSS = 1398;
const OUTER_BYTES = 50;
/** Between two packets, ns. */
const GAP_NS = 8000;
const JITTER_NS = 97;
/** Packets between two watermarks. */
const WINDOW = 1024;
/** skb pointers of a node: as few as may be (the slab gives back what was freed last), and none twice under way. */
const POINTERS = 512;

/** Ingress is what skb_iif says: the device itself where a packet comes in, then the last one by which it came in. */
const LEGS: readonly (readonly [
	device: string,
	ifindex: number,
	Direction,
	Role,
	delayNs: number,
	ttl: number,
	ingress: number,
])[] = [
	["veth", 7, "ingress", "pod", 0, 64, 7],
	["cni0", 5, "ingress", "bridge", 2900, 64, 5],
	["flannel.1", 4, "egress", "tunnel", 2600, 63, 5],
	["eth0", 2, "egress", "nic", 3700, 63, 0],
	["eth0", 2, "ingress", "nic", 38_000, 63, 2],
	["flannel.1", 4, "ingress", "tunnel", 2800, 63, 4],
	["cni0", 5, "egress", "bridge", 2100, 62, 4],
	["veth", 7, "egress", "pod", 2300, 62, 4],
];
const CROSSES = 4;
const LAST = LEGS.length - 1;
const NODES = ["node-a", "node-b"] as const;

interface Flow {
	readonly protocol: number;
	/** Ids of the tuple, from node-a and back. */
	readonly tuples: readonly [number, number];
	sequence: number;
	ipId: number;
	sinceAck: number;
}

interface Packet {
	readonly flow: Flow;
	/** 0: from node-a, 1: from node-b. */
	readonly way: 0 | 1;
	readonly payload: number;
	readonly sequence: number;
	readonly ipId: number;
	readonly at: number;
	readonly cutOnWire: boolean;
}

export class Traffic {
	readonly tuples = new TupleTable();
	readonly outers = new OuterTable();
	readonly hooks: readonly Hook[] = NODES.flatMap((_, way) => LEGS.map((_, leg) => hookOf(way as 0 | 1, leg)));
	/** As wiring/ would say: each hook stands on one way only. */
	readonly expectation: Expectation = { generation: 0, due: (hook) => dueAfter(hook) };
	readonly #options: TrafficOptions;
	readonly #flows: readonly Flow[];
	readonly #random: () => number;
	/** Rows that are not given yet, per node. */
	readonly #pending = [allocateSightings(WINDOW * 128), allocateSightings(WINDOW * 128)] as const;
	readonly #pointer = [0, 0];
	readonly #peers: readonly number[];
	#given = 0;
	#packets = 0;

	constructor(options: Partial<TrafficOptions> = {}) {
		this.#options = { ...DEFAULTS, ...options };
		this.#random = generator(this.#options.seed);
		this.#peers = ["192.168.66.11", "192.168.66.12"].map((peer) => this.outers.intern({ peer, vni: 1 }));
		this.#flows = Array.from({ length: this.#options.flows }, (_, n) => this.#flow(n));
	}

	/** Packets sent so far: as many paths as a Joiner must find. */
	get packets(): number {
		return this.#packets;
	}

	/** Calls the sink as two agents would. Each batch is new and the sink's own. */
	run(sink: SourceSink): void {
		for (const hook of this.hooks) sink.hook(sourceOf(hook.node), hook);
		for (const node of NODES) sink.clock(sourceOf(node), { offsetNs: 0, errorNs: 2000 });
		let now = 1e9;
		let flow = this.#flows[0] as Flow;
		while (this.#given + this.#waiting < this.#options.sightings) {
			for (let i = 0; i < WINDOW; i++, now += GAP_NS) {
				if (this.#random() % 2 === 0) flow = this.#flows[this.#random() % this.#flows.length] as Flow;
				this.#send(flow, now);
			}
			this.#giveUntil(now, sink);
		}
		this.#giveUntil(Number.POSITIVE_INFINITY, sink);
		for (const node of NODES) sink.end(sourceOf(node));
	}

	get #waiting(): number {
		return this.#pending[0].count + this.#pending[1].count;
	}

	#flow(n: number): Flow {
		const protocol = n % 10 === 0 ? UDP : TCP;
		const id = this.tuples.intern({
			family: Family.ipv4,
			protocol,
			source: `10.244.1.${2 + (n % 100)}`,
			destination: `10.244.2.${2 + ((n >> 3) % 100)}`,
			sourcePort: 32768 + (n % 28000),
			destinationPort: protocol === TCP ? 80 : 53,
		});
		const start = this.#random();
		return { protocol, tuples: [id, this.tuples.reverse(id)], sequence: start, ipId: start & 0xffff, sinceAck: 0 };
	}

	#send(flow: Flow, at: number): void {
		const segments = flow.protocol === UDP || this.#random() % 3 === 0 ? 1 : 2 + (this.#random() % 44);
		const payload = segments === 1 ? 1 + (this.#random() % MSS) : segments * MSS;
		const cutOnWire = segments > 1 && this.#random() % 4 === 0;
		this.#travel({ flow, way: 0, payload, sequence: flow.sequence, ipId: flow.ipId, at, cutOnWire });
		flow.sequence = (flow.sequence + payload) >>> 0;
		flow.ipId = (flow.ipId + segments) & 0xffff;
		flow.sinceAck++;
		if (flow.protocol === TCP && flow.sinceAck >= 2) {
			flow.sinceAck = 0;
			const ack = { flow, way: 1, payload: 0, sequence: 1, ipId: this.#random() & 0xffff, cutOnWire: false } as const;
			this.#travel({ ...ack, at: at + 90_000 });
		}
	}

	#travel(packet: Packet): void {
		this.#packets++;
		const sender = packet.way;
		let { at } = packet;
		let pointer = this.#nextPointer(sender);
		for (let leg = 0; leg < CROSSES; leg++) {
			at += this.#delay(leg);
			this.#row(packet, leg, at, pointer, 0, packet.payload);
		}
		at += this.#delay(CROSSES);
		const pieces = packet.cutOnWire ? this.#cut(packet, at) : [[0, packet.payload] as const];
		for (const [offset, bytes] of pieces) {
			pointer = this.#nextPointer((1 - sender) as 0 | 1);
			// GRO gives what it made when the last of it has come.
			let arrival = at + (packet.cutOnWire ? offset + bytes - 1 : 0) / 10;
			if (!packet.cutOnWire) this.#row(packet, CROSSES, arrival, pointer, offset, bytes);
			for (let leg = CROSSES + 1; leg <= LAST; leg++) {
				arrival += this.#delay(leg);
				this.#row(packet, leg, arrival, pointer, offset, bytes);
			}
		}
	}

	/** From the hop before to this one, ns: never twice the same. */
	#delay(leg: number): number {
		return (LEGS[leg]?.[4] ?? 0) + (this.#random() % JITTER_NS);
	}

	/** Segments on the wire, then what GRO makes of them: two skbs. */
	#cut(packet: Packet, at: number): readonly (readonly [offset: number, bytes: number])[] {
		const receiver = (1 - packet.way) as 0 | 1;
		for (let offset = 0; offset < packet.payload; offset += MSS) {
			this.#row(packet, CROSSES, at + offset / 10, this.#nextPointer(receiver), offset, MSS);
		}
		const first = Math.ceil(packet.payload / MSS / 2) * MSS;
		return [
			[0, first],
			[first, packet.payload - first],
		].filter(([, bytes]) => bytes !== 0) as [number, number][];
	}

	#row(packet: Packet, leg: number, at: number, pointer: number, offset: number, bytes: number): void {
		const { flow, way } = packet;
		const node = leg < CROSSES ? way : ((1 - way) as 0 | 1);
		const rows = this.#pending[node];
		const i = rows.count++;
		const [, , , role, , ttl, ingress] = LEGS[leg] as (typeof LEGS)[number];
		const inner = role === "nic";
		const tcp = flow.protocol === TCP;
		const sequence = (packet.sequence + offset) >>> 0;
		rows.time[i] = Math.round(at);
		rows.skbLow[i] = Math.imul(pointer + 1, 0x9e3779b1);
		rows.skbHigh[i] = pointer;
		rows.hook[i] = way * LEGS.length + leg;
		rows.tuple[i] = flow.tuples[way];
		rows.outer[i] = inner ? (this.#peers[leg < CROSSES ? 1 - way : way] as number) : 0;
		rows.ingress[i] = ingress;
		rows.length[i] = bytes + (tcp ? 66 : 42) + (inner ? OUTER_BYTES : 0);
		rows.sequence[i] = tcp ? sequence : 0;
		rows.acknowledgement[i] = tcp ? (way === 0 ? 1 : flow.sequence) : 0;
		rows.tsval[i] = tcp ? Math.floor(packet.at / 1e6) : 0;
		rows.ipId[i] = (packet.ipId + offset / MSS) & 0xffff;
		rows.payload[i] = bytes;
		rows.hash[i] = bytes === 0 ? 0 : Math.imul(sequence ^ (sequence >>> 13), 0x85ebca6b);
		rows.gsoSize[i] = bytes > MSS ? MSS : 0;
		rows.segments[i] = Math.max(1, Math.ceil(bytes / MSS));
		rows.window[i] = tcp ? 502 : 0;
		rows.flags[i] = Family.ipv4 | EventFlag.hasPorts | (tcp ? EventFlag.hasTsval : 0) | (inner ? EventFlag.inner : 0);
		rows.vlan[i] = 0;
		rows.tcpFlags[i] = tcp ? TcpFlag.ack | (bytes > 0 ? TcpFlag.psh : 0) : 0;
		rows.ttl[i] = ttl;
		rows.generation[i] = 1;
		rows.subscribers[i] = 1;
		rows.lost[i] = 0;
	}

	#nextPointer(node: 0 | 1): number {
		const pointer = this.#pointer[node] as number;
		this.#pointer[node] = (pointer + 1) % POINTERS;
		return pointer;
	}

	#giveUntil(time: number, sink: SourceSink): void {
		NODES.forEach((node, n) => {
			const pending = this.#pending[n as 0 | 1];
			const order = Uint32Array.from({ length: pending.count }, (_, i) => i).sort(
				(a, b) => (pending.time[a] as number) - (pending.time[b] as number) || a - b,
			);
			let due = 0;
			while (due < order.length && (pending.time[order[due] as number] as number) < time) due++;
			this.#give(sourceOf(node), pending, order.subarray(0, due), sink);
			const last = order.length === 0 ? 0 : (pending.time[order[order.length - 1] as number] as number) + 1;
			sink.watermark(sourceOf(node), time === Number.POSITIVE_INFINITY ? last : time);
			const rest = allocateSightings(order.length - due);
			for (const i of order.subarray(due)) copyRow(pending, i, rest, rest.count++);
			pending.count = 0;
			appendRows(rest, 0, rest.count, pending);
		});
	}

	#give(source: SourceId, pending: Sightings, order: Uint32Array, sink: SourceSink): void {
		for (let start = 0; start < order.length; start += this.#options.batchRows) {
			const part = order.subarray(start, start + this.#options.batchRows);
			const rows = allocateSightings(part.length);
			for (const i of part) copyRow(pending, i, rows, rows.count++);
			this.#given += rows.count;
			sink.batch(source, rows);
		}
	}
}

function sourceOf(node: string): SourceId {
	return `${node}/1` as SourceId;
}

function hookOf(way: 0 | 1, leg: number): Hook {
	const [device, ifindex, direction, role] = LEGS[leg] as (typeof LEGS)[number];
	const node = NODES[leg < CROSSES ? way : ((1 - way) as 0 | 1)];
	// The two ways share devices; here each has hooks of its own, told apart by their hook set.
	const hookSet = way * 2 + (direction === "egress" ? 1 : 0);
	const netns = node as string as NetnsCookie;
	const id = (way * LEGS.length + leg) as HookId;
	return { id, node, netns, ifindex, device, direction, role, l3: false, master: role === "pod" ? 5 : 0, hookSet };
}

function dueAfter(hook: HookId): Due {
	const leg = hook % LEGS.length;
	if (leg === LAST) return { kind: "terminal" };
	if (leg === CROSSES - 1) return { kind: "leaves", node: hook < LEGS.length ? NODES[1] : NODES[0], address: null };
	const next = LEGS[leg + 1] as (typeof LEGS)[number];
	return { kind: "next", hooks: [(hook + 1) as HookId], optional: [], expected: `${next[0]}→${next[2][0]}` };
}

/** xorshift32: 32 bits a call. */
function generator(seed: number): () => number {
	let state = Math.imul(seed + 1, 0x9e3779b9) | 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return state >>> 0;
	};
}
