import type { Arithmetic, Expression } from "./ast.js";
import { printPrefix } from "./end.js";
import { fieldName } from "./fields.js";

/** A FILTER that parses to the same tree; every choice of precedence is written out. */
export function printFilter(expression: Expression): string {
	switch (expression.kind) {
		case "true":
			return "";
		case "and":
		case "or":
			return `${operand(expression.left)} ${expression.kind} ${operand(expression.right)}`;
		case "not":
			return `not ${operand(expression.term)}`;
		case "ethertype":
			return ETHERTYPE_WORDS.get(expression.value) ?? `ether proto 0x${expression.value.toString(16)}`;
		case "protocol": {
			const word = PROTOCOL_PRINTED.get(`${expression.family}/${expression.protocol}`);
			return word ?? `${expression.family === null ? "" : `${expression.family} `}proto ${expression.protocol}`;
		}
		case "net": {
			const link = expression.link === null ? "" : `${expression.link} `;
			const type = expression.prefix.bits === 128 ? "host" : "net";
			return `${link}${SIDES[expression.side]}${type} ${printPrefix(expression.prefix)}`;
		}
		case "port": {
			const protocol = expression.protocol === null ? "" : `${TRANSPORT_WORDS.get(expression.protocol) ?? "tcp"} `;
			const { min, max } = expression;
			return `${protocol}${SIDES[expression.side]}${min === max ? `port ${min}` : `portrange ${min}-${max}`}`;
		}
		case "vlan":
			return expression.id === null ? "vlan" : `vlan ${expression.id}`;
		case "relation":
			return `${printArithmetic(expression.left)} ${expression.operator} ${printArithmetic(expression.right)}`;
		case "name":
			return `${SIDES[expression.side]}${expression.what} ${expression.name}`;
	}
}

const SIDES = { any: "", src: "src ", dst: "dst ", both: "src and dst " } as const;
const ETHERTYPE_WORDS: ReadonlyMap<number, string> = new Map([
	[0x0800, "ip"],
	[0x0806, "arp"],
	[0x86dd, "ip6"],
]);
const PROTOCOL_PRINTED: ReadonlyMap<string, string> = new Map([
	["null/6", "tcp"],
	["null/17", "udp"],
	["null/132", "sctp"],
	["ip/1", "icmp"],
	["ip6/58", "icmp6"],
]);
const TRANSPORT_WORDS: ReadonlyMap<number, string> = new Map([
	[6, "tcp"],
	[17, "udp"],
	[132, "sctp"],
]);

function operand(expression: Expression): string {
	const compound = expression.kind === "and" || expression.kind === "or";
	return compound ? `(${printFilter(expression)})` : printFilter(expression);
}

function printArithmetic(arithmetic: Arithmetic): string {
	switch (arithmetic.kind) {
		case "constant":
			return String(arithmetic.value);
		case "length":
			return "len";
		case "field":
			return fieldName(arithmetic);
		case "binary":
			return `(${printArithmetic(arithmetic.left)} ${arithmetic.operator} ${printArithmetic(arithmetic.right)})`;
	}
}
