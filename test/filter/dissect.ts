import { Family } from "../../src/packet/sightings.js";
import type { Packet } from "./packet.js";

/** A plain reading of an Ethernet frame, apart from the kernel's parser, for the oracle alone. */
export function dissect(frame: Buffer): Packet {
	let at = 12;
	let vlan: number | null = null;
	while (frame.readUInt16BE(at) === 0x8100) {
		vlan ??= frame.readUInt16BE(at + 2) & 0xfff;
		at += 4;
	}
	const ethertype = frame.readUInt16BE(at);
	const base = { ...NONE, length: frame.length, vlan };
	const network = frame.subarray(at + 2);
	if (ethertype === 0x0800) return { ...base, ...dissectIpv4(network) };
	if (ethertype === 0x86dd) return { ...base, ...dissectIpv6(network) };
	if (ethertype === 0x0806) {
		const addresses = { source: mapped(network, 14), destination: mapped(network, 24) };
		return { ...base, family: Family.arp, ...addresses, destinationPort: network.readUInt16BE(6) };
	}
	return { ...base, sourcePort: ethertype };
}

function dissectIpv4(packet: Buffer): Partial<Packet> {
	const fragment = packet.readUInt16BE(6);
	const offset = (fragment & 0x1fff) * 8;
	const protocol = packet[9] ?? 0;
	return {
		family: Family.ipv4,
		protocol,
		source: mapped(packet, 12),
		destination: mapped(packet, 16),
		ttl: packet[8] ?? 0,
		ipId: packet.readUInt16BE(4),
		moreFragments: (fragment & 0x2000) !== 0,
		...(offset > 0
			? { laterFragment: true, sequence: offset }
			: dissectTransport(protocol, packet.subarray(((packet[0] ?? 0) & 15) * 4))),
	};
}

function dissectIpv6(packet: Buffer): Partial<Packet> {
	let next = packet[6] ?? 0;
	let at = 40;
	let fragment = 0;
	while (next === 0 || next === 43 || next === 44 || next === 60) {
		if (next === 44) fragment = packet.readUInt16BE(at + 2);
		const length = next === 44 ? 8 : ((packet[at + 1] ?? 0) + 1) * 8;
		next = packet[at] ?? 0;
		at += length;
	}
	const offset = fragment & 0xfff8;
	return {
		family: Family.ipv6,
		protocol: next,
		source: packet.subarray(8, 24),
		destination: packet.subarray(24, 40),
		ttl: packet[7] ?? 0,
		moreFragments: (fragment & 1) !== 0,
		...(offset > 0 ? { laterFragment: true, sequence: offset } : dissectTransport(next, packet.subarray(at))),
	};
}

function dissectTransport(protocol: number, segment: Buffer): Partial<Packet> {
	if (protocol === 1 || protocol === 58) {
		return { hasPorts: true, sourcePort: segment.readUInt16BE(4), destinationPort: segment.readUInt16BE(0) };
	}
	if (protocol !== 6 && protocol !== 17 && protocol !== 132) return {};
	const ports = { hasPorts: true, sourcePort: segment.readUInt16BE(0), destinationPort: segment.readUInt16BE(2) };
	if (protocol !== 6) return ports;
	return {
		...ports,
		sequence: segment.readUInt32BE(4),
		acknowledgement: segment.readUInt32BE(8),
		tcpFlags: segment[13] ?? 0,
		window: segment.readUInt16BE(14),
	};
}

function mapped(bytes: Buffer, at: number): Uint8Array {
	const address = new Uint8Array(16);
	address.set([255, 255], 10);
	address.set(bytes.subarray(at, at + 4), 12);
	return address;
}

const NONE: Packet = {
	ifindex: 1,
	family: Family.other,
	protocol: 0,
	source: new Uint8Array(16),
	destination: new Uint8Array(16),
	sourcePort: 0,
	destinationPort: 0,
	hasPorts: false,
	laterFragment: false,
	moreFragments: false,
	length: 0,
	vlan: null,
	tcpFlags: 0,
	ttl: 0,
	sequence: 0,
	acknowledgement: 0,
	window: 0,
	ipId: 0,
};
