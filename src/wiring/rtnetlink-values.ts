import { formatWords, wordsAt } from "../packet/addresses.js";
import type { Span } from "./netlink.js";

/** Message types: RTM_*. */
export const Rtm = {
	newLink: 16,
	delLink: 17,
	getLink: 18,
	newAddress: 20,
	delAddress: 21,
	getAddress: 22,
	newRoute: 24,
	delRoute: 25,
	getRoute: 26,
	newNeighbour: 28,
	delNeighbour: 29,
	getNeighbour: 30,
	newNsid: 88,
	delNsid: 89,
	getNsid: 90,
} as const;

/** Address families as in linux/socket.h. */
export const Af = { unspecified: 0, inet: 2, bridge: 7, inet6: 10 } as const;

/** The text form of an address in network order. */
export function ipOf(span: Span, family: number): string | null {
	if (family === Af.inet) {
		const bytes = span.exactly(4).bytes();
		return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
	}
	if (family === Af.inet6) return formatWords(...wordsAt(span.exactly(16).bytes()));
	return null;
}

/** A link-layer address: 8e:02:00:00:00:02. Empty ones (WireGuard, tun) are null. */
export function hex(span: Span | null): string | null {
	if (span === null || span.length === 0) return null;
	let text = HEX[span.u8(0)] ?? "";
	for (let at = 1; at < span.length; at++) text += `:${HEX[span.u8(at)]}`;
	return text;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
