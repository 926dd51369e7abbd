import { ENUMS, LAYOUT } from "../kernel/layout.generated.js";
import type { Segment as Counted } from "../kernel/segments.js";
import { formatAddress } from "../packet/addresses.js";
import type { TimedHook } from "./timed-hook.js";

/** What `--by` tells apart. */
export type GroupBy = "pod" | "port" | "flow" | "protocol";

export const GROUPS: readonly GroupBy[] = ["pod", "port", "flow", "protocol"];

export function isGroupBy(text: string): text is GroupBy {
	return (GROUPS as readonly string[]).includes(text);
}

/** enum weft_group: what the kernel must tell apart for it; ports and pods follow from the hooks. */
export function kernelGroup(by: GroupBy | null): number {
	const { WEFT_GROUP_NONE, WEFT_GROUP_FLOW, WEFT_GROUP_PROTOCOL } = ENUMS.weft_group;
	return by === "flow" ? WEFT_GROUP_FLOW : by === "protocol" ? WEFT_GROUP_PROTOCOL : WEFT_GROUP_NONE;
}

/** The group of everything that no group of its own was kept for. */
export const OTHER = "other";

/** namespace/name of who holds an address now; null: nobody that is known. */
export type NameOf = (address: string) => string | null;

/** The group that packets between two hooks belong to; null: there is none, as for the pod of what is routed. */
export function groupOf(
	by: GroupBy,
	counted: Counted,
	ends: { readonly from: TimedHook | null; readonly to: TimedHook },
	nameOf: NameOf,
): string | null {
	switch (by) {
		case "port":
			return ends.from === null ? null : `${ends.from.device} → ${ends.to.device}`;
		case "pod":
			return podsOf(ends.from, ends.to);
		case "protocol":
			return protocolName(counted.group - 1);
		case "flow":
			return flowName(counted.flow, nameOf);
	}
}

function podsOf(from: TimedHook | null, to: TimedHook): string | null {
	const pods = [from?.pod ?? null, to.pod].filter((pod) => pod !== null);
	return pods.length === 0 ? null : [...new Set(pods)].join(" → ");
}

/** Both ends in one order, whichever spoke first where. */
function flowName(bytes: Uint8Array, nameOf: NameOf): string {
	const at = LAYOUT.weft_flow.members;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const protocol = view.getUint8(at.protocol.offset);
	const icmp = protocol === 1 || protocol === 58;
	const end = (address: number, port: number) => {
		const ip = formatAddress(bytes, address);
		const name = nameOf(ip) ?? (ip.includes(":") ? `[${ip}]` : ip);
		return icmp || port === 0 ? name : `${name}:${port}`;
	};
	const ends = [
		end(at.source.offset, view.getUint16(at.source_port.offset, true)),
		end(at.destination.offset, view.getUint16(at.destination_port.offset, true)),
	];
	return `${protocolName(protocol)} ${ends.sort().join(" ↔ ")}`;
}

const PROTOCOLS: Readonly<Record<number, string>> = {
	0: "arp",
	1: "icmp",
	6: "tcp",
	17: "udp",
	58: "icmpv6",
	132: "sctp",
};

/** As a Flow calls it; 0 is what is no IP, for the most part ARP. */
function protocolName(protocol: number): string {
	return PROTOCOLS[protocol] ?? String(protocol);
}
