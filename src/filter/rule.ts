/**
 * One row of the kernel's table: struct weft_rule of bpf/knobs.h. A conjunction; a field at its neutral value is not
 * compared. The addon's side writes it into read-only data by the offsets of the BTF.
 */
export interface KernelRule {
	/** The hook's device in the program's namespace; 0: any. */
	readonly ifindex: number;
	/** Bits of those for whom it stands. */
	readonly subscribers: number;
	/** 16 bytes as on the wire, IPv4 as ::ffff:a.b.c.d, already masked. */
	readonly source: Uint8Array;
	readonly sourceMask: Uint8Array;
	readonly destination: Uint8Array;
	readonly destinationMask: Uint8Array;
	/** Bytes of skb length. */
	readonly lengthMin: number;
	/** 0: no limit. */
	readonly lengthMax: number;
	/** Host order, inclusive; 0…65535 is any. */
	readonly sourcePortMin: number;
	readonly sourcePortMax: number;
	readonly destinationPortMin: number;
	readonly destinationPortMax: number;
	/** VLAN id; 0xffff: any tagged; 0: not compared. */
	readonly vlan: number;
	/** enum weft_family + 1; 0: any. */
	readonly family: number;
	/** IPPROTO; 0: any. */
	readonly protocol: number;
	/** At least one of these bits is set; 0: not compared. */
	readonly tcpFlagsAny: number;
	/** (flags & mask) == value; mask 0: not compared. */
	readonly tcpFlagsMask: number;
	readonly tcpFlagsValue: number;
	/** Also with source and destination, addresses and ports, swapped. */
	readonly eitherWay: boolean;
	/** null: not compared. */
	readonly icmpType: number | null;
	/** null: any; only with a type. */
	readonly icmpCode: number | null;
}

/** WEFT_MAX_RULES */
export const MAX_RULES = 16;
/** What `vlan` holds for "any tagged". */
export const ANY_TAG = 0xffff;
