/**
 * What rtnetlink says (linux/rtnetlink.h, if_link.h, neighbour.h), as the types of model.ts. Pure: bytes in, values
 * out; a malformed message throws NetlinkFormatError.
 */

import type { Address, BridgePort, FdbEntry, Link, Neighbour, Route } from "./model.js";
import { type Attributes, Control, messages, NetlinkFormatError, type NetlinkMessage, type Span } from "./netlink.js";
import { link, portChange } from "./rtnetlink-link.js";
import { Af, hex, ipOf, Rtm } from "./rtnetlink-values.js";

/** One change or one row of a dump. `ignored`: a message that tells of nothing we model. */
export type Rtnetlink =
	| { readonly kind: "link"; readonly gone: boolean; readonly link: Link }
	/** The bridge's side of a link. */
	| { readonly kind: "port"; readonly ifindex: number; readonly port: BridgePort }
	| { readonly kind: "address"; readonly gone: boolean; readonly address: Address }
	| { readonly kind: "route"; readonly gone: boolean; readonly routes: readonly Route[] }
	| { readonly kind: "neighbour"; readonly gone: boolean; readonly neighbour: Neighbour }
	| { readonly kind: "fdb"; readonly gone: boolean; readonly entry: FdbEntry }
	| { readonly kind: "nsid"; readonly gone: boolean; readonly nsid: number }
	| { readonly kind: "ignored" };

const IGNORED: Rtnetlink = { kind: "ignored" };

/** All messages of a buffer, parsed. */
export function* parse(bytes: Uint8Array): Generator<Rtnetlink> {
	for (const message of messages(bytes)) yield parseMessage(message);
}

function parseMessage({ type, body }: NetlinkMessage): Rtnetlink {
	switch (type) {
		case Rtm.newLink:
		case Rtm.delLink:
			// A port that leaves a bridge is told as RTM_DELLINK of family AF_BRIDGE (br_netlink.c, br_ifinfo_notify):
			// the link itself is still there. IPv6 tells RTM_NEWLINK of its own settings the same way.
			if (body.u8(0) === Af.bridge && type === Rtm.newLink) return portOf(body);
			if (body.u8(0) !== Af.unspecified) return IGNORED;
			return { kind: "link", gone: type === Rtm.delLink, link: link(body) };
		case Rtm.newAddress:
		case Rtm.delAddress: {
			const found = address(body);
			return found === null ? IGNORED : { kind: "address", gone: type === Rtm.delAddress, address: found };
		}
		case Rtm.newRoute:
		case Rtm.delRoute: {
			const found = routes(body);
			return found === null ? IGNORED : { kind: "route", gone: type === Rtm.delRoute, routes: found };
		}
		case Rtm.newNeighbour:
		case Rtm.delNeighbour:
			return neighbour(body, type === Rtm.delNeighbour);
		case Rtm.newNsid:
		case Rtm.delNsid: {
			const nsid = body.attributes(4).s32(Netnsa.nsid);
			return nsid === null ? IGNORED : { kind: "nsid", gone: type === Rtm.delNsid, nsid };
		}
		case Control.error:
		case Control.overrun:
			throw new NetlinkFormatError(`an error message (${type}) inside an answer`, 0);
		default:
			return IGNORED;
	}
}

function portOf(body: Span): Rtnetlink {
	const port = portChange(body);
	return port === null ? IGNORED : { kind: "port", ifindex: body.s32(4), port };
}

const Netnsa = { nsid: 1 } as const;
const Ifa = { address: 1, local: 2 } as const;
const IFADDRMSG = 8;

function address(body: Span): Address | null {
	const family = body.u8(0);
	if (family !== Af.inet && family !== Af.inet6) return null;
	const attributes = body.attributes(IFADDRMSG);
	// On a point-to-point link IFA_ADDRESS is the peer's, IFA_LOCAL ours; IPv6 mostly has IFA_ADDRESS alone.
	const own = ip(attributes, Ifa.local, family) ?? ip(attributes, Ifa.address, family);
	if (own === null) return null;
	return { ifindex: body.s32(4), address: own, prefix: body.u8(1), scope: body.u8(3) };
}

const Rta = { destination: 1, oif: 4, gateway: 5, priority: 6, preferredSource: 7, multipath: 9, table: 15, via: 18 };
const RTMSG = 12;
const RTM_F_CLONED = 0x200;
const Rtnh = { onlink: 4, linkdown: 16 } as const;

/** One row per next hop; null: no unicast family, or a cached exception (PMTU) that is no entry of a table. */
function routes(body: Span): Route[] | null {
	const family = body.u8(0);
	const flags = body.u32(8);
	if ((family !== Af.inet && family !== Af.inet6) || (flags & RTM_F_CLONED) !== 0) return null;
	const attributes = body.attributes(RTMSG);
	const destination = ip(attributes, Rta.destination, family) ?? (family === Af.inet ? "0.0.0.0" : "::");
	const common = {
		destination: `${destination}/${body.u8(1)}`,
		table: attributes.u32(Rta.table) ?? body.u8(4),
		type: body.u8(7),
		metric: attributes.u32(Rta.priority) ?? 0,
		preferredSource: ip(attributes, Rta.preferredSource, family),
	};
	const multipath = attributes.span(Rta.multipath);
	if (multipath !== null) return nexthops(multipath, family).map((hop) => ({ ...common, ...hop }));
	return [{ ...common, ...nexthop(attributes, attributes.u32(Rta.oif), flags, family) }];
}

const RTNEXTHOP = 8;

function nexthops(multipath: Span, family: number): ReturnType<typeof nexthop>[] {
	const found: ReturnType<typeof nexthop>[] = [];
	for (let at = 0; at < multipath.length; ) {
		const length = multipath.u16(at);
		if (length < RTNEXTHOP) throw new NetlinkFormatError(`a next hop of ${length} bytes`, at);
		const hop = multipath.slice(at, at + length);
		found.push(nexthop(hop.attributes(RTNEXTHOP), hop.u32(4), hop.u8(2), family));
		at += (length + 3) & ~3;
	}
	return found;
}

function nexthop(attributes: Attributes, ifindex: number | null, flags: number, family: number) {
	return {
		gateway: ip(attributes, Rta.gateway, family) ?? via(attributes),
		ifindex,
		onlink: (flags & Rtnh.onlink) !== 0,
		linkdown: (flags & Rtnh.linkdown) !== 0,
	};
}

/** RTA_VIA: a gateway of another family than the route's (RFC 5549): u16 family, then the address. */
function via(attributes: Attributes): string | null {
	const span = attributes.span(Rta.via);
	return span === null ? null : ipOf(span.slice(2, span.length), span.u16(0));
}

const Nda = { destination: 1, lladdr: 2, vlan: 5, master: 9 } as const;
const NDMSG = 12;

function neighbour(body: Span, gone: boolean): Rtnetlink {
	const family = body.u8(0);
	const attributes = body.attributes(NDMSG);
	const ifindex = body.s32(4);
	const state = body.u16(8);
	const mac = hex(attributes.span(Nda.lladdr));
	if (family === Af.bridge) {
		if (mac === null) return IGNORED;
		const destination = attributes.span(Nda.destination);
		return {
			kind: "fdb",
			gone,
			entry: {
				ifindex,
				mac,
				master: attributes.u32(Nda.master),
				destination: destination === null ? null : ipOf(destination, destination.length === 4 ? Af.inet : Af.inet6),
				state,
				vlan: attributes.u16(Nda.vlan),
			},
		};
	}
	const text = ip(attributes, Nda.destination, family);
	if (text === null) return IGNORED;
	return { kind: "neighbour", gone, neighbour: { ifindex, address: text, mac, state } };
}

function ip(attributes: Attributes, type: number, family: number): string | null {
	const span = attributes.span(type);
	return span === null ? null : ipOf(span, family);
}
