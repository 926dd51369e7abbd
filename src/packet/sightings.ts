/**
 * A batch of sightings: one row for each packet seen at a hook, in columns of equal capacity.
 * Rows [0, count) are valid and sorted by time. The hot path reads columns and makes no object per row.
 */
export interface Sightings {
	count: number;
	/** ns since the epoch of the Source's clock (see SourceClock); a double holds it exactly for 104 days. */
	readonly time: Float64Array;
	/** The salted skb address, low and high word. Equal: the same pointer on the same node, perhaps reused. */
	readonly skbLow: Uint32Array;
	readonly skbHigh: Uint32Array;
	/** HookId. */
	readonly hook: Uint16Array;
	/** Id in the TupleTable: family, addresses, ports, protocol. */
	readonly tuple: Uint32Array;
	/** Id in the OuterTable; 0: the packet was not inside a tunnel. */
	readonly outer: Uint32Array;
	/** __sk_buff.ingress_ifindex; 0: made on this host, or after encapsulation. */
	readonly ingress: Uint32Array;
	/** skb length in bytes, link header included on L2 devices. */
	readonly length: Uint32Array;
	/** TCP seq; ICMP echo seq; byte offset of a later fragment. */
	readonly sequence: Uint32Array;
	readonly acknowledgement: Uint32Array;
	readonly tsval: Uint32Array;
	readonly ipId: Uint32Array;
	/** Bytes behind the transport header, all GSO segments together. */
	readonly payload: Uint32Array;
	readonly hash: Uint32Array;
	/** Payload bytes a segment; 0: not GSO. */
	readonly gsoSize: Uint16Array;
	/** ceil(payload / gsoSize), at least 1. */
	readonly segments: Uint16Array;
	readonly window: Uint16Array;
	/** EventFlag bits, parse cause in the top four. */
	readonly flags: Uint16Array;
	readonly vlan: Uint16Array;
	readonly tcpFlags: Uint8Array;
	readonly ttl: Uint8Array;
	readonly generation: Uint8Array;
	/** Bit n: for subscriber n. */
	readonly subscribers: Uint32Array;
	/** Records lost on this CPU's ring right before this one; 65535: or more. */
	readonly lost: Uint16Array;
}

/** Bits of Sightings.flags: enum weft_event_flags of bpf/event.h. */
export const enum EventFlag {
	familyMask = 0x0003,
	inner = 0x0004,
	fragment = 0x0008,
	laterFragment = 0x0010,
	moreFragments = 0x0020,
	vlan = 0x0040,
	followed = 0x0080,
	hasPorts = 0x0100,
	hasTsval = 0x0200,
	parseShift = 12,
}

/** enum weft_family of bpf/event.h. */
export const enum Family {
	other = 0,
	ipv4 = 1,
	ipv6 = 2,
	arp = 3,
}

/** Bits of Sightings.tcpFlags (RFC 9293, 3.1). */
export const enum TcpFlag {
	fin = 1,
	syn = 2,
	rst = 4,
	psh = 8,
	ack = 16,
	urg = 32,
	ece = 64,
	cwr = 128,
}
