import type { Hook } from "../packet/hook.js";
import { Family, TcpFlag } from "../packet/sightings.js";
import type { Outer, Tuple } from "../packet/tuple.js";
import type { Endpoint, Hop, OuterHeader, PacketSummary, Path } from "./path.js";
import type { JoinedHop, JoinedPath } from "./path-view.js";

/** What a JoinedPath does not hold itself. */
export interface Surroundings {
	/** Makes ids unique among traces; the path's serial follows it. */
	readonly idPrefix: string;
	/** Wall clock at 0 of the joiner's line, ns since 1970. */
	readonly wallClockBase: bigint;
	readonly hook: (id: number) => Hook;
	/** The tunnel device's own end at a hook, for the half of the outer header that is not on the wire's far end. */
	readonly tunnelAddress?: (hook: Hook, peer: string) => string | null;
}

/** The path as JSON shows it. Names are null: identity/ knows them. */
export function materialise(path: JoinedPath, around: Surroundings): Path {
	const first = path.hops[0];
	const last = path.hops.at(-1);
	return {
		type: "path",
		id: `${around.idPrefix}${path.serial.toString(36)}`,
		revision: path.revision,
		flow: {
			protocol: protocolOf(first?.tuple ?? null),
			source: endpoint(first?.tuple ?? null, "source"),
			destination: endpoint((last ?? first)?.tuple ?? null, "destination"),
			service: null,
		},
		packet: packetOf(path),
		hops: path.hops.map((hop, n) => hopOf(hop, path.hops[n - 1] ?? hop, around)),
		verdict: path.verdict,
		evidence: path.evidence,
		blame: path.blame,
		latencyNs: Math.round(path.latencyNs),
		clockErrorNs: Math.round(path.clockErrorNs),
	};
}

function hopOf(hop: JoinedHop, previous: JoinedHop, around: Surroundings): Hop {
	const hook = around.hook(hop.hook);
	return {
		node: hook.node,
		device: hook.device,
		ifindex: hook.ifindex,
		direction: hook.direction,
		role: hook.role,
		first: wallClock(around.wallClockBase, hop.first),
		last: wallClock(around.wallClockBase, hop.last),
		sincePreviousNs: Math.round(hop.first - previous.first),
		packets: hop.packets,
		bytes: hop.bytes,
		source: face(hop.tuple, "source"),
		destination: face(hop.tuple, "destination"),
		outer: hop.outer === null ? null : outerHeader(hop.outer, hook, around),
		branch: hop.branch,
	};
}

function outerHeader(outer: Outer, hook: Hook, around: Surroundings): OuterHeader {
	const own = around.tunnelAddress?.(hook, outer.peer) ?? null;
	return hook.direction === "ingress"
		? { source: outer.peer, destination: own, vni: outer.vni }
		: { source: own, destination: outer.peer, vni: outer.vni };
}

/** RFC 3339 with nanoseconds. @param ns on the joiner's line */
export function wallClock(base: bigint, ns: number): string {
	const total = base + BigInt(Math.round(ns));
	const ms = total / 1_000_000n;
	const rest = total % 1_000_000_000n;
	return `${new Date(Number(ms)).toISOString().slice(0, 19)}.${rest.toString().padStart(9, "0")}Z`;
}

const TCP = 6;
const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };

/** The name that JSON and text use: tcp, udp, icmp, icmpv6, sctp, arp, or the number. */
export function protocolOf(tuple: Tuple | null): string {
	if (tuple === null) return "other";
	if (tuple.family === Family.arp) return "arp";
	if (tuple.family === Family.other) return `0x${tuple.sourcePort.toString(16).padStart(4, "0")}`;
	return PROTOCOLS[tuple.protocol] ?? String(tuple.protocol);
}

function hasPorts(tuple: Tuple): boolean {
	return (tuple.family === Family.ipv4 || tuple.family === Family.ipv6) && [6, 17, 132].includes(tuple.protocol);
}

function endpoint(tuple: Tuple | null, end: "source" | "destination"): Endpoint {
	const port = tuple === null || !hasPorts(tuple) ? null : end === "source" ? tuple.sourcePort : tuple.destinationPort;
	return { ip: tuple?.[end] ?? null, port, namespace: null, pod: null, node: null };
}

/** address:port, [address]:port or the bare address, as tcpdump's users expect. */
export function face(tuple: Tuple, end: "source" | "destination"): string | null {
	const address = tuple[end];
	if (address === null || !hasPorts(tuple)) return address;
	const port = end === "source" ? tuple.sourcePort : tuple.destinationPort;
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function packetOf(path: JoinedPath): PacketSummary {
	const tuple = path.hops[0]?.tuple;
	const ip = tuple?.family === Family.ipv4 || tuple?.family === Family.ipv6;
	const tcp = ip && tuple?.protocol === TCP;
	const echo = ip && (tuple?.protocol === 1 || tuple?.protocol === 58);
	return {
		ipId: tuple?.family === Family.ipv4 ? path.ipId : null,
		seq: tcp || echo ? path.sequence : null,
		ack: tcp && (path.tcpFlags & TcpFlag.ack) !== 0 ? path.acknowledgement : null,
		flags: tcp ? flagLetters(path.tcpFlags) : null,
		length: path.length,
		payload: path.payload,
		// Of an ICMP tuple the destination port is type << 8 | code.
		icmp: echo ? { type: tuple.destinationPort >>> 8, code: tuple.destinationPort & 0xff } : null,
	};
}

const LETTERS: readonly (readonly [number, string])[] = [
	[TcpFlag.syn, "S"],
	[TcpFlag.fin, "F"],
	[TcpFlag.rst, "R"],
	[TcpFlag.psh, "P"],
	[TcpFlag.ack, "A"],
	[TcpFlag.urg, "U"],
	[TcpFlag.ece, "E"],
	[TcpFlag.cwr, "W"],
];

/** S F R P A U E W, in this order. */
export function flagLetters(flags: number): string {
	return LETTERS.filter(([bit]) => (flags & bit) !== 0)
		.map(([, letter]) => letter)
		.join("");
}
