import { formatAddress } from "../packet/addresses.js";
import type { NetnsCookie } from "../packet/hook.js";
import { EventFlag, Family } from "../packet/sightings.js";
import { addon } from "./addon.js";
import { explained } from "./error.js";
import type { SlotAccess } from "./hooks.js";
import { encodeKnobs, NO_FILTER } from "./knobs.js";
import { ENUMS, LAYOUT } from "./layout.generated.js";
import type { BpfMap, BpfObject, BpfProgram, Closeable, RawBatch, Rings } from "./native.js";
import { readObject, takeProgram } from "./object.js";
import { KernelSymbols } from "./symbols.js";
import { perCpu, u32Key, u64 } from "./values.js";

/** A packet that the kernel threw away, as the tracepoint kfree_skb tells. Fields mean what they mean in a sighting. */
export interface KernelDrop {
	/** CLOCK_MONOTONIC, ns. */
	readonly timeNs: bigint;
	/** Salted as the tracer's, when it has access to its slots. */
	readonly skbLow: number;
	readonly skbHigh: number;
	readonly netns: NetnsCookie;
	/** As the running kernel calls it, less SKB_DROP_REASON_: "NETFILTER_DROP"; the number where it has no name. */
	readonly reason: string;
	/** Where in the kernel: "nf_hook_slow"; null where it does not say. */
	readonly function: string | null;
	/** skb->dev, 0: none. Not where it was seen last: it may be a device that the packet never reached. */
	readonly ifindex: number;
	readonly ingressIfindex: number;
	/** Where the tracer saw it last; null: nowhere. */
	readonly hop: { readonly hookSet: number; readonly ifindex: number } | null;
	/** This one, and those alike before it that have no record of their own. */
	readonly standsFor: number;
	/** EventFlag bits, parse cause in the top four. */
	readonly flags: number;
	readonly protocol: number;
	/** Null when it could not be read. */
	readonly source: string | null;
	readonly destination: string | null;
	readonly sourcePort: number;
	readonly destinationPort: number;
	readonly outerPeer: string | null;
	readonly vni: number;
	/** From the network header on, bytes. */
	readonly length: number;
	readonly payloadLength: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	readonly ipId: number;
	readonly tcpFlags: number;
	readonly ttl: number;
}

/** Packets; seen = unrelated + unknown + foreign + ours, ours = records given + ringFull + skipped. */
export interface DropCounters {
	readonly seen: number;
	/** No network packets: unix and netlink sockets. */
	readonly unrelated: number;
	/** No namespace could be found. */
	readonly unknown: number;
	/** Of namespaces that are not watched. */
	readonly foreign: number;
	readonly ours: number;
	/** Ours, but there was no room to count their kind. */
	readonly uncounted: number;
	/** Ours, counted without a record: others alike stand for them. */
	readonly skipped: number;
	readonly ringFull: number;
	readonly emitted: number;
	/** The program was skipped because it would have interrupted itself: not even seen. */
	readonly missed: number;
}

/** Exact count of drops alike. */
export interface DropCount {
	readonly reason: string;
	readonly function: string | null;
	readonly netns: NetnsCookie;
	readonly count: number;
}

export interface DropsOptions {
	/** Bytes of each CPU's ring. Default 256 KiB. */
	readonly ringBytes?: number;
	/** Kinds (reason, place and namespace) that are counted apart; further drops have a record each. Default 4096. */
	readonly kinds?: number;
	/** The tracer's, to say where a packet was seen last; null: nothing traces. */
	readonly slots: SlotAccess | null;
	/** VXLAN's UDP ports on this machine, at most 4. */
	readonly tunnelPorts: readonly number[];
}

/** Watches what the kernel throws away, in the namespaces it is told of. */
export class Drops {
	readonly #rings: Rings;
	readonly #program: BpfProgram;
	readonly #maps: { readonly namespaces: BpfMap; readonly counts: BpfMap; readonly counters: BpfMap };
	readonly #slots: SlotAccess | null;
	/** Of reasons; null until the first is asked for: to read the kernel's types takes 20 ms. */
	#names: ReadonlyMap<number, string> | null = null;
	readonly #symbols = new KernelSymbols();
	/** Ids in the program's table. */
	readonly #watched = new Map<NetnsCookie, number>();
	#link: Closeable | null = null;

	/** As the constructor, verifying on another thread. @throws KernelError */
	static async load(options: DropsOptions): Promise<Drops> {
		const opened = open(options);
		try {
			await explained("load drops.bpf.o", () => opened.object.loadInBackground());
		} catch (cause) {
			opened.rings.close();
			throw cause;
		}
		return new Drops(options, opened);
	}

	/** @throws KernelError without the addon, without privileges, or on a kernel without BTF */
	constructor(options: DropsOptions, loaded: Opened | null = null) {
		this.#slots = options.slots;
		const { rings, object } = loaded ?? open(options);
		this.#rings = rings;
		[this.#program, this.#maps] = explained("load drops.bpf.o", () => {
			if (loaded === null) object.load();
			const maps = {
				namespaces: object.map("namespaces"),
				counts: object.map("drop_counts"),
				counters: object.map("drop_counters"),
			};
			return [takeProgram(object, "weft_drops"), maps] as const;
		});
	}

	/** Only drops in these namespaces are told from now on. */
	watch(namespaces: readonly NetnsCookie[]): void {
		const wanted = new Set(namespaces);
		for (const cookie of this.#watched.keys()) {
			if (wanted.has(cookie)) continue;
			this.#maps.namespaces.delete(cookieKey(cookie));
			this.#watched.delete(cookie);
		}
		for (const cookie of wanted) {
			if (this.#watched.has(cookie)) continue;
			const id = Number(BigInt.asUintN(32, BigInt(cookie)));
			const realm = this.#slots?.netnsId(cookie) ?? 0;
			this.#maps.namespaces.update(cookieKey(cookie), new Uint8Array(Uint32Array.of(id, realm).buffer));
			this.#watched.set(cookie, id);
		}
	}

	/**
	 * Begins. `onDrops` gets records in order of time, and the time (CLOCK_MONOTONIC, ns) up to which there are no more.
	 * @throws KernelError
	 */
	start(onDrops: (drops: readonly KernelDrop[], watermarkNs: bigint) => void): void {
		this.#rings.drain((batch) => {
			const drops = this.#decode(batch);
			this.#rings.release(batch);
			onDrops(drops, batch.watermarkNs);
		});
		this.#link = explained("attach to the tracepoint kfree_skb", () => addon().attachTracing(this.#program));
	}

	counters(): DropCounters {
		const total = { ...NONE, missed: this.#program.missed() };
		const { size, members } = LAYOUT.weft_drop_counters;
		for (const [view, base] of perCpu(this.#maps.counters.lookup(u32Key(0)), size)) {
			total.seen += u64(view, base + members.seen.offset);
			total.unrelated += u64(view, base + members.unrelated.offset);
			total.unknown += u64(view, base + members.unknown.offset);
			total.foreign += u64(view, base + members.foreign.offset);
			total.ours += u64(view, base + members.ours.offset);
			total.uncounted += u64(view, base + members.uncounted.offset);
			total.skipped += u64(view, base + members.skipped.offset);
			total.ringFull += u64(view, base + members.ring_full.offset);
			total.emitted += u64(view, base + members.emitted.offset);
		}
		return total;
	}

	/** By reason, function and namespace; those of namespaces that are not watched any more are left out. */
	counts(): readonly DropCount[] {
		const cookies = new Map([...this.#watched].map(([cookie, id]) => [id, cookie]));
		const { members: key } = LAYOUT.weft_drop_key;
		const { size, members: value } = LAYOUT.weft_drop_count;
		const keys = this.#maps.counts.keys();
		const found: DropCount[] = [];
		for (let at = 0; at < keys.length; at += LAYOUT.weft_drop_key.size) {
			const bytes = keys.subarray(at, at + LAYOUT.weft_drop_key.size);
			const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
			const netns = cookies.get(view.getUint32(key.netns.offset, true));
			if (netns === undefined) continue;
			let count = 0;
			for (const [values, base] of perCpu(this.#maps.counts.lookup(bytes), size)) {
				count += u64(values, base + value.count.offset);
			}
			const reason = this.#reason(view.getUint32(key.reason.offset, true));
			found.push({
				reason,
				function: this.#symbols.functionAt(view.getBigUint64(key.location.offset, true)),
				netns,
				count,
			});
		}
		return found;
	}

	/** Ends; every record has been given when this resolves, and the counters are final. */
	async stop(): Promise<DropCounters> {
		this.#link?.close();
		this.#link = null;
		await addon().synchronizePrograms();
		await this.#rings.stop();
		return this.counters();
	}

	close(): void {
		this.#link?.close();
		this.#program.close();
		for (const map of Object.values(this.#maps)) map.close();
		this.#rings.close();
	}

	#decode(batch: RawBatch): readonly KernelDrop[] {
		const { size } = LAYOUT.weft_drop;
		return Array.from({ length: batch.records }, (_, index) =>
			this.#decodeOne(new Uint8Array(batch.buffer, index * size, size)),
		);
	}

	#decodeOne(bytes: Uint8Array): KernelDrop {
		const at = LAYOUT.weft_drop.members;
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		const u32 = ({ offset }: { readonly offset: number }) => view.getUint32(offset, true);
		const u16 = ({ offset }: { readonly offset: number }) => view.getUint16(offset, true);
		const flags = u16(at.flags);
		const addressed = (flags & EventFlag.familyMask) !== Family.other;
		const hasHop = (view.getUint8(at.origin.offset) & ENUMS.weft_drop_flags.WEFT_DROP_HAS_HOP) !== 0;
		return {
			timeNs: view.getBigUint64(at.time_ns.offset, true),
			skbLow: view.getUint32(at.skb.offset, true),
			skbHigh: view.getUint32(at.skb.offset + 4, true),
			netns: view.getBigUint64(at.netns_cookie.offset, true).toString() as NetnsCookie,
			reason: this.#reason(u32(at.reason)),
			function: this.#symbols.functionAt(view.getBigUint64(at.location.offset, true)),
			ifindex: u32(at.ifindex),
			ingressIfindex: u32(at.ingress_ifindex),
			hop: hasHop ? { hookSet: u16(at.hop_hook_set), ifindex: u32(at.hop_ifindex) } : null,
			standsFor: 1 + u32(at.skipped),
			flags,
			protocol: view.getUint8(at.protocol.offset),
			source: addressed ? formatAddress(bytes, at.source.offset) : null,
			destination: addressed ? formatAddress(bytes, at.destination.offset) : null,
			sourcePort: u16(at.source_port),
			destinationPort: u16(at.destination_port),
			outerPeer: (flags & EventFlag.inner) !== 0 ? formatAddress(bytes, at.outer_peer.offset) : null,
			vni: u32(at.vni),
			length: u32(at.length),
			payloadLength: u32(at.payload_length),
			sequence: u32(at.sequence),
			acknowledgement: u32(at.acknowledgement),
			ipId: u32(at.ip_id),
			tcpFlags: view.getUint8(at.tcp_flags.offset),
			ttl: view.getUint8(at.ttl.offset),
		};
	}

	#reason(number: number): string {
		this.#names ??= reasonNames();
		return this.#names.get(number) ?? String(number);
	}
}

interface Opened {
	readonly rings: Rings;
	readonly object: BpfObject;
}

function open({ ringBytes = 256 << 10, kinds, slots, tunnelPorts }: DropsOptions): Opened {
	const rings = explained("create the rings", () =>
		addon().createRings({
			kind: "ringbuf",
			bytesPerRing: ringBytes,
			recordSize: LAYOUT.weft_drop.size,
			batchRecords: 1024,
			credits: 4,
			intervalMs: 20,
			// A burst of drops alike gets 32 records, then one in 256 does (bpf/drops.h).
			recordsPerSecond: 100_000,
		}),
	);
	const object = explained("load drops.bpf.o", () => {
		const opened = addon().openObject(readObject("drops.bpf.o"));
		for (const map of [...rings.maps, ...(slots?.maps ?? [])]) opened.reuseMap(map.name, map);
		if (kinds !== undefined) opened.setMaxEntries("drop_counts", kinds);
		opened.setRodata(0, encodeKnobs({ ...IDLE, ...keysOf(slots), tunnelPorts }));
		return opened;
	});
	return { rings, object };
}

const NONE = {
	seen: 0,
	unrelated: 0,
	unknown: 0,
	foreign: 0,
	ours: 0,
	uncounted: 0,
	skipped: 0,
	ringFull: 0,
	emitted: 0,
};

/** Knobs that drops do not look at. */
const IDLE = {
	pointerKey: 1n,
	hashSalt: 0n,
	hookSet: 0,
	netns: 0,
	egress: true,
	l3: true,
	...NO_FILTER,
};

function keysOf(slots: SlotAccess | null): { pointerKey?: bigint; hashSalt?: bigint } {
	return slots === null ? {} : { pointerKey: slots.pointerKey, hashSalt: slots.hashSalt };
}

/** Of enum skb_drop_reason, from the running kernel: the numbers differ from version to version. */
export function reasonNames(): ReadonlyMap<number, string> {
	const values = addon().kernelEnum("skb_drop_reason") ?? {};
	return new Map(Object.entries(values).map(([name, number]) => [number, name.replace(/^SKB_(DROP_REASON_)?/, "")]));
}

function cookieKey(cookie: NetnsCookie): Uint8Array {
	return new Uint8Array(BigUint64Array.of(BigInt(cookie)).buffer);
}
