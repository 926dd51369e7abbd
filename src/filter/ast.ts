import type { Prefix } from "../packet/addresses.js";

/**
 * A FILTER, as one tree for three evaluators: rules.ts (kernel table), column.ts (one packet at one hook) and path.ts
 * (a joined path). Names are not resolved in it, so it can be kept and compiled again as pods come and go.
 */
export type Expression =
	/** The empty filter. */
	| { readonly kind: "true" }
	| { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
	| { readonly kind: "not"; readonly term: Expression }
	| Primitive;

export type Primitive =
	/** `ip`, `arp`, `ether proto 0x88cc`. Looks behind VLAN tags. */
	| { readonly kind: "ethertype"; readonly value: number }
	/** `tcp`, `ip proto 89`. `family` null: over IPv4 or IPv6. Extension headers are passed over. */
	| { readonly kind: "protocol"; readonly family: IpFamily | null; readonly protocol: number }
	/** `host`, `net`: a host is a prefix of 128 bits. `link` null: IPv4 and ARP, or IPv6, as the prefix is. */
	| { readonly kind: "net"; readonly side: Side; readonly link: Link | null; readonly prefix: Prefix }
	/** `port`, `portrange`. `protocol` null: TCP, UDP or SCTP. Inclusive. */
	| {
			readonly kind: "port";
			readonly side: Side;
			readonly protocol: number | null;
			readonly min: number;
			readonly max: number;
	  }
	/** `id` null: any tag. The outermost tag only. */
	| { readonly kind: "vlan"; readonly id: number | null }
	/** `tcp[13] & 2 != 0`, `len > 100`: true only when every header it reads is there. Unsigned 32 bits. */
	| { readonly kind: "relation"; readonly left: Arithmetic; readonly operator: Relation; readonly right: Arithmetic }
	/** `pod default/web-*`, `svc default/web`, `node node-a`. Globs in all three. */
	| { readonly kind: "name"; readonly what: NameKind; readonly side: Side; readonly name: string };

export type Arithmetic =
	| { readonly kind: "constant"; readonly value: number }
	/** skb length in bytes, link header included, as tcpdump counts it. */
	| { readonly kind: "length" }
	/** `size` bytes (1, 2, 4) of a header from `offset`, in network order. Only those of fields.ts. */
	| { readonly kind: "field"; readonly header: Header; readonly offset: number; readonly size: number }
	| {
			readonly kind: "binary";
			readonly operator: ArithmeticOperator;
			readonly left: Arithmetic;
			readonly right: Arithmetic;
	  };

export type IpFamily = "ip" | "ip6";
export type Link = "ip" | "ip6" | "arp";
/** `any`: source or destination; `both`: source and destination. */
export type Side = "any" | "src" | "dst" | "both";
export type NameKind = "pod" | "svc" | "node";
export type Header = "ip" | "ip6" | "tcp" | "udp" | "icmp" | "icmp6";
export type Relation = ">" | "<" | ">=" | "<=" | "==" | "!=";
export type ArithmeticOperator = "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<<" | ">>";

export const EVERYTHING: Expression = { kind: "true" };

/** Prefixes of mapped addresses are IPv4's; ::/0 is IPv6's, 0.0.0.0/0 is ::ffff:0:0/96. */
export function isIpv4Prefix(prefix: Prefix): boolean {
	return prefix.bits >= 96 && prefix.words[0] === 0 && prefix.words[1] === 0 && prefix.words[2] === 0xffff;
}

/** Both sides of an arithmetic operator, as libpcap computes: unsigned, 32 bits, wrapping. Division by zero gives 0. */
export function calculate(operator: ArithmeticOperator, left: number, right: number): number {
	switch (operator) {
		case "+":
			return (left + right) >>> 0;
		case "-":
			return (left - right) >>> 0;
		case "*":
			return Math.imul(left, right) >>> 0;
		case "/":
			return right === 0 ? 0 : Math.floor(left / right);
		case "%":
			return right === 0 ? 0 : left % right;
		case "&":
			return (left & right) >>> 0;
		case "|":
			return (left | right) >>> 0;
		case "^":
			return (left ^ right) >>> 0;
		case "<<":
			return right > 31 ? 0 : (left << right) >>> 0;
		case ">>":
			return right > 31 ? 0 : left >>> right;
	}
}

export function compare(operator: Relation, left: number, right: number): boolean {
	switch (operator) {
		case ">":
			return left > right;
		case "<":
			return left < right;
		case ">=":
			return left >= right;
		case "<=":
			return left <= right;
		case "==":
			return left === right;
		case "!=":
			return left !== right;
	}
}
