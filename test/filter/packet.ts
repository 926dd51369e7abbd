import type { TupleWords } from "../../src/filter/evaluate.js";
import type { PathFaces } from "../../src/filter/path.js";
import { ANY_TAG, type KernelRule } from "../../src/filter/rule.js";
import { wordsAt } from "../../src/packet/addresses.js";
import { EventFlag } from "../../src/packet/sightings.js";

/** What the kernel's parser makes of one packet at one hook: struct weft_event, as far as filters read it. */
export interface Packet {
	readonly ifindex: number;
	readonly family: number;
	readonly protocol: number;
	readonly source: Uint8Array;
	readonly destination: Uint8Array;
	/** As in weft_event: the ethertype of other families, the echo id of ICMP; 0 without. */
	readonly sourcePort: number;
	readonly destinationPort: number;
	readonly hasPorts: boolean;
	readonly laterFragment: boolean;
	readonly moreFragments: boolean;
	readonly length: number;
	readonly vlan: number | null;
	readonly tcpFlags: number;
	readonly ttl: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	readonly window: number;
	readonly ipId: number;
}

/** Packets as hops of one path, or as a batch: hop i is packet i, its tuple i + 1, its hook `hooks[i]`. */
export function facesOf(packets: readonly Packet[], hooks: readonly number[] = []): PathFaces {
	const at = (i: number): Packet => packets[i] ?? fail(i);
	const tuples: TupleWords = {
		word: (id, index) => {
			const { source, destination } = at(id - 1);
			return wordsAt(index < 4 ? source : destination)[(index & 3) as 0 | 1 | 2 | 3];
		},
		sourcePort: (id) => at(id - 1).sourcePort,
		destinationPort: (id) => at(id - 1).destinationPort,
		family: (id) => at(id - 1).family,
		protocol: (id) => at(id - 1).protocol,
	};
	return {
		hops: packets.length,
		hook: (i) => hooks[i] ?? 0,
		tuples,
		tuple: (i) => i + 1,
		flags: (i) => flagsOf(at(i)),
		length: (i) => at(i).length,
		tcpFlags: (i) => at(i).tcpFlags,
		ttl: (i) => at(i).ttl,
		vlan: (i) => at(i).vlan ?? 0,
		sequence: (i) => at(i).sequence,
		acknowledgement: (i) => at(i).acknowledgement,
		window: (i) => at(i).window,
		ipId: (i) => at(i).ipId,
	};
}

/** The kernel's decision: bpf/rules.h, line by line. */
export function matchesAny(rules: readonly KernelRule[], packet: Packet): boolean {
	return rules.some((rule) => matches(rule, packet));
}

function matches(rule: KernelRule, packet: Packet): boolean {
	if (rule.ifindex !== 0 && packet.ifindex !== rule.ifindex) return false;
	if (rule.family !== 0 && packet.family !== rule.family - 1) return false;
	if (rule.protocol !== 0 && packet.protocol !== rule.protocol) return false;
	if (rule.lengthMin !== 0 && packet.length < rule.lengthMin) return false;
	if (rule.lengthMax !== 0 && packet.length > rule.lengthMax) return false;
	if (!vlanMatches(rule, packet) || !tcpMatches(rule, packet) || !icmpMatches(rule, packet)) return false;
	const { source, destination, sourcePort, destinationPort } = packet;
	if (endsMatch(rule, packet, source, destination, sourcePort, destinationPort)) return true;
	return rule.eitherWay && endsMatch(rule, packet, destination, source, destinationPort, sourcePort);
}

function vlanMatches(rule: KernelRule, packet: Packet): boolean {
	return rule.vlan === 0 || (packet.vlan !== null && (rule.vlan === ANY_TAG || packet.vlan === rule.vlan));
}

function tcpMatches(rule: KernelRule, packet: Packet): boolean {
	if (rule.tcpFlagsAny === 0 && rule.tcpFlagsMask === 0) return true;
	if (packet.protocol !== 6) return false;
	if (packet.laterFragment) return true;
	if (!packet.hasPorts) return false;
	if (rule.tcpFlagsAny !== 0 && (packet.tcpFlags & rule.tcpFlagsAny) === 0) return false;
	return rule.tcpFlagsMask === 0 || (packet.tcpFlags & rule.tcpFlagsMask) === rule.tcpFlagsValue;
}

function icmpMatches(rule: KernelRule, packet: Packet): boolean {
	if (rule.icmpType === null) return true;
	if (packet.protocol !== 1 && packet.protocol !== 58) return false;
	if (packet.laterFragment) return true;
	const type = packet.destinationPort >>> 8;
	const code = packet.destinationPort & 0xff;
	return packet.hasPorts && type === rule.icmpType && (rule.icmpCode === null || code === rule.icmpCode);
}

function endsMatch(
	rule: KernelRule,
	packet: Packet,
	source: Uint8Array,
	destination: Uint8Array,
	sourcePort: number,
	destinationPort: number,
): boolean {
	if (!masked(source, rule.sourceMask, rule.source)) return false;
	if (!masked(destination, rule.destinationMask, rule.destination)) return false;
	const { sourcePortMin, sourcePortMax, destinationPortMin, destinationPortMax } = rule;
	const anyPorts =
		sourcePortMin === 0 && sourcePortMax === 65535 && destinationPortMin === 0 && destinationPortMax === 65535;
	if (anyPorts || packet.laterFragment) return true;
	if (!packet.hasPorts) return false;
	if (sourcePort < sourcePortMin || sourcePort > sourcePortMax) return false;
	return destinationPort >= destinationPortMin && destinationPort <= destinationPortMax;
}

function masked(address: Uint8Array, mask: Uint8Array, value: Uint8Array): boolean {
	return address.every((byte, i) => (byte & (mask[i] ?? 0)) === value[i]);
}

function flagsOf(packet: Packet): number {
	return (
		packet.family |
		(packet.hasPorts ? EventFlag.hasPorts : 0) |
		(packet.laterFragment ? EventFlag.fragment | EventFlag.laterFragment : 0) |
		(packet.moreFragments ? EventFlag.fragment | EventFlag.moreFragments : 0) |
		(packet.vlan === null ? 0 : EventFlag.vlan)
	);
}

function fail(i: number): never {
	throw new RangeError(`no packet ${i}`);
}
