import type { BridgePort, Link, Vxlan } from "./model.js";
import type { Attributes, Span } from "./netlink.js";
import { Af, hex, ipOf } from "./rtnetlink-values.js";

/** struct ifinfomsg and its IFLA_* attributes (linux/if_link.h). */
export function link(body: Span): Link {
	const attributes = body.attributes(IFINFOMSG);
	const flags = body.u32(8);
	const info = attributes.nested(Ifla.linkinfo);
	const kind = info?.text(Info.kind) ?? null;
	const operstate = attributes.u8(Ifla.operstate) ?? 0;
	return {
		ifindex: body.s32(4),
		name: attributes.text(Ifla.ifname) ?? "",
		kind,
		address: hex(attributes.span(Ifla.address)),
		mtu: attributes.u32(Ifla.mtu) ?? 0,
		up: (flags & Iff.up) !== 0,
		operstate: OPERSTATES[operstate] ?? `state ${operstate}`,
		carrier: attributes.u8(Ifla.carrier) === 1,
		loopback: (flags & Iff.loopback) !== 0,
		l3: !WITH_LINK_HEADER.has(body.u16(2)),
		master: attributes.u32(Ifla.master),
		// 0 where a tunnel is bound to no device (ip_tunnel.c, ip_tunnel_get_iflink).
		peer: attributes.u32(Ifla.link) || null,
		peerNsid: attributes.s32(Ifla.linkNetnsid),
		vxlan: kind === "vxlan" ? vxlan(info?.nested(Info.data) ?? null) : null,
		port: info?.text(Info.slaveKind) === "bridge" ? port(info.nested(Info.slaveData)) : null,
		altnames: (attributes.span(Ifla.propList)?.repeated(Ifla.altIfname) ?? []).map((name) => name.text()),
		statistics: statistics(attributes.span(Ifla.stats64)),
	};
}

const Ifla = {
	address: 1,
	ifname: 3,
	mtu: 4,
	link: 5,
	master: 10,
	protinfo: 12,
	operstate: 16,
	linkinfo: 18,
	stats64: 23,
	carrier: 33,
	linkNetnsid: 37,
	propList: 52,
	altIfname: 53,
} as const;
const Info = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;
const Iff = { up: 0x1, loopback: 0x8 } as const;
/** Of an AF_BRIDGE message: how a port forwards now. It comes after the link's own message, so that has it wrong. */
export function portChange(body: Span): BridgePort | null {
	const info = body.attributes(IFINFOMSG).nested(Ifla.protinfo);
	return info?.span(PortInfo.state) == null ? null : port(info);
}

const IFINFOMSG = 16;
/** IF_OPER_* (RFC 2863). */
const OPERSTATES = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
/** ARPHRD_ETHER, ARPHRD_LOOPBACK (which carries an Ethernet header), ARPHRD_IEEE802. */
const WITH_LINK_HEADER = new Set([1, 772, 6]);

const VxlanInfo = { id: 1, link: 3, local: 4, learning: 7, port: 15, local6: 17 } as const;

function vxlan(data: Attributes | null): Vxlan | null {
	if (data === null) return null;
	const local = data.span(VxlanInfo.local);
	const local6 = data.span(VxlanInfo.local6);
	return {
		vni: data.u32(VxlanInfo.id) ?? 0,
		port: data.be16(VxlanInfo.port) ?? 0,
		local: local !== null ? ipOf(local, Af.inet) : local6 !== null ? ipOf(local6, Af.inet6) : null,
		underlay: data.u32(VxlanInfo.link) || null,
		learning: data.u8(VxlanInfo.learning) === 1,
	};
}

const PortInfo = { state: 1, mode: 4, learning: 8 } as const;

function port(data: Attributes | null): BridgePort | null {
	if (data === null) return null;
	return {
		state: data.u8(PortInfo.state) ?? 0,
		hairpin: data.u8(PortInfo.mode) === 1,
		learning: data.u8(PortInfo.learning) === 1,
	};
}

/** struct rtnl_link_stats64: u64 each; newer kernels append. */
function statistics(span: Span | null): Link["statistics"] {
	const at = (field: number) => span?.u64(field * 8) ?? 0;
	return {
		rxPackets: at(0),
		txPackets: at(1),
		rxBytes: at(2),
		txBytes: at(3),
		rxDropped: at(6),
		txDropped: at(7),
	};
}
