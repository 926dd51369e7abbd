/**
 * The tracer's program under test: loads dist/bpf/trace.bpf.o with given knobs, runs it on packets through
 * BPF_PROG_TEST_RUN and gives back what came out of the rings. Several instances of one Tracer share its maps, as the
 * instances of a real trace do.
 */
import { readFileSync } from "node:fs";
import { addon } from "../../src/kernel/addon.js";
import { LAYOUT, LIMITS } from "../../src/kernel/layout.generated.js";
import type { BpfMap, BpfObject, BpfProgram, Closeable, RawBatch, Rings } from "../../src/kernel/native.js";

const OBJECT = new URL("../../bpf/trace.bpf.o", import.meta.url);
const SHARED_MAPS = ["counters", "cpus", "shared", "slots", "faces"] as const;
/** struct __sk_buff of linux/bpf.h: fields that BPF_PROG_TEST_RUN takes from the context. */
const CONTEXT = { size: 192, ingressIfindex: 36, gsoSize: 176 } as const;

export interface Rule {
	readonly ifindex?: number;
	readonly subscribers?: number;
	readonly source?: Prefix;
	readonly destination?: Prefix;
	readonly lengthMin?: number;
	readonly lengthMax?: number;
	readonly sourcePorts?: readonly [number, number];
	readonly destinationPorts?: readonly [number, number];
	readonly vlan?: number;
	readonly family?: number;
	readonly protocol?: number;
	readonly tcpFlagsAny?: number;
	readonly tcpFlagsMask?: number;
	readonly tcpFlagsValue?: number;
	readonly eitherWay?: boolean;
	readonly icmp?: { readonly type: number; readonly code?: number };
}

/** 16 bytes, IPv4 mapped, and how many of the 128 bits count. */
export interface Prefix {
	readonly bytes: Uint8Array;
	readonly bits: number;
}

export interface Knobs {
	readonly hookSet?: number;
	readonly netns?: number;
	readonly egress?: boolean;
	readonly l3?: boolean;
	readonly generation?: number;
	readonly follow?: boolean;
	readonly sample?: number;
	readonly matchAll?: number;
	readonly tunnelPorts?: readonly number[];
	readonly rules?: readonly Rule[];
	readonly pointerKey?: bigint;
	readonly salt?: bigint;
	/** Of the stopwatch. */
	readonly segmentMask?: number;
	readonly hookMask?: number;
	readonly groupBy?: number;
	readonly transit?: boolean;
}

/** What the test gives a run beside the packet. */
export interface Context {
	readonly gsoSize?: number;
	/** By which device the packet came into this host. */
	readonly ingressIfindex?: number;
}

/** One struct weft_event, decoded for reading. Addresses as text. */
export interface Event {
	readonly timeNs: bigint;
	readonly skb: bigint;
	readonly source: string;
	readonly destination: string;
	readonly outerPeer: string;
	readonly ifindex: number;
	readonly length: number;
	readonly subscribers: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	readonly tsval: number;
	readonly ipId: number;
	readonly payloadLength: number;
	readonly payloadHash: number;
	readonly vni: number;
	readonly sourcePort: number;
	readonly destinationPort: number;
	readonly gsoSize: number;
	readonly window: number;
	readonly vlan: number;
	readonly lost: number;
	/** enum weft_event_flags without the cause. */
	readonly flags: number;
	readonly parse: number;
	readonly hookSet: number;
	readonly tcpFlags: number;
	readonly protocol: number;
	readonly ttl: number;
	readonly generation: number;
}

export interface Counters {
	readonly seen: number;
	readonly matched: number;
	readonly emitted: number;
	readonly ringFull: number;
	readonly unsampled: number;
	/** By enum weft_parse. */
	readonly unparseable: readonly number[];
}

export class Tracer implements Closeable {
	readonly #rings: Rings;
	readonly #records: Uint8Array[] = [];
	readonly #objects: BpfObject[] = [];
	#shared: ReadonlyMap<string, BpfMap> | null = null;
	#draining = false;

	constructor(bytesPerRing = 1 << 20) {
		this.#rings = addon().createRings({
			kind: "records",
			bytesPerRing,
			recordSize: LAYOUT.weft_event.size,
			batchRecords: 4096,
			credits: 16,
			intervalMs: 1,
		});
	}

	load(knobs: Knobs = {}): Instance {
		const object = addon().openObject(readFileSync(OBJECT));
		this.#objects.push(object);
		object.setRodata(0, encodeKnobs(knobs));
		for (const map of this.#rings.maps) object.reuseMap(map.name, map);
		for (const [name, map] of this.#shared ?? []) {
			object.reuseMap(name, map);
		}
		object.load();
		this.#shared ??= new Map(SHARED_MAPS.map((name) => [name, object.map(name)]));
		return new Instance(object.program("weft_trace"), object.program("weft_noop"));
	}

	map(name: (typeof SHARED_MAPS)[number]): BpfMap {
		const map = this.#shared?.get(name);
		if (map === undefined) {
			throw new Error(`load an instance before asking for ${name}`);
		}
		return map;
	}

	counters(hookSet = 0): Counters {
		const bytes = this.map("counters").lookup(Uint8Array.from(new Uint8Array(Uint32Array.of(hookSet).buffer)));
		const members = LAYOUT.weft_counters.members;
		const stride = LAYOUT.weft_counters.size;
		const view = new DataView(bytes?.buffer ?? new ArrayBuffer(0), bytes?.byteOffset, bytes?.byteLength);
		const sum = (offset: number): number => {
			let total = 0;
			for (let at = 0; at + stride <= view.byteLength; at += stride) {
				total += Number(view.getBigUint64(at + offset, true));
			}
			return total;
		};
		return {
			seen: sum(members.seen.offset),
			matched: sum(members.matched.offset),
			emitted: sum(members.emitted.offset),
			ringFull: sum(members.ring_full.offset),
			unsampled: sum(members.unsampled.offset),
			unparseable: Array.from({ length: members.unparseable.size / 8 }, (_, cause) =>
				sum(members.unparseable.offset + cause * 8),
			),
		};
	}

	/** Starts emptying the rings in the background; otherwise `finish` does it. `keep`: for `finish` to return. */
	drain(keep = true): void {
		if (this.#draining) {
			return;
		}
		this.#draining = true;
		this.#rings.drain((batch: RawBatch) => {
			const size = LAYOUT.weft_event.size;
			for (let i = 0; keep && i < batch.records; i++) {
				this.#records.push(new Uint8Array(batch.buffer.slice(i * size, (i + 1) * size)));
			}
			this.#rings.release(batch);
		});
	}

	/** Every event since the start, in the order of their times. The rings are closed by it. */
	async finish(): Promise<readonly Event[]> {
		this.drain();
		await this.#rings.stop();
		return this.#records.map(decodeEvent);
	}

	close(): void {
		for (const object of this.#objects) {
			object.close();
		}
		for (const map of this.#shared?.values() ?? []) {
			map.close();
		}
		this.#rings.close();
	}
}

/** One loaded program: a (namespace, direction, L2/L3). */
export class Instance {
	readonly trace: BpfProgram;
	readonly noop: BpfProgram;

	constructor(trace: BpfProgram, noop: BpfProgram) {
		this.trace = trace;
		this.noop = noop;
	}

	/** What the program returned: must be −1, "next". */
	run(packet: Uint8Array, context: Context = {}): number {
		return this.trace.testRun(packet, { context: encodeContext(context) }).returned;
	}
}

/** Runs a fresh instance over packets; one event for each that matched. */
export async function trace(
	packets: readonly (Uint8Array | { readonly bytes: Uint8Array; readonly context: Context })[],
	knobs: Knobs = { matchAll: 1 },
): Promise<{ readonly events: readonly Event[]; readonly counters: Counters }> {
	const tracer = new Tracer();
	try {
		const instance = tracer.load(knobs);
		for (const item of packets) {
			instance.run("bytes" in item ? item.bytes : item, "bytes" in item ? item.context : {});
		}
		const counters = tracer.counters(knobs.hookSet);
		return { events: await tracer.finish(), counters };
	} finally {
		tracer.close();
	}
}

/** "10.0.0.0/8", "fd00::/16" or an address. */
export function prefix(text: string): Prefix {
	const [address = "", length] = text.split("/");
	const bytes = new Uint8Array(16);
	if (address.includes(":")) {
		const [head = "", tail = ""] = address.split("::");
		const left = head.split(":").filter((group) => group !== "");
		const right = tail.split(":").filter((group) => group !== "");
		const view = new DataView(bytes.buffer);
		left.forEach((group, i) => {
			view.setUint16(i * 2, Number.parseInt(group, 16));
		});
		right.forEach((group, i) => {
			view.setUint16((8 - right.length + i) * 2, Number.parseInt(group, 16));
		});
		return { bytes, bits: length === undefined ? 128 : Number(length) };
	}
	bytes.set([0xff, 0xff, ...address.split(".").map(Number)], 10);
	return { bytes, bits: length === undefined ? 128 : 96 + Number(length) };
}

export function encodeContext(context: Context): Uint8Array {
	const bytes = new Uint8Array(CONTEXT.size);
	const view = new DataView(bytes.buffer);
	view.setUint32(CONTEXT.ingressIfindex, context.ingressIfindex ?? 0, true);
	view.setUint32(CONTEXT.gsoSize, context.gsoSize ?? 0, true);
	return bytes;
}

export function encodeKnobs(knobs: Knobs): Uint8Array {
	const bytes = new Uint8Array(LAYOUT.weft_knobs.size);
	const view = new DataView(bytes.buffer);
	const at = LAYOUT.weft_knobs.members;
	const rules = knobs.rules ?? [];
	const ports = knobs.tunnelPorts ?? [];
	if (rules.length > LIMITS.max_rules || ports.length > LIMITS.max_tunnel_ports) {
		throw new RangeError("too many rules or tunnel ports");
	}
	view.setBigUint64(at.pointer_key.offset, knobs.pointerKey ?? 0x9e3779b97f4a7c15n, true);
	view.setBigUint64(at.hash_salt.offset, knobs.salt ?? 42n, true);
	view.setUint32(at.hook_set.offset, knobs.hookSet ?? 0, true);
	view.setUint32(at.netns.offset, knobs.netns ?? 0, true);
	view.setUint8(at.egress.offset, knobs.egress === true ? 1 : 0);
	view.setUint8(at.l3.offset, knobs.l3 === true ? 1 : 0);
	view.setUint8(at.generation.offset, knobs.generation ?? 0);
	view.setUint8(at.follow.offset, knobs.follow === true ? 1 : 0);
	view.setUint32(at.sample.offset, knobs.sample ?? 0, true);
	view.setUint32(at.rule_count.offset, rules.length, true);
	view.setUint32(at.match_all_subscribers.offset, knobs.matchAll ?? 0, true);
	view.setUint32(at.tunnel_port_count.offset, ports.length, true);
	view.setUint32(at.segment_mask.offset, knobs.segmentMask ?? 1023, true);
	view.setUint32(at.hook_mask.offset, knobs.hookMask ?? 63, true);
	view.setUint8(at.group_by.offset, knobs.groupBy ?? 0);
	view.setUint8(at.transit.offset, knobs.transit === true ? 1 : 0);
	ports.forEach((port, i) => {
		view.setUint16(at.tunnel_ports.offset + i * 2, port, true);
	});
	rules.forEach((rule, i) => {
		bytes.set(encodeRule(rule), at.rules.offset + i * LAYOUT.weft_rule.size);
	});
	return bytes;
}

function encodeRule(rule: Rule): Uint8Array {
	const bytes = new Uint8Array(LAYOUT.weft_rule.size);
	const view = new DataView(bytes.buffer);
	const at = LAYOUT.weft_rule.members;
	view.setUint32(at.ifindex.offset, rule.ifindex ?? 0, true);
	view.setUint32(at.subscribers.offset, rule.subscribers ?? 1, true);
	encodePrefix(bytes, at.source.offset, at.source_mask.offset, rule.source);
	encodePrefix(bytes, at.destination.offset, at.destination_mask.offset, rule.destination);
	view.setUint32(at.length_min.offset, rule.lengthMin ?? 0, true);
	view.setUint32(at.length_max.offset, rule.lengthMax ?? 0, true);
	const [sourceMin, sourceMax] = rule.sourcePorts ?? [0, 65535];
	const [destinationMin, destinationMax] = rule.destinationPorts ?? [0, 65535];
	view.setUint16(at.source_port_min.offset, sourceMin, true);
	view.setUint16(at.source_port_max.offset, sourceMax, true);
	view.setUint16(at.destination_port_min.offset, destinationMin, true);
	view.setUint16(at.destination_port_max.offset, destinationMax, true);
	view.setUint16(at.vlan.offset, rule.vlan ?? 0, true);
	view.setUint8(at.family.offset, rule.family === undefined ? 0 : rule.family + 1);
	view.setUint8(at.protocol.offset, rule.protocol ?? 0);
	view.setUint8(at.tcp_flags_any.offset, rule.tcpFlagsAny ?? 0);
	view.setUint8(at.tcp_flags_mask.offset, rule.tcpFlagsMask ?? 0);
	view.setUint8(at.tcp_flags_value.offset, rule.tcpFlagsValue ?? 0);
	view.setUint8(at.flags.offset, (rule.eitherWay === true ? 1 : 0) | (rule.icmp === undefined ? 0 : 2));
	view.setUint16(at.icmp_code.offset, rule.icmp?.code ?? 0xffff, true);
	view.setUint8(at.icmp_type.offset, rule.icmp?.type ?? 0);
	return bytes;
}

function encodePrefix(bytes: Uint8Array, address: number, mask: number, prefix: Prefix | undefined): void {
	for (let i = 0; i < 16; i++) {
		const bits = Math.min(8, Math.max(0, (prefix?.bits ?? 0) - i * 8));
		const byte = (0xff00 >> bits) & 0xff;
		bytes[mask + i] = byte;
		bytes[address + i] = (prefix?.bytes[i] ?? 0) & byte;
	}
}

function decodeEvent(record: Uint8Array): Event {
	const view = new DataView(record.buffer, record.byteOffset);
	const at = LAYOUT.weft_event.members;
	const u32 = (offset: number): number => view.getUint32(offset, true);
	const u16 = (offset: number): number => view.getUint16(offset, true);
	const flags = u16(at.flags.offset);
	return {
		timeNs: view.getBigUint64(at.time_ns.offset, true),
		skb: view.getBigUint64(at.skb.offset, true),
		source: address(record.subarray(at.source.offset, at.source.offset + 16)),
		destination: address(record.subarray(at.destination.offset, at.destination.offset + 16)),
		outerPeer: address(record.subarray(at.outer_peer.offset, at.outer_peer.offset + 16)),
		ifindex: u32(at.ifindex.offset),
		length: u32(at.length.offset),
		subscribers: u32(at.subscribers.offset),
		sequence: u32(at.sequence.offset),
		acknowledgement: u32(at.acknowledgement.offset),
		tsval: u32(at.tsval.offset),
		ipId: u32(at.ip_id.offset),
		payloadLength: u32(at.payload_length.offset),
		payloadHash: u32(at.payload_hash.offset),
		vni: u32(at.vni.offset),
		sourcePort: u16(at.source_port.offset),
		destinationPort: u16(at.destination_port.offset),
		gsoSize: u16(at.gso_size.offset),
		window: u16(at.window.offset),
		vlan: u16(at.vlan.offset),
		lost: u16(at.lost.offset),
		flags: flags & 0x0fff,
		parse: flags >> 12,
		hookSet: u16(at.hook_set.offset),
		tcpFlags: view.getUint8(at.tcp_flags.offset),
		protocol: view.getUint8(at.protocol.offset),
		ttl: view.getUint8(at.ttl.offset),
		generation: view.getUint8(at.generation.offset),
	};
}

/** Text of 16 bytes: IPv4, uncompressed IPv6, or "" for all zeros. */
function address(bytes: Uint8Array): string {
	if (bytes.every((byte) => byte === 0)) {
		return "";
	}
	if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
		return bytes.subarray(12).join(".");
	}
	const groups: string[] = [];
	for (let i = 0; i < 16; i += 2) {
		groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
	}
	return groups.join(":");
}
