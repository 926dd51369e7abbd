import type { Path } from "../../path/path.js";
import { bytes } from "./units.js";

/** What a packet is, in a few characters: "SYN,ACK", "63 KB ×45", "UDP 64", "echo request 7". */
export function describePacket(path: Path): string {
	const wirePackets = path.hops.reduce((most, hop) => Math.max(most, hop.packets), 1);
	const times = wirePackets > 1 ? ` ×${wirePackets}` : "";
	return `${nameOf(path)}${times}`;
}

function nameOf({ flow, packet }: Path): string {
	switch (flow.protocol) {
		case "tcp":
			return tcp(packet.flags ?? "", packet.payload);
		case "udp":
		case "sctp":
			return `${flow.protocol.toUpperCase()} ${packet.payload < 10_000 ? packet.payload : bytes(packet.payload)}`;
		case "icmp":
		case "icmpv6":
			return icmp(flow.protocol, packet.icmp ?? null, packet.seq);
		case "arp":
			return "ARP";
		default:
			return `proto ${flow.protocol}`;
	}
}

function tcp(flags: string, payload: number): string {
	const marks: string[] = [];
	if (flags.includes("S")) marks.push("SYN");
	if (flags.includes("F")) marks.push("FIN");
	if (flags.includes("R")) marks.push("RST");
	if (payload > 0) return [...marks, bytes(payload)].join(" ");
	if (flags.includes("A") || flags.includes(".")) marks.push("ACK");
	return marks.join(",") || "TCP";
}

/** RFC 792 and RFC 4443; the kinds that a pod network meets. */
const icmpNames: Readonly<Record<"icmp" | "icmpv6", Readonly<Record<number, string>>>> = {
	icmp: { 0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded" },
	icmpv6: {
		1: "unreachable",
		2: "too big",
		3: "time exceeded",
		128: "echo request",
		129: "echo reply",
		133: "router solicit",
		134: "router advert",
		135: "neigh solicit",
		136: "neigh advert",
	},
};

function icmp(
	protocol: "icmp" | "icmpv6",
	kind: { readonly type: number; readonly code: number } | null,
	seq: number | null,
): string {
	if (kind === null) return seq === null ? protocol.toUpperCase() : `${protocol.toUpperCase()} ${seq}`;
	// ICMP "fragmentation needed" hides as a code of "unreachable", and is what an MTU that is too large shows.
	if (protocol === "icmp" && kind.type === 3 && kind.code === 4) return "frag needed";
	const name = icmpNames[protocol][kind.type] ?? `${protocol} type ${kind.type}`;
	return name.startsWith("echo") && seq !== null ? `${name} ${seq}` : name;
}
