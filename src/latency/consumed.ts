import type { KernelDrop } from "../kernel/drops.js";
import { Family } from "../packet/sightings.js";

/**
 * The kernel frees with "drop" what nobody lost: copies that were not for the receiver, packets that did their duty, what
 * was still queued when a socket closed. Only what remains is a drop.
 */
export function isConsumed(drop: KernelDrop): boolean {
	const { reason, protocol } = drop;
	if (CONSUMED.has(reason) || isForMany(drop)) return true;
	// Whoever listens for ICMP has had its copy: ping uses raw sockets, errors without a socket concern nobody.
	if (reason === "NO_SOCKET") return protocol === ICMP || protocol === ICMPV6;
	return reason === "NOT_SPECIFIED" && !isKnownToDrop(drop.function);
}

/** Does it cut packets for a device's MTU? What it throws away there may not be cut. */
export function isCutting(drop: Pick<KernelDrop, "function">): boolean {
	return /^ip6?_(do_)?fragment$/.test(plainFunction(drop.function));
}

/** What the compiler made of a function is no name of its own: ip_forward.cold, tcp_v4_rcv.isra.0. */
export function plainFunction(name: string | null): string {
	return name?.replace(/\..*$/, "") ?? "";
}

const ICMP = 1;
const ICMPV6 = 58;

const CONSUMED: ReadonlySet<string> = new Set([
	...["CONSUMED", "NOT_DROPPED_YET", "SOCKET_CLOSE", "QUEUE_PURGE", "SOCKET_FILTER", "PACKET_SOCK_ERROR"],
	...["UNHANDLED_PROTO", "IPV6DISABLED", "UNIX_DISCONNECT", "UNIX_SKIP_OOB", "LOCAL_MAC", "DUP_FRAG"],
	// TCP throws away what it has already, and what ends a connection.
	...["TCP_RESET", "TCP_CLOSE", "TCP_OLD_DATA", "TCP_OLD_ACK", "TCP_TOO_OLD_ACK", "TCP_OLD_SEQUENCE"],
	...["TCP_OFOMERGE", "TCP_FASTOPEN", "TCP_RFC7323_PAWS_ACK"],
	// IPv6 neighbour discovery: for somebody else.
	...["IPV6_NDISC_NS_OTHERHOST"],
]);

/**
 * Multicast, broadcast and ARP reach everybody, and are thrown away by all who did not ask. On a tunnel without a default
 * destination that is the fate of all of them.
 */
function isForMany({ flags, destination }: KernelDrop): boolean {
	if ((flags & Family.arp) === Family.arp) return true;
	if (destination === null) return false;
	return /^ff/i.test(destination) || /^(22[4-9]|23\d|255)\./.test(destination);
}

/** Functions that free without a reason only what gets lost by it. All others do so with what they have dealt with. */
function isKnownToDrop(name: string | null): boolean {
	return DROPPING.test(plainFunction(name));
}

const DROPPING =
	/^(ip_error|ip6_pkt_(drop|discard)|ip6?_forward|ip6?_(do_)?fragment|ip6?_finish_output|ip_rcv|ip_local_deliver|br_|veth_|vxlan_|maybe_deliver|deliver_clone|dev_hard_start_xmit|__dev_queue_xmit|__dev_direct_xmit|validate_xmit|neigh_|arp_error|nf_hook_slow|nft_do_chain|ipt_do_table|ip6t_do_table)/;
