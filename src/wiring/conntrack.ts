import type { Netlink } from "../kernel/native.js";
import { parseAddress } from "../packet/addresses.js";
import { Family } from "../packet/sightings.js";
import type { Tuple } from "../packet/tuple.js";
import { type Attributes, messages, nest, type RequestAttribute, request } from "./netlink.js";
import { Af, ipOf } from "./rtnetlink-values.js";
import type { Destination } from "./translation.js";

/** NETLINK_NETFILTER: the protocol of the socket that Conntrack asks by. */
export const NETFILTER = 12;

/**
 * Looks connections up in the kernel's table by either of their tuples (nf_conntrack_netlink.c, ctnetlink_get_conntrack).
 * Only reads. An entry outlives its last packet by seconds at least, so a path that is judged late is still found.
 */
export class Conntrack {
	readonly #netlink: Netlink;

	constructor(netlink: Netlink) {
		this.#netlink = netlink;
	}

	/** Where the packet goes after NAT; null: no such connection, or a protocol without one. */
	readonly destination = (tuple: Tuple): Destination | null => {
		const asked = connectionRequest(tuple);
		if (asked === null) return null;
		try {
			return parseConnection(this.#netlink.request(asked), tuple);
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
			throw cause;
		}
	};

	close(): void {
		this.#netlink.close();
	}
}

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const Cta = { tupleOrig: 1, tupleReply: 2 } as const;
const CtaTuple = { ip: 1, proto: 2 } as const;
const CtaIp = { v4Source: 1, v4Destination: 2, v6Source: 3, v6Destination: 4 } as const;
const CtaProto = {
	number: 1,
	sourcePort: 2,
	destinationPort: 3,
	icmpId: 4,
	icmpType: 5,
	icmpCode: 6,
	icmp6Id: 7,
	icmp6Type: 8,
	icmp6Code: 9,
} as const;
const Proto = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;

/** IPCTNL_MSG_CT_GET for a tuple, or null where connections of its protocol are not told apart by what it has. */
export function connectionRequest(tuple: Tuple): Uint8Array | null {
	const addresses = addressAttributes(tuple);
	const proto = protoAttributes(tuple);
	if (addresses === null || proto === null) return null;
	const family = tuple.family === Family.ipv6 ? Af.inet6 : Af.inet;
	// struct nfgenmsg: family, version 0, resource id 0.
	return request((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, 0, Uint8Array.of(family, 0, 0, 0), [
		nest(Cta.tupleOrig, [nest(CtaTuple.ip, addresses), nest(CtaTuple.proto, proto)]),
	]);
}

/** Of an answer: the packet's other end, as the other direction has it, is where NAT sends it. */
export function parseConnection(bytes: Uint8Array, tuple: Tuple): Destination | null {
	for (const { body } of messages(bytes)) {
		const attributes = body.attributes(4);
		const original = endOf(attributes.nested(Cta.tupleOrig));
		const reply = endOf(attributes.nested(Cta.tupleReply));
		if (original === null || reply === null) return null;
		const isOriginal =
			original.sourceIp === tuple.source &&
			original.destinationIp === tuple.destination &&
			(original.sourcePort === 0 || original.sourcePort === tuple.sourcePort);
		const other = isOriginal ? reply : original;
		return { ip: other.sourceIp, port: other.sourcePort };
	}
	return null;
}

function endOf(tuple: Attributes | null) {
	const ip = tuple?.nested(CtaTuple.ip);
	const proto = tuple?.nested(CtaTuple.proto);
	if (ip == null || proto == null) return null;
	const address = (v4: number, v6: number) => {
		const span4 = ip.span(v4);
		const span6 = ip.span(v6);
		return span4 !== null ? ipOf(span4, Af.inet) : span6 !== null ? ipOf(span6, Af.inet6) : null;
	};
	const sourceIp = address(CtaIp.v4Source, CtaIp.v6Source);
	const destinationIp = address(CtaIp.v4Destination, CtaIp.v6Destination);
	if (sourceIp === null || destinationIp === null) return null;
	const echo = proto.be16(CtaProto.icmpId) ?? proto.be16(CtaProto.icmp6Id);
	// An echo's id is no port of its destination: 0 keeps it out of comparisons.
	return { sourceIp, destinationIp, sourcePort: echo === null ? (proto.be16(CtaProto.sourcePort) ?? 0) : 0 };
}

function addressAttributes({ family, source, destination }: Tuple): readonly RequestAttribute[] | null {
	const from = source === null ? null : parseAddress(source);
	const to = destination === null ? null : parseAddress(destination);
	if (from === null || to === null) return null;
	if (family === Family.ipv4) {
		return [
			{ type: CtaIp.v4Source, payload: from.slice(12) },
			{ type: CtaIp.v4Destination, payload: to.slice(12) },
		];
	}
	if (family !== Family.ipv6) return null;
	return [
		{ type: CtaIp.v6Source, payload: from },
		{ type: CtaIp.v6Destination, payload: to },
	];
}

function protoAttributes(tuple: Tuple): readonly RequestAttribute[] | null {
	const { protocol, sourcePort, destinationPort } = tuple;
	const number = { type: CtaProto.number, payload: Uint8Array.of(protocol) };
	switch (protocol) {
		case Proto.tcp:
		case Proto.udp:
		case Proto.sctp:
			return [
				number,
				{ type: CtaProto.sourcePort, payload: be16(sourcePort) },
				{ type: CtaProto.destinationPort, payload: be16(destinationPort) },
			];
		case Proto.icmp:
			return [number, ...echo(CtaProto.icmpId, CtaProto.icmpType, CtaProto.icmpCode, tuple)];
		case Proto.icmp6:
			return [number, ...echo(CtaProto.icmp6Id, CtaProto.icmp6Type, CtaProto.icmp6Code, tuple)];
		default:
			return null;
	}
}

/** An echo's tuple has its id in the source port's place, type and code in the destination port's. */
function echo(id: number, type: number, code: number, { sourcePort, destinationPort }: Tuple): RequestAttribute[] {
	return [
		{ type: id, payload: be16(sourcePort) },
		{ type, payload: Uint8Array.of(destinationPort >> 8) },
		{ type: code, payload: Uint8Array.of(destinationPort & 0xff) },
	];
}

function be16(value: number): Uint8Array {
	return Uint8Array.of(value >> 8, value & 0xff);
}
