/**
 * Builds packets for tests, outermost header first:
 *
 *     packet().ethernet().ipv4({ source: "10.0.0.1" }).tcp({ seq: 7 }).payload("hello").build()
 *
 * Lengths, next-protocol fields and header checksums follow from what comes behind, unless a field says otherwise:
 * wrong headers are what half of the tests are about. Transport checksums are 0, except ICMP's.
 */
export function packet(): PacketBuilder {
	return new PacketBuilder([]);
}

/** A header: its bytes, given the bytes behind it and what they are. */
interface Layer {
	readonly ethertype: number | null;
	readonly protocol: number | null;
	encode(inner: Uint8Array, next: Layer | null): Uint8Array;
}

export interface EthernetFields {
	readonly source?: string;
	readonly destination?: string;
	readonly ethertype?: number;
}

export interface VlanFields {
	readonly id?: number;
	readonly tpid?: number;
	readonly ethertype?: number;
}

export interface ArpFields {
	readonly operation?: number;
	readonly sender?: string;
	readonly target?: string;
	readonly protocol?: number;
	readonly hardwareLength?: number;
	readonly protocolLength?: number;
}

export interface Ipv4Fields {
	readonly source?: string;
	readonly destination?: string;
	readonly id?: number;
	readonly ttl?: number;
	readonly protocol?: number;
	readonly version?: number;
	/** Header length in 32-bit words. */
	readonly ihl?: number;
	readonly totalLength?: number;
	/** Padded to a multiple of four. */
	readonly options?: readonly number[];
	/** In bytes. */
	readonly fragmentOffset?: number;
	readonly moreFragments?: boolean;
	readonly dontFragment?: boolean;
}

export interface Ipv6Fields {
	readonly source?: string;
	readonly destination?: string;
	readonly hopLimit?: number;
	readonly next?: number;
	readonly version?: number;
	readonly payloadLength?: number;
}

export interface TcpFields {
	readonly source?: number;
	readonly destination?: number;
	readonly seq?: number;
	readonly ack?: number;
	readonly flags?: number;
	readonly window?: number;
	/** Header length in 32-bit words. */
	readonly dataOffset?: number;
	/** Padded to a multiple of four. */
	readonly options?: readonly number[];
}

export interface UdpFields {
	readonly source?: number;
	readonly destination?: number;
	readonly length?: number;
}

export interface IcmpFields {
	readonly type?: number;
	readonly code?: number;
	readonly id?: number;
	readonly sequence?: number;
}

export class PacketBuilder {
	readonly #layers: readonly Layer[];

	constructor(layers: readonly Layer[]) {
		this.#layers = layers;
	}

	ethernet(fields: EthernetFields = {}): PacketBuilder {
		return this.#with(null, null, (inner, next) => {
			const out = header(14, inner);
			out.bytes.set(mac(fields.destination ?? "02:00:00:00:00:02"), 0);
			out.bytes.set(mac(fields.source ?? "02:00:00:00:00:01"), 6);
			out.view.setUint16(12, fields.ethertype ?? next?.ethertype ?? 0x88b5);
			return out.bytes;
		});
	}

	/** IEEE 802.1Q; give `tpid` 0x88a8 for the outer tag of QinQ. */
	vlan(fields: VlanFields = {}): PacketBuilder {
		return this.#with(fields.tpid ?? 0x8100, null, (inner, next) => {
			const out = header(4, inner);
			out.view.setUint16(0, fields.id ?? 1);
			out.view.setUint16(2, fields.ethertype ?? next?.ethertype ?? 0x88b5);
			return out.bytes;
		});
	}

	arp(fields: ArpFields = {}): PacketBuilder {
		return this.#with(0x0806, null, (inner) => {
			const out = header(28, inner);
			out.view.setUint16(0, 1);
			out.view.setUint16(2, fields.protocol ?? 0x0800);
			out.view.setUint8(4, fields.hardwareLength ?? 6);
			out.view.setUint8(5, fields.protocolLength ?? 4);
			out.view.setUint16(6, fields.operation ?? 1);
			out.bytes.set(mac("02:00:00:00:00:01"), 8);
			out.bytes.set(ipv4Bytes(fields.sender ?? "10.0.0.1"), 14);
			out.bytes.set(ipv4Bytes(fields.target ?? "10.0.0.2"), 24);
			return out.bytes;
		});
	}

	ipv4(fields: Ipv4Fields = {}): PacketBuilder {
		return this.#with(0x0800, 4, (inner, next) => {
			const options = padded(fields.options ?? []);
			const size = 20 + options.length;
			const out = header(size, inner);
			out.view.setUint8(0, ((fields.version ?? 4) << 4) | (fields.ihl ?? size / 4));
			out.view.setUint16(2, fields.totalLength ?? out.bytes.length & 0xffff);
			out.view.setUint16(4, fields.id ?? 0x1234);
			out.view.setUint16(
				6,
				((fields.fragmentOffset ?? 0) / 8) |
					(fields.moreFragments === true ? 0x2000 : 0) |
					(fields.dontFragment === true ? 0x4000 : 0),
			);
			out.view.setUint8(8, fields.ttl ?? 64);
			out.view.setUint8(9, fields.protocol ?? next?.protocol ?? 253);
			out.bytes.set(ipv4Bytes(fields.source ?? "10.0.0.1"), 12);
			out.bytes.set(ipv4Bytes(fields.destination ?? "10.0.0.2"), 16);
			out.bytes.set(options, 20);
			out.view.setUint16(10, checksum(out.bytes.subarray(0, size)));
			return out.bytes;
		});
	}

	ipv6(fields: Ipv6Fields = {}): PacketBuilder {
		return this.#with(0x86dd, 41, (inner, next) => {
			const out = header(40, inner);
			out.view.setUint8(0, (fields.version ?? 6) << 4);
			out.view.setUint16(4, fields.payloadLength ?? inner.length & 0xffff);
			out.view.setUint8(6, fields.next ?? next?.protocol ?? 59);
			out.view.setUint8(7, fields.hopLimit ?? 64);
			out.bytes.set(ipv6Bytes(fields.source ?? "fd00::1"), 8);
			out.bytes.set(ipv6Bytes(fields.destination ?? "fd00::2"), 24);
			return out.bytes;
		});
	}

	/** Hop-by-hop (0), routing (43), destination options (60), mobility (135): `size` bytes, a multiple of eight. */
	extension(protocol: number, fields: { readonly size?: number; readonly next?: number } = {}): PacketBuilder {
		return this.#with(null, protocol, (inner, next) => {
			const size = fields.size ?? 8;
			const out = header(size, inner);
			out.view.setUint8(0, fields.next ?? next?.protocol ?? 59);
			out.view.setUint8(1, size / 8 - 1);
			if (protocol === 0 || protocol === 60) {
				out.view.setUint8(2, 1); /* PadN */
				out.view.setUint8(3, size - 4);
			}
			return out.bytes;
		});
	}

	/** Authentication header (51): `size` bytes, a multiple of four. */
	authentication(size = 24): PacketBuilder {
		return this.#with(null, 51, (inner, next) => {
			const out = header(size, inner);
			out.view.setUint8(0, next?.protocol ?? 59);
			out.view.setUint8(1, size / 4 - 2);
			return out.bytes;
		});
	}

	/** The IPv6 fragment header (44); `offset` in bytes. `next` for later fragments, which show no header behind it. */
	fragment(fields: {
		readonly id?: number;
		readonly offset?: number;
		readonly more?: boolean;
		readonly next?: number;
	}): PacketBuilder {
		return this.#with(null, 44, (inner, next) => {
			const out = header(8, inner);
			out.view.setUint8(0, fields.next ?? next?.protocol ?? 59);
			out.view.setUint16(2, (fields.offset ?? 0) | (fields.more === true ? 1 : 0));
			out.view.setUint32(4, fields.id ?? 0);
			return out.bytes;
		});
	}

	tcp(fields: TcpFields = {}): PacketBuilder {
		return this.#with(null, 6, (inner) => {
			const options = padded(fields.options ?? []);
			const out = header(20 + options.length, inner);
			out.view.setUint16(0, fields.source ?? 40000);
			out.view.setUint16(2, fields.destination ?? 80);
			out.view.setUint32(4, fields.seq ?? 1);
			out.view.setUint32(8, fields.ack ?? 0);
			out.view.setUint8(12, (fields.dataOffset ?? 5 + options.length / 4) << 4);
			out.view.setUint8(13, fields.flags ?? 0x10);
			out.view.setUint16(14, fields.window ?? 512);
			out.bytes.set(options, 20);
			return out.bytes;
		});
	}

	udp(fields: UdpFields = {}): PacketBuilder {
		return this.#with(null, 17, (inner) => {
			const out = header(8, inner);
			out.view.setUint16(0, fields.source ?? 40000);
			out.view.setUint16(2, fields.destination ?? 53);
			out.view.setUint16(4, fields.length ?? out.bytes.length & 0xffff);
			return out.bytes;
		});
	}

	icmp(fields: IcmpFields = {}): PacketBuilder {
		return this.#with(null, 1, (inner) => icmp(fields.type ?? 8, fields, inner));
	}

	/** Its checksum covers no pseudo-header: for parsers, not for hosts. */
	icmpv6(fields: IcmpFields = {}): PacketBuilder {
		return this.#with(null, 58, (inner) => icmp(fields.type ?? 128, fields, inner));
	}

	sctp(fields: { readonly source?: number; readonly destination?: number } = {}): PacketBuilder {
		return this.#with(null, 132, (inner) => {
			const out = header(12, inner);
			out.view.setUint16(0, fields.source ?? 40000);
			out.view.setUint16(2, fields.destination ?? 80);
			return out.bytes;
		});
	}

	/** RFC 7348; an Ethernet frame comes next. */
	vxlan(fields: { readonly vni?: number; readonly flags?: number } = {}): PacketBuilder {
		return this.#with(null, null, (inner) => {
			const out = header(8, inner);
			out.view.setUint8(0, fields.flags ?? 0x08);
			out.view.setUint32(4, (fields.vni ?? 1) * 256);
			return out.bytes;
		});
	}

	/** Text, bytes, or so many bytes that count up from 0. */
	payload(content: string | Uint8Array | number): PacketBuilder {
		const bytes =
			typeof content === "number"
				? Uint8Array.from({ length: content }, (_, index) => index)
				: typeof content === "string"
					? new TextEncoder().encode(content)
					: content;
		return this.#with(null, null, (inner) => Uint8Array.from([...bytes, ...inner]));
	}

	/** These headers behind those of `outer`. */
	behind(outer: PacketBuilder): PacketBuilder {
		return new PacketBuilder([...outer.#layers, ...this.#layers]);
	}

	build(): Uint8Array {
		let bytes = new Uint8Array(0);
		let next: Layer | null = null;
		for (const layer of this.#layers.toReversed()) {
			bytes = Uint8Array.from(layer.encode(bytes, next));
			next = layer;
		}
		return bytes;
	}

	#with(ethertype: number | null, protocol: number | null, encode: Layer["encode"]): PacketBuilder {
		return new PacketBuilder([...this.#layers, { ethertype, protocol, encode }]);
	}
}

/** NOP, NOP and the timestamp option (RFC 7323, appendix A), as nearly every segment carries it. */
export function timestamps(tsval: number, tsecr = 0): readonly number[] {
	return [1, 1, 8, 10, ...word(tsval), ...word(tsecr)];
}

/** The options of a Linux SYN: MSS, SACK permitted, timestamps, NOP, window scale. */
export function synOptions(tsval: number): readonly number[] {
	return [2, 4, 5, 180, 4, 2, 8, 10, ...word(tsval), ...word(0), 1, 3, 3, 7];
}

function header(size: number, inner: Uint8Array): { readonly bytes: Uint8Array; readonly view: DataView } {
	const bytes = new Uint8Array(size + inner.length);
	bytes.set(inner, size);
	return { bytes, view: new DataView(bytes.buffer) };
}

function icmp(type: number, fields: IcmpFields, inner: Uint8Array): Uint8Array {
	const out = header(8, inner);
	out.view.setUint8(0, type);
	out.view.setUint8(1, fields.code ?? 0);
	out.view.setUint16(4, fields.id ?? 0);
	out.view.setUint16(6, fields.sequence ?? 0);
	out.view.setUint16(2, checksum(out.bytes));
	return out.bytes;
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
	let sum = 0;
	for (let i = 0; i < bytes.length; i += 2) {
		sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
	}
	while (sum > 0xffff) {
		sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
	}
	return ~sum & 0xffff;
}

function padded(options: readonly number[]): readonly number[] {
	return [...options, ...Array<number>((4 - (options.length % 4)) % 4).fill(0)];
}

function word(value: number): readonly number[] {
	return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function mac(text: string): Uint8Array {
	return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

function ipv4Bytes(text: string): Uint8Array {
	return Uint8Array.from(text.split("."), Number);
}

function ipv6Bytes(text: string): Uint8Array {
	const [head = "", tail] = text.split("::");
	const left = head === "" ? [] : head.split(":");
	const right = tail === undefined || tail === "" ? [] : tail.split(":");
	const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
	return Uint8Array.from(
		groups.flatMap((group) => {
			const value = Number.parseInt(group, 16);
			return [value >> 8, value & 255];
		}),
	);
}
