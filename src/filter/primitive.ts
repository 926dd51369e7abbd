import type { Arithmetic, Primitive, Relation, Side } from "./ast.js";
import { isIpv4Prefix } from "./ast.js";
import {
	ANY_LENGTH,
	ANY_PORTS,
	type Box,
	FAMILY_ARP,
	FAMILY_IPV4,
	FAMILY_IPV6,
	FAMILY_OTHER,
	FULL,
	type Range,
	swap,
} from "./box.js";
import type { NameResolver } from "./evaluate.js";
import { type FieldMeaning, findField } from "./fields.js";
import type { Face } from "./resolve.js";
import { ANY_TAG } from "./rule.js";

/** Boxes that together hold every packet for which a primitive is true, and as few others as the kernel can tell. */
export function primitiveBoxes(primitive: Primitive, resolve: NameResolver): readonly Box[] {
	switch (primitive.kind) {
		case "ethertype":
			return [{ ...FULL, family: FAMILIES.get(primitive.value) ?? FAMILY_OTHER }];
		case "protocol": {
			const { family, protocol } = primitive;
			// Protocol 0 is the table's "any".
			return [{ ...FULL, protocol, family: family === null ? 0 : family === "ip" ? FAMILY_IPV4 : FAMILY_IPV6 }];
		}
		case "net": {
			const { link, prefix } = primitive;
			const ipv4 = link === null ? 0 : link === "arp" ? FAMILY_ARP : FAMILY_IPV4;
			const family = isIpv4Prefix(prefix) ? ipv4 : FAMILY_IPV6;
			return bySide(primitive.side, [{ ...FULL, family, source: prefix }]);
		}
		case "port": {
			const { min, max, protocol } = primitive;
			return bySide(primitive.side, [{ ...FULL, protocol: protocol ?? 0, sourcePorts: { min, max } }]);
		}
		case "vlan":
			// Id 0 (a priority tag) is the table's "not compared".
			return [{ ...FULL, vlan: primitive.id === null || primitive.id === 0 ? ANY_TAG : primitive.id }];
		case "relation":
			return [relationBox(primitive)];
		case "name": {
			const end = resolve(primitive);
			if (end.kind === "any") return [FULL];
			const faces = [...end.faces, ...end.endpoints].map(faceBox);
			return bySide(primitive.side, [...end.prefixes.map((source) => ({ ...FULL, source })), ...faces]);
		}
	}
}

/**
 * The same for every packet for which it is false; mostly all packets, for the kernel's fields have no "not". Other ports
 * are no complement either: packets without any are false, too, and match no rule that compares ports.
 */
export function complementOf(primitive: Primitive): readonly Box[] {
	if (primitive.kind === "ethertype") {
		const family = FAMILIES.get(primitive.value);
		if (family !== undefined)
			return ALL_FAMILIES.flatMap((other) => (other === family ? [] : [{ ...FULL, family: other }]));
	}
	if (primitive.kind === "relation" && isLengthAgainstConstant(primitive)) {
		return [relationBox({ ...primitive, operator: OPPOSITE[primitive.operator] })];
	}
	return [FULL];
}

const ALL_FAMILIES = [FAMILY_OTHER, FAMILY_IPV4, FAMILY_IPV6, FAMILY_ARP] as const;
const FAMILIES: ReadonlyMap<number, number> = new Map([
	[0x0800, FAMILY_IPV4],
	[0x86dd, FAMILY_IPV6],
	[0x0806, FAMILY_ARP],
]);
const OPPOSITE: Readonly<Record<Relation, Relation>> = {
	">": "<=",
	"<": ">=",
	">=": "<",
	"<=": ">",
	"==": "!=",
	"!=": "==",
};
const MIRRORED: Readonly<Record<Relation, Relation>> = {
	">": "<",
	"<": ">",
	">=": "<=",
	"<=": ">=",
	"==": "==",
	"!=": "!=",
};

/** @param sources each with the address or port in question as the source */
function bySide(side: Side, sources: readonly Box[]): readonly Box[] {
	if (side === "src") return sources;
	if (side === "dst") return sources.map(swap);
	if (side === "any") return [...sources, ...sources.map(swap)];
	// Source and destination: the product of all with all, of which the diagonal is exact and the rest a superset.
	return sources.flatMap((a) =>
		sources.map((b) => ({
			...a,
			protocol: a.protocol === b.protocol ? a.protocol : 0,
			destination: b.source,
			destinationPorts: b.sourcePorts,
		})),
	);
}

function faceBox(face: Face): Box {
	const { address, protocol, port } = face;
	const source = { words: address, mask: ALL_ONES, bits: 128 };
	return { ...FULL, protocol, source, sourcePorts: { min: port, max: port } };
}

const ALL_ONES = [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff] as const;

function isLengthAgainstConstant(primitive: Primitive & { kind: "relation" }): boolean {
	const kinds = `${primitive.left.kind}/${primitive.right.kind}`;
	return kinds === "length/constant" || kinds === "constant/length";
}

/** The header that is read must be there; beyond it only a field against a constant, masked or not, has a box. */
function relationBox(primitive: Primitive & { kind: "relation" }): Box {
	const base = headerBox(primitive.left, headerBox(primitive.right, FULL));
	const { left, right, operator } = primitive;
	if (right.kind === "constant") return { ...base, ...narrow(left, operator, right.value) };
	if (left.kind === "constant") return { ...base, ...narrow(right, MIRRORED[operator], left.value) };
	return base;
}

function headerBox(arithmetic: Arithmetic, base: Box): Box {
	if (arithmetic.kind === "binary") return headerBox(arithmetic.left, headerBox(arithmetic.right, base));
	if (arithmetic.kind !== "field") return base;
	switch (arithmetic.header) {
		case "ip":
			return { ...base, family: FAMILY_IPV4 };
		case "ip6":
			return { ...base, family: FAMILY_IPV6 };
		case "tcp":
			return { ...base, protocol: 6 };
		case "udp":
			return { ...base, protocol: 17 };
		case "icmp":
			return { ...base, protocol: 1 };
		case "icmp6":
			return { ...base, protocol: 58 };
	}
}

function narrow(arithmetic: Arithmetic, operator: Relation, constant: number): Partial<Box> {
	if (arithmetic.kind === "length") {
		const length = rangeOf(operator, constant, ANY_LENGTH);
		return length === null ? {} : { length };
	}
	if (arithmetic.kind === "field") return narrowField(meaningOf(arithmetic), operator, constant);
	if (arithmetic.kind !== "binary" || arithmetic.operator !== "&") return {};
	const { left, right } = arithmetic;
	if (left.kind === "field" && right.kind === "constant")
		return narrowMasked(meaningOf(left), right.value, operator, constant);
	if (right.kind === "field" && left.kind === "constant")
		return narrowMasked(meaningOf(right), left.value, operator, constant);
	return {};
}

function narrowField(meaning: FieldMeaning | null, operator: Relation, constant: number): Partial<Box> {
	const equal = operator === "==";
	switch (meaning) {
		case "sourcePort":
		case "destinationPort": {
			const ports = rangeOf(operator, constant, ANY_PORTS);
			if (ports === null || ports.min > 65535) return {};
			return meaning === "sourcePort" ? { sourcePorts: ports } : { destinationPorts: ports };
		}
		case "icmpType":
			return equal && constant <= 0xff ? { icmpType: constant } : {};
		case "icmpTypeAndCode":
			return equal && constant <= 0xffff ? { icmpType: constant >>> 8, icmpCode: constant & 0xff } : {};
		case "tcpFlags":
			return narrowMasked(meaning, 0xff, operator, constant);
		case "protocol":
			return equal && constant <= 0xff ? { protocol: constant } : {};
		default:
			return {};
	}
}

/** (flags & mask) against a constant: all of them, none, or at least one. */
function narrowMasked(meaning: FieldMeaning | null, mask: number, operator: Relation, constant: number): Partial<Box> {
	const flagsMask = mask & 0xff;
	if (meaning !== "tcpFlags" || flagsMask === 0) return {};
	const some = (operator === "!=" || operator === ">") && constant === 0;
	if (some || (operator === ">=" && constant === 1)) return { flagsAny: flagsMask };
	if (operator === "==" && (constant & ~flagsMask) === 0) return { flagsMask, flagsValue: constant };
	const single = (flagsMask & (flagsMask - 1)) === 0;
	if (operator === "!=" && constant === flagsMask && single) return { flagsMask, flagsValue: 0 };
	return {};
}

function meaningOf(field: Arithmetic & { kind: "field" }): FieldMeaning | null {
	return findField(field.header, field.offset, field.size)?.meaning ?? null;
}

/** null: not one range, or an empty one, which is left to the exact test. */
function rangeOf(operator: Relation, constant: number, whole: Range): Range | null {
	switch (operator) {
		case "==":
			return clamp({ min: constant, max: constant }, whole);
		case ">=":
			return clamp({ min: constant, max: whole.max }, whole);
		case ">":
			return clamp({ min: constant + 1, max: whole.max }, whole);
		case "<=":
			return clamp({ min: whole.min, max: constant }, whole);
		case "<":
			return clamp({ min: whole.min, max: constant - 1 }, whole);
		case "!=":
			return null;
	}
}

function clamp(range: Range, whole: Range): Range | null {
	const clamped = { min: Math.max(range.min, whole.min), max: Math.min(range.max, whole.max) };
	return clamped.min > clamped.max ? null : clamped;
}
