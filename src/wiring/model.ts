import type { Direction, HookId, NetnsCookie, Role } from "../packet/hook.js";

/** What the kernel says of one network namespace, parsed from rtnetlink dumps. Addresses in text form. */
export interface Link {
	readonly ifindex: number;
	readonly name: string;
	/** IFLA_INFO_KIND: "veth", "bridge", "vxlan", "tun", "ipip"…; null for real NICs and lo. */
	readonly kind: string | null;
	readonly address: string | null;
	readonly mtu: number;
	readonly up: boolean;
	/** IFLA_OPERSTATE, lower case: "up", "down", "lowerlayerdown", "unknown"… */
	readonly operstate: string;
	readonly carrier: boolean;
	readonly loopback: boolean;
	/** ARPHRD has no link header (tun, ipip, wireguard). */
	readonly l3: boolean;
	/** ifindex of the bridge or bond above it; null: none. */
	readonly master: number | null;
	/** IFLA_LINK: the peer's ifindex, in the namespace `peerNsid` (null: this namespace). */
	readonly peer: number | null;
	readonly peerNsid: number | null;
	readonly vxlan: Vxlan | null;
	/** As a bridge's port; null: it is none. */
	readonly port?: BridgePort | null;
	readonly altnames: readonly string[];
	readonly statistics: {
		readonly rxPackets: number;
		readonly txPackets: number;
		readonly rxBytes: number;
		readonly txBytes: number;
		readonly rxDropped: number;
		readonly txDropped: number;
	};
}

export interface Vxlan {
	readonly vni: number;
	readonly port: number;
	readonly local: string | null;
	/** ifindex of the underlay device. */
	readonly underlay: number | null;
	readonly learning: boolean;
}

export interface BridgePort {
	/** May send a frame back where it came from (`bridge link set dev X hairpin on`). */
	readonly hairpin: boolean;
	/** BR_STATE_*: 3 is forwarding. */
	readonly state: number;
	readonly learning: boolean;
}

export interface Address {
	readonly ifindex: number;
	readonly address: string;
	readonly prefix: number;
	readonly scope: number;
}

export interface Route {
	/** CIDR; "0.0.0.0/0" and "::/0" are the defaults. */
	readonly destination: string;
	readonly gateway: string | null;
	readonly ifindex: number | null;
	readonly table: number;
	/** RTN_*: 1 unicast, 2 local, 3 broadcast, 6 blackhole, 7 unreachable … */
	readonly type: number;
	readonly metric: number;
	readonly preferredSource: string | null;
	readonly onlink: boolean;
	readonly linkdown: boolean;
}

export interface Neighbour {
	readonly ifindex: number;
	readonly address: string;
	readonly mac: string | null;
	/** NUD_*: bit mask as in linux/neighbour.h. */
	readonly state: number;
}

export interface FdbEntry {
	/** The port or the tunnel device. */
	readonly ifindex: number;
	readonly mac: string;
	/** Bridge the entry belongs to (NTF_MASTER); null for `self` entries. */
	readonly master: number | null;
	/** VXLAN: the remote VTEP's address. */
	readonly destination: string | null;
	readonly state: number;
	readonly vlan: number | null;
}

/** One namespace at one moment. */
export interface Namespace {
	readonly cookie: NetnsCookie;
	readonly inode: number;
	/** A path that opens it, as found: /run/netns/x or /proc/N/ns/net. */
	readonly path: string;
	/** `ip netns` name, where it has one. */
	readonly name: string | null;
	/** Its id as seen from the node's namespace; null: never assigned. */
	readonly nsid: number | null;
	readonly links: readonly Link[];
	readonly addresses: readonly Address[];
	readonly routes: readonly Route[];
	readonly neighbours: readonly Neighbour[];
	readonly fdb: readonly FdbEntry[];
	/** net.bridge.bridge-nf-call-iptables and -ip6tables: NAT happens inside the bridge. Null or absent: not read. */
	readonly bridgeNetfilter?: { readonly ipv4: boolean; readonly ipv6: boolean } | null;
}

/** A node as the kernel shows it: its own namespace and those that hang on it. */
export interface Wiring {
	readonly node: string;
	readonly host: Namespace;
	readonly others: readonly Namespace[];
}

/** A device on the way takes less than what is sent to it, and what would repair that. */
export interface Narrow {
	/** The largest Ethernet frame of a pod's that gets through whole, bytes. */
	readonly frame: number;
	readonly reason: string;
	readonly remedy: string;
}

/** Where a packet that was seen at a hook must be seen next, if nothing goes wrong. */
export type Due =
	/** The hook is the packet's last one on this node: pod reached, or taken by the node itself. */
	| { readonly kind: "terminal" }
	/** It leaves for another node (by its VTEP or gateway) or for the outside (node null). */
	| {
			readonly kind: "leaves";
			readonly node: string | null;
			readonly address: string | null;
			/** What of it would not get there. */
			readonly narrow?: Narrow | null;
	  }
	/** One of these sees it next; `optional` ones may be passed over (cni0→e on bridged DNAT with a stale neighbour). */
	| {
			readonly kind: "next";
			readonly hooks: readonly HookId[];
			readonly optional: readonly HookId[];
			readonly expected: string;
			/**
			 * The packet is addressed to the node itself and NAT may or may not send it on: seeing it at none of
			 * `hooks` means that the node took it, which is no loss.
			 */
			readonly mayEnd?: boolean;
			/** What of it would not get there whole. */
			readonly narrow?: Narrow | null;
	  }
	/** Routes or FDB say that it goes nowhere: why, and what would repair it. */
	| { readonly kind: "nowhere"; readonly reason: string; readonly remedy: string | null }
	| { readonly kind: "unknown" };

/** A hook that weft could attach: one direction of one device. */
export interface HookPoint {
	readonly netns: NetnsCookie;
	readonly ifindex: number;
	readonly device: string;
	readonly direction: Direction;
}

/** A hook point with all that a Hook says of its device. */
export interface HookSite extends HookPoint {
	readonly role: Role;
	readonly l3: boolean;
	/** ifindex of the bridge the device is a port of; 0: none. */
	readonly master: number;
	/** The namespace, as a path to open. */
	readonly netnsPath: string;
}
