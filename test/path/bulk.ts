import { type Leg, type Packet, type Simulator, TCP } from "./simulator.js";

/** How a bulk of TCP data is cut at a hook: as its sender made it, as wire segments, or merged by GRO. */
export type Shape = "sent" | "wire" | "merged";

/** The offload settings of facts/datapath: the shape at each of the eight hooks between two nodes. */
export const OFFLOADS: Readonly<Record<string, readonly Shape[]>> = {
	"defaults on veth": ["sent", "sent", "sent", "sent", "sent", "sent", "sent", "sent"],
	"no tunnel segmentation on eth0": ["sent", "sent", "sent", "sent", "wire", "merged", "merged", "merged"],
	"gro on the underlay": ["sent", "sent", "sent", "sent", "merged", "merged", "merged", "merged"],
	"no checksum on flannel.1": ["sent", "sent", "sent", "wire", "wire", "merged", "merged", "merged"],
};

export interface Bulk {
	readonly legs: readonly Leg[];
	readonly shapes: readonly Shape[];
	/** Bytes of each skb that the sender made, in order. */
	readonly sizes: readonly number[];
	readonly mss: number;
	/** null: without timestamps, as a peer without RFC 7323 sends. */
	readonly tsval: number | null;
	readonly sequence: number;
	readonly ipId: number;
	/** Segments (by number, over the whole bulk) that are lost behind the last hook of the first node. */
	readonly lost?: ReadonlySet<number>;
	/** Segments a merged skb may hold. */
	readonly merge?: number;
	/** Wire segments leave in this order; by default in their own. */
	readonly shuffle?: (segments: Piece[]) => Piece[];
}

/** A part of the bulk under one skb. */
export interface Piece {
	readonly start: number;
	readonly end: number;
	/** Number of its first segment, and of the one behind its last. */
	readonly from: number;
	readonly to: number;
	readonly truth: readonly number[];
	time: number;
	skb: number;
}

/** Sends a bulk through the simulator; the numbers of its packets are those of `simulator.sent`. */
export function sendBulk(simulator: Simulator, bulk: Bulk): void {
	let pieces = madeBySender(simulator, bulk);
	const begin = simulator.now;
	for (const [n, leg] of bulk.legs.entries()) {
		const before = bulk.legs[n - 1];
		const shape = bulk.shapes[n] ?? "sent";
		const wire = before !== undefined && before.node !== leg.node;
		if (before !== undefined && (wire || shape !== bulk.shapes[n - 1])) {
			const gone = pieces;
			simulator.now = Math.max(...pieces.map(({ time }) => time));
			pieces = reshape(simulator, bulk, pieces, shape, wire, leg.node);
			const kept = new Set(wire ? [] : pieces.map(({ skb }) => skb));
			for (const piece of gone) if (!kept.has(piece.skb)) simulator.freePointer(before.node, piece.skb);
		}
		for (const piece of pieces) {
			simulator.now = piece.time;
			simulator.emit(leg, packetOf(bulk, piece), {
				skb: piece.skb,
				truth: piece.truth,
				ingress: ingressAt(simulator, bulk, n),
			});
			piece.time += 900;
		}
	}
	simulator.now = Math.max(begin, ...pieces.map(({ time }) => time)) + 1;
	const first = pieces[0];
	if (first !== undefined) simulator.learn(packetOf(bulk, first), bulk.legs);
}

function madeBySender(simulator: Simulator, bulk: Bulk): Piece[] {
	let start = 0;
	let from = 0;
	return bulk.sizes.map((size) => {
		const to = from + Math.ceil(size / bulk.mss);
		const number = simulator.sent.push({
			hooks: bulk.legs.map((leg) => `${leg.node}/${leg.hook}`),
			fate: "whole",
		});
		const piece = {
			start,
			end: start + size,
			from,
			to,
			truth: [number - 1],
			time: simulator.now + from * 20,
			skb: simulator.takePointer(bulk.legs[0]?.node ?? ""),
		};
		start += size;
		from = to;
		return piece;
	});
}

function reshape(
	simulator: Simulator,
	bulk: Bulk,
	pieces: Piece[],
	shape: Shape,
	wire: boolean,
	node: string,
): Piece[] {
	let segments = pieces.flatMap((piece) => cut(bulk, piece));
	if (wire) segments = segments.filter(({ from }) => bulk.lost?.has(from) !== true);
	segments.forEach((segment, n) => {
		segment.time += wire ? 20_000 : 0;
		segment.time = Math.max(segment.time, (segments[n - 1]?.time ?? 0) + 13);
	});
	if (bulk.shuffle !== undefined && shape === "wire") {
		const times = segments.map(({ time }) => time);
		segments = bulk.shuffle(segments);
		segments.forEach((segment, n) => {
			segment.time = times[n] ?? segment.time;
		});
	}
	let shaped = segments;
	if (shape === "merged") shaped = merged(bulk, segments);
	if (shape === "sent") shaped = resent(pieces, wire);
	// GRO merges into the skb that came first, and what is one segment is not cut: those keep their skb.
	for (const piece of shaped) if (wire || piece.skb === 0) piece.skb = simulator.takePointer(node);
	return shaped;
}

function cut(bulk: Bulk, piece: Piece): Piece[] {
	return Array.from({ length: piece.to - piece.from }, (_, n) => ({
		start: piece.start + n * bulk.mss,
		end: Math.min(piece.end, piece.start + (n + 1) * bulk.mss),
		from: piece.from + n,
		to: piece.from + n + 1,
		truth: piece.truth,
		time: piece.time + n,
		skb: piece.to - piece.from === 1 ? piece.skb : 0,
	}));
}

/** Neighbours in sequence become one skb; a short one ends it (tcp_gro_receive flushes behind it). */
function merged(bulk: Bulk, segments: readonly Piece[]): Piece[] {
	const groups: Piece[][] = [];
	for (const segment of segments) {
		const group = groups.at(-1);
		const last = group?.at(-1);
		const fits =
			group !== undefined &&
			last !== undefined &&
			group.length < (bulk.merge ?? 17) &&
			last.end === segment.start &&
			last.end - last.start === bulk.mss;
		if (fits) group.push(segment);
		else groups.push([segment]);
	}
	return groups.map((group) => ({
		start: Math.min(...group.map(({ start }) => start)),
		end: Math.max(...group.map(({ end }) => end)),
		from: Math.min(...group.map(({ from }) => from)),
		to: Math.max(...group.map(({ to }) => to)),
		truth: [...new Set(group.flatMap(({ truth }) => truth))],
		time: Math.max(...group.map(({ time }) => time)) + 5,
		skb: group[0]?.skb ?? 0,
	}));
}

function resent(pieces: readonly Piece[], wire: boolean): Piece[] {
	return pieces.map((piece) => ({ ...piece, time: piece.time + (wire ? 20_000 : 0) }));
}

function packetOf(bulk: Bulk, piece: Piece): Packet {
	const payload = piece.end - piece.start;
	return {
		protocol: TCP,
		payload,
		ipId: (bulk.ipId + piece.from) & 0xffff,
		sequence: (bulk.sequence + piece.start) >>> 0,
		acknowledgement: 77,
		...(bulk.tsval === null ? {} : { tsval: bulk.tsval }),
		hash: (piece.from + 1) * 0x1234567,
		gsoSize: payload > bulk.mss ? bulk.mss : 0,
	};
}

function ingressAt(simulator: Simulator, bulk: Bulk, n: number): number {
	let iif = 0;
	for (const leg of bulk.legs.slice(0, n + 1)) {
		const hook = simulator.hook(leg.node, leg.hook);
		if (hook.role === "nic") iif = hook.direction === "ingress" ? hook.ifindex : 0;
		else if (hook.direction === "ingress") iif = hook.ifindex;
	}
	return iif;
}
