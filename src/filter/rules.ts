import { isIpv4Mapped, prefixOf } from "../packet/addresses.js";
import type { NetnsCookie } from "../packet/hook.js";
import { TcpFlag } from "../packet/sightings.js";
import type { Expression } from "./ast.js";
import {
	type Box,
	FAMILY_IPV4,
	FAMILY_IPV6,
	FULL,
	intersect,
	prefixCovers,
	rangeCovers,
	sameKind,
	swap,
	toRule,
} from "./box.js";
import type { NameResolver } from "./evaluate.js";
import { complementOf, primitiveBoxes } from "./primitive.js";
import { reduce } from "./reduce.js";
import type { Face, ResolvedEnd, Translation } from "./resolve.js";
import { type KernelRule, MAX_RULES } from "./rule.js";

/** For which program the table is meant, and for whom. */
export interface RuleContext {
	readonly place: Place;
	readonly from: ResolvedEnd;
	readonly to: ResolvedEnd;
	readonly resolve: NameResolver;
	/** Services whose DNAT may happen on the way; see translations(). */
	readonly translations: readonly Translation[];
	/** Bits of weft_rule.subscribers. */
	readonly subscribers: number;
	/**
	 * `path`: every hop of a path of which any hop satisfies the filter must match, or be followed from one that does;
	 * so what the way changes is not compared. `hook`: a superset of the filter at this one hook is enough.
	 */
	readonly scope: "path" | "hook";
}

export type Place =
	/** The node's own namespace. */
	| { readonly kind: "host"; readonly node: string }
	/** A pod's namespace. */
	| { readonly kind: "inside"; readonly netns: NetnsCookie };

/**
 * The kernel's table: at most 16 rules that together match at least what the ends and the filter mean. What the kernel
 * cannot decide is left out, what does not fit is merged; nothing is refused. No rules: nothing can match.
 *
 * Under scope `path` these are not compared, for segmentation, merging and encapsulation change them on the way and a
 * packet that vanishes from the table in mid-path would look lost: the length of TCP and UDP (of others by a margin for
 * the outer header), the TCP flags PSH, FIN, URG, ECE and CWR. Faces of services stand for their endpoints and the other
 * way round. (Later fragments have no ports; the kernel lets them pass where only ports are against them.)
 */
export function kernelRules(expression: Expression, context: RuleContext): readonly KernelRule[] {
	const filter = boxesOf(expression, context);
	const ends = endBoxes(context);
	const boxes: Box[] = [];
	for (const end of ends) {
		for (const box of filter) {
			// On an END's own device NAT has not happened yet, or is undone: the address asked for may not stand there.
			const fitted = end.ifindex !== 0 || end === OWN_NAMESPACE ? withoutAddresses(box) : box;
			const both = intersect(end, fitted);
			if (both !== null) boxes.push(both);
		}
	}
	const across = context.scope === "path" ? throughTranslations(stableOnly(boxes), context.translations) : boxes;
	return reduce(across, MAX_RULES).map((box) => toRule(box, context.subscribers));
}

/** A factor of a product that is longer is merged first. */
const MOST_FACTORS = 32;
/** …and a sum that is longer as well. */
const MOST_TERMS = 256;

/** Disjunctive normal form, widened wherever a literal has no box. */
function boxesOf(expression: Expression, context: RuleContext): readonly Box[] {
	switch (expression.kind) {
		case "true":
			return [FULL];
		case "and":
			return product(boxesOf(expression.left, context), boxesOf(expression.right, context));
		case "or":
			return capped([...boxesOf(expression.left, context), ...boxesOf(expression.right, context)], MOST_TERMS);
		case "not":
			return negated(expression.term, context);
		default:
			return primitiveBoxes(expression, context.resolve);
	}
}

function negated(expression: Expression, context: RuleContext): readonly Box[] {
	switch (expression.kind) {
		case "true":
			return [];
		case "and":
			return capped([...nowhere(expression.left, context), ...nowhere(expression.right, context)], MOST_TERMS);
		case "or":
			return product(nowhere(expression.left, context), nowhere(expression.right, context));
		case "not":
			return boxesOf(expression.term, context);
		default:
			return complementOf(expression);
	}
}

/**
 * What must hold at no hop of a path is no hop's either. But if that is a "not X" itself, as in `A and not (not X or B)`,
 * then X holds at some hop, which need not be the one where A does: there it says nothing.
 */
function nowhere(expression: Expression, context: RuleContext): readonly Box[] {
	return expression.kind === "not" && context.scope === "path" ? [FULL] : negated(expression, context);
}

function product(left: readonly Box[], right: readonly Box[]): readonly Box[] {
	const factors = capped(right, MOST_FACTORS);
	const boxes = capped(left, MOST_FACTORS).flatMap((a) => factors.flatMap((b) => intersect(a, b) ?? []));
	return capped(boxes, MOST_TERMS);
}

/** Cut to half, so that a long chain is not cut again at each of its links. */
function capped(boxes: readonly Box[], most: number): readonly Box[] {
	return boxes.length <= most ? boxes : reduce(boxes, most / 2);
}

const OWN_NAMESPACE: Box = { ...FULL };

/** A pair in both directions; an END's own device or namespace stands for it whatever the addresses there. */
function endBoxes(context: RuleContext): readonly Box[] {
	const { from, to, place } = context;
	if (from.kind === "any" && to.kind === "any") return [FULL];
	const own: Box[] = [];
	for (const end of [from, to]) {
		if (place.kind === "inside" && end.netns.includes(place.netns)) return [OWN_NAMESPACE];
		if (place.kind !== "host") continue;
		for (const device of end.devices) {
			if (device.node === place.node) own.push({ ...FULL, ifindex: device.ifindex });
		}
	}
	const sources = sideBoxes(from);
	const destinations = sideBoxes(to).map(swap);
	const there = product(sources, destinations);
	return [...own, ...there, ...there.map(swap)];
}

/** An END as the source. */
function sideBoxes(end: ResolvedEnd): readonly Box[] {
	if (end.kind === "any") return [FULL];
	const faces = [...end.faces, ...end.endpoints].map(faceBox);
	return [...end.prefixes.map((source) => ({ ...FULL, source })), ...faces];
}

function faceBox(face: Face): Box {
	const { address, protocol, port } = face;
	return { ...FULL, source: prefixOf(address, 128), protocol, sourcePorts: { min: port, max: port } };
}

function withoutAddresses(box: Box): Box {
	return { ...box, source: FULL.source, destination: FULL.destination };
}

/** VXLAN over IPv6: outer Ethernet, IPv6, UDP and VXLAN headers. */
const ENCAPSULATION = 70;
/** Every segment of a packet carries them as the packet did; a SYN or RST has no payload to cut. */
const STABLE_FLAGS = TcpFlag.syn | TcpFlag.rst | TcpFlag.ack;

function stableOnly(boxes: readonly Box[]): readonly Box[] {
	return boxes.map((box) => {
		const segmentable = box.protocol === 0 || box.protocol === 6 || box.protocol === 17;
		const { min, max } = box.length;
		return {
			...box,
			length: segmentable ? FULL.length : { min: Math.max(0, min - ENCAPSULATION), max: max + ENCAPSULATION },
			flagsAny: (box.flagsAny & ~STABLE_FLAGS) === 0 ? box.flagsAny : 0,
			flagsMask: box.flagsMask & STABLE_FLAGS,
			flagsValue: box.flagsValue & STABLE_FLAGS,
		};
	});
}

/** A table larger than this is merged while it grows. */
const MOST_TRANSLATED = 1024;

/** Adds what a packet looks like on the other side of each service's DNAT, for its source, its destination, or both. */
function throughTranslations(boxes: readonly Box[], translations: readonly Translation[]): readonly Box[] {
	let result = [...capped(boxes, MOST_FACTORS)];
	for (const side of ["destination", "source"] as const) {
		const added: Box[] = [];
		for (const box of result) {
			const oriented = side === "source" ? box : swap(box);
			for (const translation of translations) {
				for (const other of otherSides(oriented, translation)) added.push(side === "source" ? other : swap(other));
				if (added.length > MOST_TRANSLATED) added.splice(0, added.length, ...reduce(added, MOST_TERMS));
			}
		}
		result = [...result, ...added];
	}
	return result;
}

function otherSides(box: Box, translation: Translation): readonly Box[] {
	const { faces, endpoints } = translation;
	const boxes: Box[] = [];
	if (faces.some((face) => mayBe(box, face))) boxes.push(...replaced(box, endpoints));
	if (endpoints.some((endpoint) => mayBe(box, endpoint))) boxes.push(...replaced(box, faces));
	return boxes;
}

function mayBe(box: Box, face: Face): boolean {
	return (
		(box.protocol === 0 || box.protocol === face.protocol) &&
		prefixCovers(box.source, prefixOf(face.address, 128)) &&
		rangeCovers(box.sourcePorts, { min: face.port, max: face.port })
	);
}

function replaced(box: Box, faces: readonly Face[]): readonly Box[] {
	return faces.flatMap((face) => {
		if (mayBe(box, face)) return [];
		const source = prefixOf(face.address, 128);
		const family = box.family === 0 || box.family === familyOf(face) ? box.family : null;
		if (family === null) return [];
		if (!sameKind(source, box.destination)) return [];
		return [{ ...box, source, sourcePorts: { min: face.port, max: face.port }, protocol: face.protocol }];
	});
}

function familyOf(face: Face): number {
	return isIpv4Mapped(face.address) ? FAMILY_IPV4 : FAMILY_IPV6;
}
