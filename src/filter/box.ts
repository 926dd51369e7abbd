import { bytesOf, isIpv4Mapped, type Prefix, prefixContains, prefixOf } from "../packet/addresses.js";
import { ANY_TAG, type KernelRule } from "./rule.js";

/**
 * A kernel rule as sets are computed with it: a product of one range per field. Neutral values are as in KernelRule;
 * `tcpFlags` and the rest follow the same laws. Everything here may widen, nothing may narrow.
 */
export interface Box {
	readonly ifindex: number;
	readonly source: Prefix;
	readonly destination: Prefix;
	readonly sourcePorts: Range;
	readonly destinationPorts: Range;
	/** Bytes; max Infinity: no limit. */
	readonly length: Range;
	readonly vlan: number;
	readonly family: number;
	readonly protocol: number;
	readonly flagsAny: number;
	readonly flagsMask: number;
	readonly flagsValue: number;
	readonly icmpType: number | null;
	readonly icmpCode: number | null;
	readonly eitherWay: boolean;
}

export interface Range {
	readonly min: number;
	readonly max: number;
}

/** enum weft_family + 1 */
export const FAMILY_OTHER = 1;
export const FAMILY_IPV4 = 2;
export const FAMILY_IPV6 = 3;
export const FAMILY_ARP = 4;

export const ANY_PORTS: Range = { min: 0, max: 65535 };
export const ANY_LENGTH: Range = { min: 0, max: Number.POSITIVE_INFINITY };
export const ANY_ADDRESS: Prefix = prefixOf([0, 0, 0, 0], 0);

export const FULL: Box = {
	ifindex: 0,
	source: ANY_ADDRESS,
	destination: ANY_ADDRESS,
	sourcePorts: ANY_PORTS,
	destinationPorts: ANY_PORTS,
	length: ANY_LENGTH,
	vlan: 0,
	family: 0,
	protocol: 0,
	flagsAny: 0,
	flagsMask: 0,
	flagsValue: 0,
	icmpType: null,
	icmpCode: null,
	eitherWay: false,
};

/** What both hold, or a little more (flags of which one must be set do not intersect exactly); null: nothing. */
export function intersect(a: Box, b: Box): Box | null {
	const ifindex = agree(a.ifindex, b.ifindex, 0);
	const family = agree(a.family, b.family, 0);
	const protocol = agree(a.protocol, b.protocol, 0);
	const vlan = intersectTags(a.vlan, b.vlan);
	const icmpType = agree(a.icmpType, b.icmpType, null);
	const icmpCode = agree(a.icmpCode, b.icmpCode, null);
	const source = intersectPrefixes(a.source, b.source);
	const destination = intersectPrefixes(a.destination, b.destination);
	if (ifindex === undefined || family === undefined || protocol === undefined || vlan === undefined) return null;
	if (icmpType === undefined || icmpCode === undefined || source === null || destination === null) return null;
	if (protocol !== 0 && (family === FAMILY_OTHER || family === FAMILY_ARP)) return null;
	const sourcePorts = intersectRanges(a.sourcePorts, b.sourcePorts);
	const destinationPorts = intersectRanges(a.destinationPorts, b.destinationPorts);
	const length = intersectRanges(a.length, b.length);
	const contradiction = a.flagsMask & b.flagsMask & (a.flagsValue ^ b.flagsValue);
	if (!sameKind(source, destination)) return null;
	if (isEmpty(sourcePorts) || isEmpty(destinationPorts) || isEmpty(length) || contradiction !== 0) return null;
	return {
		ifindex,
		source,
		destination,
		sourcePorts,
		destinationPorts,
		length,
		vlan,
		family,
		protocol,
		flagsAny: a.flagsAny === 0 ? b.flagsAny : a.flagsAny,
		flagsMask: a.flagsMask | b.flagsMask,
		flagsValue: a.flagsValue | b.flagsValue,
		icmpType,
		icmpCode,
		eitherWay: false,
	};
}

/** The smallest box around both. */
export function hull(a: Box, b: Box): Box {
	const mask = a.flagsMask & b.flagsMask & ~(a.flagsValue ^ b.flagsValue) & 0xff;
	const setA = a.flagsAny === 0 ? a.flagsValue : a.flagsAny;
	const setB = b.flagsAny === 0 ? b.flagsValue : b.flagsAny;
	const icmpType = same(a.icmpType, b.icmpType, null);
	return {
		ifindex: same(a.ifindex, b.ifindex, 0),
		source: commonPrefix(a.source, b.source),
		destination: commonPrefix(a.destination, b.destination),
		sourcePorts: hullRange(a.sourcePorts, b.sourcePorts),
		destinationPorts: hullRange(a.destinationPorts, b.destinationPorts),
		length: hullRange(a.length, b.length),
		vlan: a.vlan === b.vlan ? a.vlan : a.vlan === 0 || b.vlan === 0 ? 0 : ANY_TAG,
		family: same(a.family, b.family, 0),
		protocol: same(a.protocol, b.protocol, 0),
		flagsAny: setA === 0 || setB === 0 ? 0 : setA | setB,
		flagsMask: mask,
		flagsValue: a.flagsValue & mask,
		icmpType,
		icmpCode: icmpType === null ? null : same(a.icmpCode, b.icmpCode, null),
		eitherWay: a.eitherWay || b.eitherWay,
	};
}

/** One packet's addresses are of one family. */
export function sameKind(source: Prefix, destination: Prefix): boolean {
	const [a, b] = [kindOf(source), kindOf(destination)];
	return a === 0 || b === 0 || a === b;
}

/** 4 or 6; 0: a prefix that holds both. */
function kindOf(prefix: Prefix): number {
	const mapped = isIpv4Mapped(prefix.words);
	if (prefix.bits >= 96 && mapped) return 4;
	return prefixContains(prefix, FIRST_IPV4) ? 0 : 6;
}

const FIRST_IPV4 = [0, 0, 0xffff, 0] as const;

export function swap(box: Box): Box {
	return {
		...box,
		source: box.destination,
		destination: box.source,
		sourcePorts: box.destinationPorts,
		destinationPorts: box.sourcePorts,
	};
}

export function contains(outer: Box, inner: Box): boolean {
	if (inner.eitherWay && !outer.eitherWay) {
		const oneWay = { ...inner, eitherWay: false };
		return contains(outer, oneWay) && contains(outer, swap(oneWay));
	}
	if (covers(outer, inner)) return true;
	return outer.eitherWay && covers(swap(outer), inner);
}

/** How much is given away by merging: bits of selectivity, weighted by what traffic they keep out. */
export function mergeCost(a: Box, b: Box, merged = hull(a, b)): number {
	return looseness(merged) * 2 - looseness(a) - looseness(b);
}

export function toRule(box: Box, subscribers: number): KernelRule {
	return {
		ifindex: box.ifindex,
		subscribers,
		source: bytesOf(box.source.words),
		sourceMask: bytesOf(box.source.mask),
		destination: bytesOf(box.destination.words),
		destinationMask: bytesOf(box.destination.mask),
		lengthMin: Math.max(0, box.length.min),
		lengthMax: box.length.max >= 0xffffffff ? 0 : box.length.max,
		sourcePortMin: box.sourcePorts.min,
		sourcePortMax: box.sourcePorts.max,
		destinationPortMin: box.destinationPorts.min,
		destinationPortMax: box.destinationPorts.max,
		vlan: box.vlan,
		family: box.family,
		protocol: box.protocol,
		tcpFlagsAny: box.flagsAny,
		tcpFlagsMask: box.flagsMask,
		tcpFlagsValue: box.flagsValue,
		eitherWay: box.eitherWay,
		icmpType: box.icmpType,
		icmpCode: box.icmpType === null ? null : box.icmpCode,
	};
}

export function prefixCovers(outer: Prefix, inner: Prefix): boolean {
	return inner.bits >= outer.bits && inner.words.every((word, i) => (word & mask(outer, i)) >>> 0 === outer.words[i]);
}

export function rangeCovers(outer: Range, inner: Range): boolean {
	return outer.min <= inner.min && outer.max >= inner.max;
}

function mask(prefix: Prefix, i: number): number {
	return prefix.mask[i] ?? 0;
}

function covers(outer: Box, inner: Box): boolean {
	const { flagsMask } = outer;
	return (
		(outer.ifindex === 0 || outer.ifindex === inner.ifindex) &&
		prefixCovers(outer.source, inner.source) &&
		prefixCovers(outer.destination, inner.destination) &&
		rangeCovers(outer.sourcePorts, inner.sourcePorts) &&
		rangeCovers(outer.destinationPorts, inner.destinationPorts) &&
		rangeCovers(outer.length, inner.length) &&
		(outer.vlan === 0 || outer.vlan === inner.vlan || (outer.vlan === ANY_TAG && inner.vlan !== 0)) &&
		(outer.family === 0 || outer.family === inner.family) &&
		(outer.protocol === 0 || outer.protocol === inner.protocol) &&
		(outer.icmpType === null || outer.icmpType === inner.icmpType) &&
		(outer.icmpCode === null || outer.icmpCode === inner.icmpCode) &&
		(inner.flagsMask & flagsMask) === flagsMask &&
		(inner.flagsValue & flagsMask) === outer.flagsValue &&
		someFlagKept(outer.flagsAny, inner)
	);
}

function someFlagKept(any: number, inner: Box): boolean {
	if (any === 0 || (inner.flagsValue & any) !== 0) return true;
	return inner.flagsAny !== 0 && (inner.flagsAny & ~any) === 0;
}

function looseness(box: Box): number {
	return (
		(box.ifindex === 0 ? 40 : 0) +
		(128 - box.source.bits) +
		(128 - box.destination.bits) +
		Math.log2(box.sourcePorts.max - box.sourcePorts.min + 1) +
		Math.log2(box.destinationPorts.max - box.destinationPorts.min + 1) +
		(box.length.min === 0 && box.length.max === Number.POSITIVE_INFINITY ? 4 : 0) +
		(box.vlan === 0 ? 10 : 0) +
		(box.family === 0 ? 4 : 0) +
		(box.protocol === 0 ? 8 : 0) +
		(box.flagsAny === 0 && box.flagsMask === 0 ? 6 : 0) +
		(box.icmpType === null ? 6 : 0) +
		(box.eitherWay ? 1 : 0)
	);
}

/** Of two values of which one may be neutral; undefined: they contradict each other. */
function agree<T>(a: T, b: T, neutral: T): T | undefined {
	if (a === neutral || a === b) return b;
	return b === neutral ? a : undefined;
}

function same<T>(a: T, b: T, neutral: T): T {
	return a === b ? a : neutral;
}

function intersectTags(a: number, b: number): number | undefined {
	if (a === ANY_TAG && b !== 0) return b;
	if (b === ANY_TAG && a !== 0) return a;
	return agree(a, b, 0);
}

function intersectPrefixes(a: Prefix, b: Prefix): Prefix | null {
	if (prefixCovers(a, b)) return b;
	return prefixCovers(b, a) ? a : null;
}

function intersectRanges(a: Range, b: Range): Range {
	return { min: Math.max(a.min, b.min), max: Math.min(a.max, b.max) };
}

function hullRange(a: Range, b: Range): Range {
	return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

function isEmpty(range: Range): boolean {
	return range.min > range.max;
}

function commonPrefix(a: Prefix, b: Prefix): Prefix {
	let bits = Math.min(a.bits, b.bits);
	for (const i of [0, 1, 2, 3] as const) {
		const different = (a.words[i] ^ b.words[i]) >>> 0;
		if (different !== 0) bits = Math.min(bits, i * 32 + Math.clz32(different));
	}
	return prefixOf(a.words, bits);
}
