import type { KernelDrop } from "../kernel/drops.js";
import { EventFlag } from "../packet/sightings.js";
import type { Due } from "../wiring/model.js";
import { tunnelNarrow } from "../wiring/mtu.js";
import type { WiringView } from "../wiring/view.js";
import { isCutting, plainFunction } from "./consumed.js";
import type { BlamedRule } from "./firewall.js";
import type { DropHop } from "./last-hop.js";

/** What became of a packet, in words for a person. `diagnosis` is one of few: it can be counted by. */
export interface Diagnosis {
	readonly diagnosis: string;
	readonly explanation: string;
	readonly remedy: string | null;
}

/** What is known besides the kernel's own words. */
export interface DropContext {
	readonly view: WiringView;
	readonly hop: DropHop | null;
	/** Where the node's tables would send it from there. */
	readonly due: Due;
	/** The firewall rule that matches it best; null: none that is known. */
	readonly rule: BlamedRule | null;
}

/**
 * Why a packet was thrown away. The kernel's reasons mislead (TTL exceeded is IP_INHDR; a missing FDB entry and a link
 * that is down are both NO_TX_TARGET), so reason, function and the node's tables are read together. Null: it was no drop
 * after all, as a copy that a bridge flooded to somebody else.
 */
export function diagnose(drop: KernelDrop, context: DropContext): Diagnosis | null {
	const byTables = fromTables(drop, context);
	switch (drop.reason) {
		case "NETFILTER_DROP":
			return firewall(drop, context);
		case "OTHERHOST":
			// A bridge floods what is for a MAC that it does not know: the addressee's port is down, or just forgotten.
			return byTables;
		case "IP_INHDR":
			return header(drop);
		case "NO_SOCKET":
			return closedPort(drop, context);
		default:
			return byTables ?? tooBig(drop, context) ?? byReason(drop) ?? byFunction(drop);
	}
}

/** Chain of the filter table that a packet passes. */
export type Chain = "INPUT" | "FORWARD" | "OUTPUT";

export function chainOf(drop: KernelDrop, view: WiringView): Chain {
	if (drop.ingressIfindex === 0) return "OUTPUT";
	const namespace = view.namespace(drop.netns);
	return drop.destination !== null && namespace?.isLocal(drop.destination) === true ? "INPUT" : "FORWARD";
}

function firewall(drop: KernelDrop, { view, rule: blamed }: DropContext): Diagnosis {
	const chain = chainOf(drop, view);
	const pod = drop.netns === view.wiring.host.cookie ? null : (view.namespace(drop.netns)?.namespace.name ?? null);
	const where = pod === null ? "" : ` in ${pod}`;
	const enter = pod === null ? "" : `ip netns exec ${pod} `;
	if (blamed === null) {
		return {
			diagnosis: `firewall drops it in ${chain}`,
			explanation: `a DROP rule or policy of iptables or nftables${where}: a network policy, Docker's policy for FORWARD, or a host firewall`,
			remedy: `${enter}iptables-save -c | grep -E 'DROP|^:${chain}'; ${enter}nft list ruleset | grep -n drop`,
		};
	}
	const { rule, certain } = blamed;
	const what = `${certain ? "the" : "most likely the"} ${rule.policy ? "policy" : "rule"}`;
	const invalid = /INVALID|ct state invalid/.test(rule.text)
		? "; conntrack finds it INVALID: a bad checksum, or no connection that it belongs to"
		: "";
	return {
		diagnosis: `${rule.tool} drops it in ${chain}`,
		explanation: `${what}${where}: ${rule.text}${invalid}`,
		remedy: rule.remedy === null ? null : `${enter}${rule.remedy}`,
	};
}

/** Of an IPv4 header that the kernel did not like. */
function header(drop: KernelDrop): Diagnosis {
	if (drop.ttl <= 1 && /^ip6?_(mr_)?forward|^ip6_forward/.test(plainFunction(drop.function))) {
		return {
			diagnosis: "TTL exceeded",
			explanation: "each routed hop takes one off the TTL, and this one had none left: a routing loop, or traceroute",
			remedy: drop.destination === null ? null : `tracepath -n ${drop.destination}`,
		};
	}
	// Version and lengths agree, as far as weft can tell: what remains to be wrong is the checksum.
	return drop.flags >> EventFlag.parseShift === 0 ? CHECKSUM : MALFORMED;
}

function closedPort(drop: KernelDrop, { view }: DropContext): Diagnosis {
	const { protocol, destinationPort, netns } = drop;
	const name = view.namespace(netns)?.namespace.name ?? null;
	const enter = netns === view.wiring.host.cookie || name === null ? "" : `ip netns exec ${name} `;
	const what = protocol === 6 ? "tcp" : protocol === 17 ? "udp" : `protocol ${protocol}`;
	return {
		diagnosis: "closed port",
		explanation: `nobody listens on ${what} ${destinationPort} there: the process is not up, listens on another port, or on 127.0.0.1 only`,
		remedy: `${enter}ss -ln${protocol === 6 ? "t" : "u"}p`,
	};
}

/** Reasons behind which there may be a hole in the node's tables. */
const MAY_BE_TABLES =
	/^(NO_TX_TARGET|OTHERHOST|NOT_SPECIFIED|DEV_READY|IP_(IN|OUT)NOROUTES|IP_INADDRERRORS|NEIGH_\w+|UNICAST_IN_L2_MULTICAST)$/;

/** What the node's links, routes, neighbours and FDB say of the packet's way. */
function fromTables(drop: KernelDrop, { due, view }: DropContext): Diagnosis | null {
	if (due.kind !== "nowhere" || !MAY_BE_TABLES.test(drop.reason)) return null;
	const { reason, remedy } = due;
	const cause = TABLES.find(({ words }) => words.test(reason));
	if (cause === undefined) return { diagnosis: reason, explanation: reason, remedy };
	const device = / is down$/.test(reason) ? reason.split(" ")[0] : undefined;
	const veth = view.wiring.host.links.some((link) => link.name === device && view.role(link.ifindex) === "pod");
	return { diagnosis: veth ? "host veth down" : cause.diagnosis, explanation: `${reason}: ${cause.why}`, remedy };
}

const TABLES: readonly { readonly words: RegExp; readonly diagnosis: string; readonly why: string }[] = [
	{
		words: /^no FDB entry/,
		diagnosis: "no FDB entry",
		why: "flannel has not told the kernel at which node that VTEP is, or somebody removed it",
	},
	{
		words: /^no neighbour entry/,
		diagnosis: "no neighbour entry",
		why: "flannel has not told the kernel that VTEP's MAC, or somebody removed it",
	},
	{
		words: /^no route|^the route to/,
		diagnosis: "no route",
		why: "flannel adds one for every other node's pods; is flanneld running, and is the address in the cluster?",
	},
	{
		words: /in the pod, is down$/,
		diagnosis: "pod link down",
		why: "somebody inside took it down, or the pod is being torn down",
	},
	{ words: / is down$/, diagnosis: "link down", why: "somebody took it down, or its pod is being torn down" },
	{ words: /no carrier$/, diagnosis: "link down", why: "the other end is down" },
	{
		words: /hairpin is off$/,
		diagnosis: "hairpin off",
		why: "a pod that reaches itself through its service needs hairpinMode of the bridge plugin",
	},
	{
		words: /does not answer|^no pod behind/,
		diagnosis: "neighbour does not answer",
		why: "the pod is gone, or its interface is down",
	},
];

const CHECKSUM: Diagnosis = {
	diagnosis: "bad checksum",
	explanation:
		"its checksum is wrong: broken offloading of a NIC or of flannel.1, or a sender that makes its own packets",
	remedy: "ethtool -K flannel.1 tx-checksum-ip-generic off",
};

const MALFORMED: Diagnosis = {
	diagnosis: "malformed header",
	explanation: "its header contradicts itself: version, header length or total length",
	remedy: null,
};

const RP_FILTER: Diagnosis = {
	diagnosis: "reverse path filter",
	explanation:
		"an answer to its source would leave by another device: an address that is not the pod's own, or a route that is missing",
	remedy: "sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.cni0.rp_filter; ip route get SOURCE",
};

const BUFFER: Diagnosis = {
	diagnosis: "socket buffer full",
	explanation: "the process reads more slowly than packets come in, and its socket's receive buffer is full",
	remedy: "sysctl -w net.core.rmem_max=… and SO_RCVBUF of the process; ss -uamn shows the drops of each socket",
};

const TOO_BIG: Diagnosis = {
	diagnosis: "larger than the MTU",
	explanation:
		"it may not be fragmented (DF) and the next device's MTU is smaller; VXLAN takes 50 bytes of the underlay's",
	remedy: "ip link show flannel.1; the pods' MTU is FLANNEL_MTU in /run/flannel/subnet.env",
};

/** Where the kernel says so, and where it throws away without a word what it may not cut. */
function tooBig(drop: KernelDrop, { due, view }: DropContext): Diagnosis | null {
	const cut = drop.reason === "NOT_SPECIFIED" && isCutting(drop);
	if (drop.reason !== "PKT_TOO_BIG" && !cut) return null;
	const out = drop.destination === null ? null : view.host.link(view.host.lookup(drop.destination)?.ifindex ?? null);
	const underlay = view.host.link(out?.vxlan?.underlay ?? null);
	const ahead = due.kind === "next" ? (due.narrow ?? null) : null;
	const narrow = ahead ?? (out === null ? null : tunnelNarrow(out, underlay));
	if (narrow !== null) {
		const explanation = `${narrow.reason}: what is too large with the outer headers is cut in two or thrown away`;
		return { ...TOO_BIG, explanation, remedy: narrow.remedy };
	}
	const [veth] = drop.source === null ? [] : view.vethsByAddress(drop.source);
	if (out === null || veth === undefined || veth.mtu <= out.mtu) return TOO_BIG;
	const explanation = `${out.name}'s MTU of ${out.mtu} is less than the pods' ${veth.mtu} (FLANNEL_MTU), and it may not be fragmented (DF)`;
	const room = tunnelNarrow({ ...out, mtu: veth.mtu }, underlay);
	return room === null ? { ...TOO_BIG, explanation, remedy: `ip link set ${out.name} mtu ${veth.mtu}` } : TOO_BIG;
}

const SILENT: Diagnosis = {
	diagnosis: "neighbour does not answer",
	explanation:
		"nobody answers ARP or neighbour solicitation for the address: the pod is gone, its interface is down, or flannel's permanent entry is missing",
	remedy: "ip neigh show nud failed; ip neigh show nud incomplete",
};

const NO_ROUTE: Diagnosis = {
	diagnosis: "no route",
	explanation: "no route leads to its destination, or forwarding is off; flannel adds one for every other node's pods",
	remedy: "ip route; sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
};

const QUEUE: Diagnosis = {
	diagnosis: "queue full",
	explanation: "a qdisc or backlog had no room: more is sent than the device, its shaper or the CPU takes",
	remedy: "tc -s qdisc; cat /proc/net/softnet_stat",
};

const CLOSED: Diagnosis = {
	diagnosis: "connection closed early",
	explanation: "data for a connection that its process has closed, or closed without having read everything",
	remedy: null,
};

const TCP: Diagnosis = {
	diagnosis: "not of this connection",
	explanation: "TCP refused the segment: sequence, acknowledgement, window or timestamp do not fit",
	remedy: "nstat -az 'Tcp*' ",
};

const LISTEN: Diagnosis = {
	diagnosis: "accept queue full",
	explanation: "the process accepts more slowly than connections come in",
	remedy: "ss -lnt shows Recv-Q beside its limit; sysctl net.core.somaxconn",
};

const REASONS: readonly (readonly [RegExp, Diagnosis])[] = [
	[/^(IP|TCP|UDP|ICMP|SKB)_CSUM$/, CHECKSUM],
	[/^IP_RPFILTER$/, RP_FILTER],
	[/^(SOCKET_RCVBUFF|PROTO_MEM)$/, BUFFER],
	[/^PKT_TOO_BIG$/, TOO_BIG],
	[/^NEIGH_/, SILENT],
	[/^IP_(IN|OUT)NOROUTES$|^IP_INADDRERRORS$/, NO_ROUTE],
	[/^(QDISC_\w+|CPU_BACKLOG|SOCKET_BACKLOG|FULL_RING|FQ_\w+|CAKE_\w+|DUALPI2_\w+)$/, QUEUE],
	[/^TCP_(ABORT_ON_DATA|FLAGS)$/, CLOSED],
	[/^TCP_LISTEN_OVERFLOW$/, LISTEN],
	[/^TCP_/, TCP],
	[/^(HDR_TRUNC|PKT_TOO_SMALL|IPV6_BAD_EXTHDR|IP_NOPROTO)$/, MALFORMED],
];

function byReason({ reason }: KernelDrop): Diagnosis | null {
	return REASONS.find(([words]) => words.test(reason))?.[1] ?? null;
}

/** Where the kernel gives no reason of its own. */
function byFunction({ reason, function: name }: KernelDrop): Diagnosis | null {
	const called = plainFunction(name);
	if (/^(ip_error|ip6_pkt_drop|ip6_pkt_discard)$/.test(called)) return NO_ROUTE;
	if (reason === "NO_TX_TARGET" && called.startsWith("vxlan")) {
		return {
			diagnosis: "no FDB entry",
			explanation: "the tunnel does not know at which node the destination's VTEP is",
			remedy: "bridge fdb show dev flannel.1",
		};
	}
	if (reason === "NO_TX_TARGET") {
		return {
			diagnosis: "link down",
			explanation: "no port of the bridge leads there: the pod's veth is down or gone",
			remedy: "bridge link; ip -br link",
		};
	}
	return {
		diagnosis: reason.toLowerCase().replaceAll("_", " "),
		explanation: `thrown away in ${called}`,
		remedy: null,
	};
}
