import type { KernelRule } from "../filter/rule.js";
import { ENUMS, LAYOUT, LIMITS } from "./layout.generated.js";

/** struct weft_knobs of bpf/knobs.h: what one program instance is and looks for. */
export interface Knobs {
	/** Odd, 64 bits; the same for all instances of a tracer. */
	readonly pointerKey: bigint;
	/** 64 bits; the same for all agents of a trace. */
	readonly hashSalt: bigint;
	readonly hookSet: number;
	/** Small id of the namespace. */
	readonly netns: number;
	readonly egress: boolean;
	readonly l3: boolean;
	/** Filter generation, 0…255. */
	readonly generation: number;
	/** Follow packets that matched at an earlier hook. */
	readonly follow: boolean;
	/** Keep one packet in so many; 0 and 1: all. */
	readonly sample: number;
	/** Bits of those for whom every packet matches. */
	readonly matchAll: number;
	/** VXLAN's UDP destination ports; at most 4. */
	readonly tunnelPorts: readonly number[];
	/** At most 16. */
	readonly rules: readonly KernelRule[];
	/** Of the stopwatch: entries of `segments` for details, and for hooks, each less one. */
	readonly segmentMask?: number;
	readonly hookMask?: number;
	/** Of the stopwatch: enum weft_group. */
	readonly groupBy?: number;
	/** Of the stopwatch: on egress count from the packet's first hook as well. */
	readonly transit?: boolean;
}

/** Of programs that take every packet, and follow none. */
export const NO_FILTER = { generation: 0, follow: false, sample: 0, matchAll: 0, rules: [] } as const;

/** VXLAN's UDP ports that a program knows, at most. */
export const MOST_TUNNEL_PORTS = LIMITS.max_tunnel_ports;

type Member = { readonly offset: number; readonly size: number };

/** The bytes of the program's .rodata, which holds nothing but the knobs. */
export function encodeKnobs(knobs: Knobs): Uint8Array {
	if (knobs.rules.length > LIMITS.max_rules) {
		throw new RangeError(`${knobs.rules.length} rules: the kernel's table holds ${LIMITS.max_rules}`);
	}
	if (knobs.tunnelPorts.length > MOST_TUNNEL_PORTS) {
		throw new RangeError(`${knobs.tunnelPorts.length} tunnel ports: there is room for ${MOST_TUNNEL_PORTS}`);
	}
	const { size, members: at } = LAYOUT.weft_knobs;
	const bytes = new Uint8Array(size);
	const view = new DataView(bytes.buffer);
	put(view, 0, at.pointer_key, knobs.pointerKey);
	put(view, 0, at.hash_salt, knobs.hashSalt);
	put(view, 0, at.hook_set, knobs.hookSet);
	put(view, 0, at.netns, knobs.netns);
	put(view, 0, at.egress, Number(knobs.egress));
	put(view, 0, at.l3, Number(knobs.l3));
	put(view, 0, at.generation, knobs.generation);
	put(view, 0, at.follow, Number(knobs.follow));
	put(view, 0, at.sample, knobs.sample);
	put(view, 0, at.rule_count, knobs.rules.length);
	put(view, 0, at.match_all_subscribers, knobs.matchAll);
	put(view, 0, at.tunnel_port_count, knobs.tunnelPorts.length);
	put(view, 0, at.segment_mask, knobs.segmentMask ?? 0);
	put(view, 0, at.hook_mask, knobs.hookMask ?? 0);
	put(view, 0, at.group_by, knobs.groupBy ?? 0);
	put(view, 0, at.transit, Number(knobs.transit ?? false));
	knobs.tunnelPorts.forEach((port, index) => {
		put(view, index * 2, { offset: at.tunnel_ports.offset, size: 2 }, port);
	});
	knobs.rules.forEach((rule, index) => {
		encodeRule(view, at.rules.offset + index * LAYOUT.weft_rule.size, rule);
	});
	return bytes;
}

function encodeRule(view: DataView, base: number, rule: KernelRule): void {
	const at = LAYOUT.weft_rule.members;
	const flags = ENUMS.weft_rule_flags;
	put(view, base, at.ifindex, rule.ifindex);
	put(view, base, at.subscribers, rule.subscribers);
	copy(view, base, at.source, rule.source);
	copy(view, base, at.source_mask, rule.sourceMask);
	copy(view, base, at.destination, rule.destination);
	copy(view, base, at.destination_mask, rule.destinationMask);
	put(view, base, at.length_min, rule.lengthMin);
	put(view, base, at.length_max, rule.lengthMax);
	put(view, base, at.source_port_min, rule.sourcePortMin);
	put(view, base, at.source_port_max, rule.sourcePortMax);
	put(view, base, at.destination_port_min, rule.destinationPortMin);
	put(view, base, at.destination_port_max, rule.destinationPortMax);
	put(view, base, at.vlan, rule.vlan);
	put(view, base, at.family, rule.family);
	put(view, base, at.protocol, rule.protocol);
	put(view, base, at.tcp_flags_any, rule.tcpFlagsAny);
	put(view, base, at.tcp_flags_mask, rule.tcpFlagsMask);
	put(view, base, at.tcp_flags_value, rule.tcpFlagsValue);
	put(
		view,
		base,
		at.flags,
		(rule.eitherWay ? flags.WEFT_RULE_EITHER_WAY : 0) | (rule.icmpType === null ? 0 : flags.WEFT_RULE_ICMP),
	);
	put(view, base, at.icmp_type, rule.icmpType ?? 0);
	put(view, base, at.icmp_code, rule.icmpCode ?? ANY_CODE);
}

/** "code 0xffff is any", bpf/knobs.h. */
const ANY_CODE = 0xffff;

/** One integer, in the machine's byte order: little-endian wherever Node.js and BPF meet. */
function put(view: DataView, base: number, { offset, size }: Member, value: number | bigint): void {
	const bits = BigInt(value);
	if (bits < 0n || bits >> BigInt(size * 8) !== 0n) throw new RangeError(`${value} does not fit ${size} bytes`);
	for (let index = 0; index < size; index++) {
		view.setUint8(base + offset + index, Number((bits >> BigInt(index * 8)) & 0xffn));
	}
}

function copy(view: DataView, base: number, { offset, size }: Member, bytes: Uint8Array): void {
	if (bytes.length !== size) throw new RangeError(`an address has ${size} bytes, not ${bytes.length}`);
	bytes.forEach((byte, index) => {
		view.setUint8(base + offset + index, byte);
	});
}
