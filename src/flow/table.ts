import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import { EventFlag, TcpFlag } from "../packet/sightings.js";
import type { Tuple } from "../packet/tuple.js";
import type { TupleTable } from "../packet/tuples.js";
import { protocolOf } from "../path/materialise.js";
import type { PathSink } from "../path/path-view.js";
import { Devices } from "./devices.js";
import { echoRole, faceKey } from "./face.js";
import { type Face, Flow, type FlowWay, Rank, type WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";
import type { Pending } from "./pending.js";
import { Ring } from "./ring.js";
import { isBad, PathSegment } from "./segment.js";
import { type FlowSnapshot, snapshotOf } from "./snapshot.js";

export interface FlowOptions {
	readonly tuples: Pick<TupleTable, "get" | "capacity">;
	readonly outers: Pick<OuterTable, "get">;
	readonly hook: (id: number) => Hook;
	/** Makes ids unique among traces; the flow's number follows. */
	readonly idPrefix: string;
	/** Wall clock at 0 of the joiner's line, ns since 1970. */
	readonly wallClockBase: bigint;
	/** The tunnel device's own address at a hook, when known. */
	readonly tunnelAddress?: (hook: Hook) => string | null;
	/** 65536 by default: then the one that was quiet for longest goes, counted. */
	readonly maxFlows?: number;
}

export interface FlowCounters {
	/** Paths given: of them `counted` are in flows, `notFlows` had no IP in them, `unnamed` no tuple. */
	readonly paths: number;
	readonly counted: number;
	readonly notFlows: number;
	readonly unnamed: number;
	/** Flows made, merged into others when they turned out to be the same, and put out for lack of room. */
	readonly flows: number;
	readonly merged: number;
	readonly evicted: number;
}

const MOST_FLOWS = 2 ** 16;
/** A Joiner gives a path at the latest so long after its packet. */
const LONGEST_DELAY_NS = 5e9;
/** How far the clocks of two nodes may be apart when nothing is known of them yet, ns. */
const MOST_SKEW_NS = 100e6;
/** Paths that are called lost or dropped and may be revised. */
const MOST_BAD = 2 ** 14;
const MOST_TUNNELS = 8;

/**
 * Rebuilds connections from paths: both directions, and both faces of what NAT translates on the way. Pure; the time is
 * the paths'. Paths may come in any order in which a Joiner closes them, a lost one seconds after its repair.
 */
export class FlowTable implements PathSink {
	readonly #options: FlowOptions;
	readonly #most: number;
	readonly #faces = new Map<string, Face>();
	/** By tuple id: its face, and whether it is the key's reverse. Emptied by `forgetTuple`. */
	readonly #faceOf: (Face | undefined)[] = [];
	readonly #turned: Uint8Array;
	readonly #flows = new Ring();
	readonly #changed = new Set<Flow>();
	readonly #bad = new Map<number, "lost" | "dropped">();
	readonly #devices: Devices;
	readonly #segment: PathSegment;
	readonly #counters = { paths: 0, counted: 0, notFlows: 0, unnamed: 0, flows: 0, merged: 0, evicted: 0 };

	constructor(options: FlowOptions) {
		this.#options = options;
		this.#most = options.maxFlows ?? MOST_FLOWS;
		this.#turned = new Uint8Array(options.tuples.capacity + 1);
		this.#devices = new Devices(options.hook);
		this.#segment = new PathSegment(this.#devices);
	}

	get size(): number {
		return this.#flows.size;
	}

	get counters(): FlowCounters {
		return { ...this.#counters };
	}

	path(view: FlowPath): void {
		this.#counters.paths++;
		const place = this.#place(view, true);
		if (place === null) {
			if (hasTuple(view)) this.#counters.notFlows++;
			else this.#counters.unnamed++;
			return;
		}
		const { way } = place;
		const flow = this.#connection(view, place.flow, way);
		this.#counters.counted++;
		// An earlier connection has given its faces away.
		this.#learn(view, flow, way, flow !== place.flow.previous);
		this.#count(view, flow, way);
		this.#touch(flow);
	}

	/** What was counted stays; its verdict, and where it was lost, may be others. */
	revise(view: FlowPath): void {
		const place = this.#place(view, false);
		if (place === null) return;
		const { way } = place;
		const flow = this.#connection(view, place.flow, way);
		this.#learn(view, flow, way, flow === place.flow);
		const before = this.#bad.get(view.serial);
		if (before !== undefined) flow.ways[way][before]--;
		this.#bad.delete(view.serial);
		const after = view.verdict;
		if (isBad(after)) this.#noteBad(view.serial, after, flow.ways[way]);
		if (flow.tcp !== null && (before !== undefined || isBad(after))) {
			flow.ways[way].retransmissions += flow.tcp.revise(this.#segment.over(view, way));
		}
		this.#touch(flow);
	}

	/** The id was retired from the tuple table and may name another one from now on. */
	forgetTuple(id: number): void {
		this.#faceOf[id] = undefined;
	}

	/** All flows, those that were quiet for longest first. */
	*snapshots(): IterableIterator<FlowSnapshot> {
		for (const flow of this.#flows) yield snapshotOf(flow, this.#options);
	}

	/** Those that changed since it was last asked. */
	changes(): FlowSnapshot[] {
		const changed = [...this.#changed].filter(({ gone }) => !gone);
		this.#changed.clear();
		return changed.map((flow) => {
			flow.changed = false;
			return snapshotOf(flow, this.#options);
		});
	}

	/** The flow of a path's first tuple that has ports; made when it is new, if it is to be. */
	#place(view: FlowPath, make: boolean): { readonly flow: Flow; readonly way: WayIndex } | null {
		let fallback: Face | null = null;
		let fallbackTurned: WayIndex = 0;
		let seen = 0;
		for (let n = 0; n < view.hopCount; n++) {
			const id = view.tupleAt(n);
			if (id === 0 || id === seen) continue;
			seen = id;
			const face = this.#faceOf[id];
			if (face !== undefined && !face.flow.gone)
				return { flow: face.flow, way: flipped(this.#turned[id] as WayIndex, face.flip) };
			const tuple = this.#options.tuples.get(id);
			const key = faceKey(tuple);
			if (key === null) continue;
			const found = this.#faces.get(key.key) ?? (make ? this.#open(tuple, key.key) : null);
			if (found === null) continue;
			if (!key.portless) {
				this.#remember(id, found, key.turned);
				return { flow: found.flow, way: flipped(key.turned, found.flip) };
			}
			if (fallback === null) [fallback, fallbackTurned] = [found, key.turned];
		}
		if (fallback !== null) return { flow: fallback.flow, way: flipped(fallbackTurned, fallback.flip) };
		return null;
	}

	#remember(id: number, face: Face, turned: WayIndex): void {
		this.#faceOf[id] = face;
		this.#turned[id] = turned;
	}

	#open(tuple: Tuple, key: string): Face {
		const flow = this.#newFlow(tuple);
		const face: Face = { key, flow, flip: 0 };
		flow.faces.push(face);
		this.#faces.set(key, face);
		return face;
	}

	#newFlow(tuple: Tuple): Flow {
		const kind = tuple.protocol === 6 ? "tcp" : echoRole(tuple) === null ? "other" : "echo";
		return this.#enter(new Flow(++this.#counters.flows, protocolOf(tuple), kind));
	}

	#enter(flow: Flow): Flow {
		const oldest = this.#flows.oldest;
		if (this.#flows.size >= this.#most && oldest !== null) {
			this.#counters.evicted++;
			this.#remove(oldest);
			for (const { key } of oldest.faces) this.#faces.delete(key);
		}
		this.#flows.push(flow);
		return flow;
	}

	#remove(flow: Flow): void {
		this.#flows.remove(flow);
		this.#changed.delete(flow);
		flow.gone = true;
		flow.previous = null;
	}

	/** A SYN with another initial sequence number begins another connection under the same faces. */
	#connection(view: FlowPath, flow: Flow, way: WayIndex): Flow {
		const { tcp, previous } = flow;
		if (tcp === null || (view.flags & EventFlag.hasPorts) === 0) return flow;
		const time = view.first(0);
		const opens = (view.tcpFlags & (TcpFlag.syn | TcpFlag.ack)) === TcpFlag.syn;
		if (opens) {
			const initial = tcp.initialSequence(way);
			if (initial === view.sequence) return flow;
			if (previous?.gone === false && previous.tcp?.initialSequence(way) === view.sequence) return previous;
			const later = initial === null ? flow.ways[way].packets > 0 && time > flow.lastNs : time > flow.firstNs;
			if (later) return this.#succeed(flow);
		}
		return previous !== null && !previous.gone && time < flow.firstNs && !opens ? previous : flow;
	}

	#succeed(flow: Flow): Flow {
		const kind = flow.tcp === null ? "other" : "tcp";
		const next = new Flow(++this.#counters.flows, flow.protocol, kind);
		next.faces = flow.faces;
		for (const face of next.faces) face.flow = next;
		flow.faces = [];
		flow.previous = null;
		this.#enter(next);
		if (!flow.gone) next.previous = flow;
		return next;
	}

	/** Who talks and by which way: the same for nearly all packets of a direction, so asked once. */
	#learn(view: FlowPath, flow: Flow, way: WayIndex, takesFaces: boolean): void {
		const { seen } = flow.ways[way];
		const last = this.#lastHop(view);
		const firstTuple = view.tupleAt(0);
		const lastTuple = view.tupleAt(last);
		const firstHook = view.hook(0);
		const lastHook = view.hook(last);
		const sameTuples = seen.firstTuple === firstTuple && seen.lastTuple === lastTuple;
		if (sameTuples && seen.firstHook === firstHook && seen.lastHook === lastHook && seen.hops === view.hopCount) return;
		flow.ways[way].seen = { firstTuple, lastTuple, firstHook, lastHook, hops: view.hopCount };
		if (takesFaces) this.#learnFaces(view, flow, way);
		this.#learnEnds(flow, way);
		this.#learnTunnels(view, flow, way);
	}

	/** Where it arrived. Flooded copies end elsewhere: of them only those count that a trunk without an end leaves. */
	#lastHop(view: FlowPath): number {
		const last = view.hopCount - 1;
		let trunk = last;
		while (trunk > 0 && view.branch(trunk) !== 0) trunk--;
		return trunk === last || reachesPod(this.#options.hook(view.hook(trunk))) ? trunk : last;
	}

	/** Every tuple that the packet had on its way is a face of the same connection. */
	#learnFaces(view: FlowPath, flow: Flow, way: WayIndex): void {
		let latest = 0;
		for (let n = 0; n < view.hopCount; n++) {
			const id = view.tupleAt(n);
			if (id === 0 || id === latest) continue;
			latest = id;
			const face = this.#faceOf[id];
			if (face?.flow !== flow) this.#alias(id, flow, way);
		}
	}

	#alias(id: number, flow: Flow, way: WayIndex): void {
		const key = faceKey(this.#options.tuples.get(id));
		if (key === null || key.portless) return;
		const flip = flipped(key.turned, way);
		const face = this.#faces.get(key.key);
		if (face === undefined) {
			const added: Face = { key: key.key, flow, flip };
			flow.faces.push(added);
			this.#faces.set(key.key, added);
			this.#remember(id, added, key.turned);
			return;
		}
		this.#remember(id, face, key.turned);
		if (face.flow === flow) return;
		// Half of this connection was seen alone, as on a node behind the NAT. One that has faces of its own is another.
		const turn = flipped(flip, face.flip);
		if (face.flow.faces.length === 1 && mayBeOne(flow, face.flow, turn)) {
			this.#merge(flow, face.flow, turn);
			return;
		}
		face.flow.faces = face.flow.faces.filter((other) => other !== face);
		face.flow = flow;
		face.flip = flip;
		flow.faces.push(face);
	}

	/** @param turn 1: way 0 of the other is way 1 of this one */
	#merge(flow: Flow, other: Flow, turn: WayIndex): void {
		this.#counters.merged++;
		for (const way of [0, 1] as const) {
			flow.ways[flipped(way, turn)].add(other.ways[way]);
			const end = flow.ends[flipped(way, turn)];
			const { address, port, rank, face, device } = other.ends[way];
			if (rank > end.rank) end.learn(address, port, rank);
			end.face ??= face;
			end.device ??= device;
		}
		if (other.tcp !== null) flow.tcp?.merge(other.tcp, turn);
		flow.rtt.merge(other.rtt);
		flow.asker ??= other.asker === null ? null : flipped(other.asker, turn);
		flow.tunnels.push(...other.tunnels.map((tunnel) => ({ ...tunnel, way: flipped(tunnel.way, turn) })));
		flow.tunnels.length = Math.min(flow.tunnels.length, MOST_TUNNELS);
		if (other.firstNs < flow.firstNs) {
			flow.firstWay = flipped(other.firstWay, turn);
			flow.firstHops = other.firstHops;
		}
		flow.firstNs = Math.min(flow.firstNs, other.firstNs);
		flow.lastNs = Math.max(flow.lastNs, other.lastNs);
		for (const face of other.faces) {
			face.flow = flow;
			face.flip = flipped(face.flip, turn);
			flow.faces.push(face);
		}
		other.faces = [];
		this.#remove(other);
	}

	/** Whose packet it is by the first hop, whom it reached by the last; what stood between is NAT's. */
	#learnEnds(flow: Flow, way: WayIndex): void {
		const { firstTuple, lastTuple, firstHook, lastHook } = flow.ways[way].seen;
		if (firstTuple === 0 || lastTuple === 0) return;
		const from = this.#options.tuples.get(firstTuple);
		const to = this.#options.tuples.get(lastTuple);
		if (isPortless(from) || isPortless(to)) return;
		const sender = flow.ends[way];
		const receiver = flow.ends[way === 0 ? 1 : 0];
		const left = this.#options.hook(firstHook);
		const reached = this.#options.hook(lastHook);
		if (leavesPod(left)) sender.device = { node: left.node, ifindex: left.ifindex };
		if (reachesPod(reached)) receiver.device = { node: reached.node, ifindex: reached.ifindex };
		const translated = from !== to && (from.source !== to.source || from.destination !== to.destination);
		const rank = translated ? Rank.translated : Rank.seen;
		const ports = hasPorts(from);
		sender.learn(from.source, ports ? from.sourcePort : null, leavesPod(left) ? Rank.device : rank);
		receiver.learn(to.destination, ports ? to.destinationPort : null, reachesPod(reached) ? Rank.device : rank);
		if (from.destination !== null && isOther(from, to, "destination")) {
			receiver.face = { address: from.destination, port: ports ? from.destinationPort : null };
		}
		if (to.source !== null && isOther(from, to, "source")) {
			sender.face = { address: to.source, port: ports ? to.sourcePort : null };
		}
	}

	/** Out of a node the header names the far end, into one the near end of the other: together they are the tunnel. */
	#learnTunnels(view: FlowPath, flow: Flow, way: WayIndex): void {
		const found: { source: string | null; destination: string | null; readonly vni: number }[] = [];
		for (let n = 0; n < view.hopCount; n++) {
			const id = view.outerAt(n);
			if (id === 0) continue;
			const { peer, vni } = this.#options.outers.get(id);
			const hook = this.#options.hook(view.hook(n));
			const own = this.#options.tunnelAddress?.(hook) ?? null;
			const open = found.at(-1);
			if (hook.direction === "egress") found.push({ source: own, destination: peer, vni });
			else if (open === undefined || open.vni !== vni) found.push({ source: peer, destination: own, vni });
			else {
				open.source ??= peer;
				open.destination ??= own;
			}
		}
		for (const { source, destination, vni } of found) {
			const known = flow.tunnels.some(
				(other) =>
					other.way === way && other.source === source && other.destination === destination && other.vni === vni,
			);
			if (!known && flow.tunnels.length < MOST_TUNNELS) flow.tunnels.push({ way, source, destination, vni });
		}
	}

	#count(view: FlowPath, flow: Flow, way: WayIndex): void {
		const counts = flow.ways[way];
		const fragmented = (view.flags & EventFlag.fragment) !== 0;
		counts.packets += fragmented ? view.packets(0) : Math.max(1, view.segments);
		counts.bytes += fragmented ? view.bytes(0) : view.length;
		counts.payloadBytes += view.payload;
		const time = view.first(0);
		if (time < flow.firstNs + MOST_SKEW_NS) this.#noteFirst(view, flow, way, time);
		flow.lastNs = Math.max(flow.lastNs, view.last(view.hopCount - 1));
		const { verdict } = view;
		if (isBad(verdict)) this.#noteBad(view.serial, verdict, counts);
		if (flow.tcp !== null && (view.flags & EventFlag.hasPorts) !== 0) {
			counts.retransmissions += flow.tcp.add(this.#segment.over(view, way), flow.rtt);
		}
		if (flow.echoes !== null) this.#echo(view, flow, way, flow.echoes);
	}

	/** Clocks of two nodes may be apart by more than an answer takes: which came first, a device tells that saw both. */
	#noteFirst(view: FlowPath, flow: Flow, way: WayIndex, time: number): void {
		const known =
			way === flow.firstWay ? undefined : flow.firstHops.find(({ device }) => this.#timeAt(view, device) !== null);
		const isFirst = known === undefined ? time < flow.firstNs : (this.#timeAt(view, known.device) ?? time) < known.time;
		if (isFirst) {
			flow.firstWay = way;
			flow.firstHops = Array.from({ length: view.hopCount }, (_, n) => ({
				device: this.#devices.of(view.hook(n)),
				time: view.first(n),
			}));
		}
		flow.firstNs = Math.min(flow.firstNs, time);
	}

	#timeAt(view: FlowPath, device: number): number | null {
		return this.#devices.timeAt(view, device);
	}

	#noteBad(serial: number, verdict: "lost" | "dropped", counts: FlowWay): void {
		counts[verdict]++;
		this.#bad.set(serial, verdict);
		if (this.#bad.size <= MOST_BAD) return;
		const [oldest] = this.#bad.keys();
		if (oldest !== undefined) this.#bad.delete(oldest);
	}

	#echo(view: FlowPath, flow: Flow, way: WayIndex, echoes: Pending): void {
		const id = view.tupleAt(0);
		const role = id === 0 ? null : echoRole(this.#options.tuples.get(id));
		if (role === "request") {
			flow.asker ??= way;
			echoes.push(view.sequence, view.first(0), this.#devices.of(view.hook(0)));
			return;
		}
		const asked = role === "reply" ? echoes.exactly(view.sequence) : null;
		const back = asked === null ? null : this.#devices.timeAt(view, asked.device);
		if (asked !== null && back !== null && back >= asked.time) flow.rtt.add(back - asked.time);
	}

	#touch(flow: Flow): void {
		this.#flows.touch(flow);
		if (flow.changed) return;
		flow.changed = true;
		this.#changed.add(flow);
	}
}

function flipped(way: WayIndex, flip: WayIndex): WayIndex {
	return way === flip ? 0 : 1;
}

function leavesPod(hook: Hook): boolean {
	return hook.role === "pod" ? hook.direction === "ingress" : hook.role === "inside" && hook.direction === "egress";
}

function reachesPod(hook: Hook): boolean {
	return hook.role === "pod" ? hook.direction === "egress" : hook.role === "inside" && hook.direction === "ingress";
}

function hasPorts(tuple: Tuple): boolean {
	return tuple.protocol === 6 || tuple.protocol === 17 || tuple.protocol === 132;
}

function hasTuple(view: FlowPath): boolean {
	for (let n = 0; n < view.hopCount; n++) {
		if (view.tupleAt(n) !== 0) return true;
	}
	return false;
}

/** A later fragment's. */
function isPortless(tuple: Tuple): boolean {
	return hasPorts(tuple) && tuple.sourcePort === 0 && tuple.destinationPort === 0;
}

function isOther(from: Tuple, to: Tuple, end: "source" | "destination"): boolean {
	const port = end === "source" ? "sourcePort" : "destinationPort";
	return from[end] !== to[end] || (hasPorts(from) && from[port] !== to[port]);
}

/** A face of one connection that was used by another long before, or with another SYN, is no half of it. */
function mayBeOne(flow: Flow, other: Flow, turn: WayIndex): boolean {
	if (other.lastNs < flow.firstNs - LONGEST_DELAY_NS && flow.firstNs !== Number.POSITIVE_INFINITY) return false;
	for (const way of [0, 1] as const) {
		const ours = flow.tcp?.initialSequence(flipped(way, turn)) ?? null;
		const theirs = other.tcp?.initialSequence(way) ?? null;
		if (ours !== null && theirs !== null && ours !== theirs) return false;
	}
	return true;
}
