import type { Arithmetic, Header } from "./ast.js";

/** What a sighting records of a header, and so what `header[offset:size]` may name. */
export interface Field {
	readonly header: Header;
	readonly offset: number;
	readonly size: number;
	/** Bits that are recorded; others must be masked away. */
	readonly known: number;
	/** Which value; test.ts reads it. */
	readonly meaning: FieldMeaning;
}

export type FieldMeaning =
	| "sourcePort"
	| "destinationPort"
	| "sequence"
	| "acknowledgement"
	| "tcpFlags"
	| "window"
	| "icmpType"
	| "icmpCode"
	| "icmpTypeAndCode"
	| "ttl"
	| "protocol"
	| "ipId"
	| "fragmentWord"
	| "fragmentByte"
	| "sourceWord"
	| "destinationWord";

const field = (header: Header, offset: number, size: number, meaning: FieldMeaning, known?: number): Field => ({
	header,
	offset,
	size,
	meaning,
	known: known ?? 2 ** (8 * size) - 1,
});

/** RFC 791, 8200, 9293, 768, 792, 4443. */
export const FIELDS: readonly Field[] = [
	field("ip", 4, 2, "ipId"),
	field("ip", 6, 2, "fragmentWord", 0x3fff) /* MF and the offset; DF is not recorded */,
	field("ip", 6, 1, "fragmentByte", 0x3f),
	field("ip", 8, 1, "ttl"),
	field("ip", 9, 1, "protocol"),
	field("ip", 12, 4, "sourceWord"),
	field("ip", 16, 4, "destinationWord"),
	field("ip6", 7, 1, "ttl"),
	field("tcp", 0, 2, "sourcePort"),
	field("tcp", 2, 2, "destinationPort"),
	field("tcp", 4, 4, "sequence"),
	field("tcp", 8, 4, "acknowledgement"),
	field("tcp", 13, 1, "tcpFlags"),
	field("tcp", 14, 2, "window"),
	field("udp", 0, 2, "sourcePort"),
	field("udp", 2, 2, "destinationPort"),
	field("icmp", 0, 1, "icmpType"),
	field("icmp", 1, 1, "icmpCode"),
	field("icmp", 0, 2, "icmpTypeAndCode"),
	field("icmp6", 0, 1, "icmpType"),
	field("icmp6", 1, 1, "icmpCode"),
	field("icmp6", 0, 2, "icmpTypeAndCode"),
];

/** What stands in brackets by name: libpcap's tcpflags, icmptype, icmpcode, and the same for ICMPv6. */
export const OFFSET_NAMES: Readonly<Record<string, { readonly header: Header; readonly offset: number }>> = {
	tcpflags: { header: "tcp", offset: 13 },
	icmptype: { header: "icmp", offset: 0 },
	icmpcode: { header: "icmp", offset: 1 },
	icmp6type: { header: "icmp6", offset: 0 },
	icmp6code: { header: "icmp6", offset: 1 },
};

export function findField(header: Header, offset: number, size: number): Field | null {
	return FIELDS.find((known) => known.header === header && known.offset === offset && known.size === size) ?? null;
}

/** As one writes it: ip[6:2]. */
export function fieldName(field: { readonly header: Header; readonly offset: number; readonly size: number }): string {
	return `${field.header}[${field.offset}${field.size > 1 ? `:${field.size}` : ""}]`;
}

/** The first field whose unrecorded bits an arithmetic looks at: it must be masked. */
export function unmaskedField(arithmetic: Arithmetic, wanted = 0xffffffff): Field | null {
	switch (arithmetic.kind) {
		case "constant":
		case "length":
			return null;
		case "field": {
			const known = findField(arithmetic.header, arithmetic.offset, arithmetic.size);
			if (known === null) return null;
			const unknown = (2 ** (8 * known.size) - 1 - known.known) >>> 0;
			return (unknown & wanted) === 0 ? null : known;
		}
		case "binary": {
			const { left, right } = arithmetic;
			if (arithmetic.operator === "&" && right.kind === "constant") return unmaskedField(left, wanted & right.value);
			if (arithmetic.operator === "&" && left.kind === "constant") return unmaskedField(right, wanted & left.value);
			return unmaskedField(left) ?? unmaskedField(right);
		}
	}
}
