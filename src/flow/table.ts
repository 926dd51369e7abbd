import type { Hook } from "../packet/hook.js";
import type { OuterTable } from "../packet/outers.js";
import { EventFlag, TcpFlag } from "../packet/sightings.js";
import type { Tuple } from "../packet/tuple.js";
import type { TupleTable } from "../packet/tuples.js";
import { protocolOf } from "../path/materialise.js";
import type { PathSink } from "../path/path-view.js";
import { BadPaths } from "./bad-paths.js";
import { Devices } from "./devices.js";
import { arrivalHop, learnEnds } from "./ends.js";
import { echoRole, faceKey } from "./face.js";
import { Faces } from "./faces.js";
import { noteFirst } from "./first-packet.js";
import { type Face, Flow, flipped, type WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";
import { mayBeOne, merge } from "./merge.js";
import type { Pending } from "./pending.js";
import { Ring } from "./ring.js";
import { isBad, PathSegment } from "./segment.js";
import { type FlowSnapshot, snapshotOf } from "./snapshot.js";
import { learnTunnels } from "./tunnels.js";

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

/**
 * Rebuilds connections from paths: both directions, and both faces of what NAT translates on the way. Pure; the time is
 * the paths'. Paths may come in any order in which a Joiner closes them, a lost one seconds after its repair.
 */
export class FlowTable implements PathSink {
	readonly #options: FlowOptions;
	readonly #most: number;
	readonly #faces: Faces;
	readonly #flows = new Ring();
	readonly #changed = new Set<Flow>();
	readonly #bad = new BadPaths();
	readonly #devices: Devices;
	readonly #segment: PathSegment;
	readonly #counters = { paths: 0, counted: 0, notFlows: 0, unnamed: 0, flows: 0, merged: 0, evicted: 0 };

	constructor(options: FlowOptions) {
		this.#options = options;
		this.#most = options.maxFlows ?? MOST_FLOWS;
		this.#faces = new Faces(options.tuples.capacity);
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
		const wasBad = this.#bad.takeBack(view.serial, flow.ways[way]);
		const { verdict } = view;
		if (isBad(verdict)) this.#bad.add(view.serial, verdict, flow.ways[way]);
		if (flow.tcp !== null && (wasBad || isBad(verdict))) {
			flow.ways[way].retransmissions += flow.tcp.revise(this.#segment.over(view, way));
		}
		this.#touch(flow);
	}

	/** The id was retired from the tuple table and may name another one from now on. */
	forgetTuple(id: number): void {
		this.#faces.forget(id);
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
			const face = this.#faces.of(id);
			if (face !== undefined && !face.flow.gone) return { flow: face.flow, way: this.#faces.wayOf(id, face) };
			const tuple = this.#options.tuples.get(id);
			const key = faceKey(tuple);
			if (key === null) continue;
			const found = this.#faces.find(key.key) ?? (make ? this.#faces.add(key.key, this.#newFlow(tuple), 0) : null);
			if (found === null) continue;
			if (!key.portless) {
				this.#faces.remember(id, found, key.turned);
				return { flow: found.flow, way: flipped(key.turned, found.flip) };
			}
			if (fallback === null) [fallback, fallbackTurned] = [found, key.turned];
		}
		if (fallback !== null) return { flow: fallback.flow, way: flipped(fallbackTurned, fallback.flip) };
		return null;
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
			this.#faces.remove(oldest);
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
		const last = arrivalHop(view, this.#options);
		const firstTuple = view.tupleAt(0);
		const lastTuple = view.tupleAt(last);
		const firstHook = view.hook(0);
		const lastHook = view.hook(last);
		const sameTuples = seen.firstTuple === firstTuple && seen.lastTuple === lastTuple;
		if (sameTuples && seen.firstHook === firstHook && seen.lastHook === lastHook && seen.hops === view.hopCount) return;
		flow.ways[way].seen = { firstTuple, lastTuple, firstHook, lastHook, hops: view.hopCount };
		if (takesFaces) this.#learnFaces(view, flow, way);
		learnEnds(flow, way, this.#options);
		learnTunnels(view, flow, way, this.#options);
	}

	/** Every tuple that the packet had on its way is a face of the same connection. */
	#learnFaces(view: FlowPath, flow: Flow, way: WayIndex): void {
		let latest = 0;
		for (let n = 0; n < view.hopCount; n++) {
			const id = view.tupleAt(n);
			if (id === 0 || id === latest) continue;
			latest = id;
			if (this.#faces.of(id)?.flow !== flow) this.#alias(id, flow, way);
		}
	}

	#alias(id: number, flow: Flow, way: WayIndex): void {
		const key = faceKey(this.#options.tuples.get(id));
		if (key === null || key.portless) return;
		const flip = flipped(key.turned, way);
		const face = this.#faces.find(key.key) ?? this.#faces.add(key.key, flow, flip);
		this.#faces.remember(id, face, key.turned);
		if (face.flow === flow) return;
		// Half of this connection was seen alone, as on a node behind the NAT. One that has faces of its own is another.
		const turn = flipped(flip, face.flip);
		if (face.flow.faces.length === 1 && mayBeOne(flow, face.flow, turn)) {
			this.#merge(flow, face.flow, turn);
			return;
		}
		this.#faces.move(face, flow, flip);
	}

	/** @param turn 1: way 0 of the other is way 1 of this one */
	#merge(flow: Flow, other: Flow, turn: WayIndex): void {
		this.#counters.merged++;
		merge(flow, other, turn);
		this.#faces.moveAll(other, flow, turn);
		this.#remove(other);
	}

	#count(view: FlowPath, flow: Flow, way: WayIndex): void {
		const counts = flow.ways[way];
		const fragmented = (view.flags & EventFlag.fragment) !== 0;
		counts.packets += fragmented ? view.packets(0) : Math.max(1, view.segments);
		counts.bytes += fragmented ? view.bytes(0) : view.length;
		counts.payloadBytes += view.payload;
		noteFirst(view, flow, way, this.#devices);
		flow.lastNs = Math.max(flow.lastNs, view.last(view.hopCount - 1));
		const { verdict } = view;
		if (isBad(verdict)) this.#bad.add(view.serial, verdict, counts);
		if (flow.tcp !== null && (view.flags & EventFlag.hasPorts) !== 0) {
			counts.retransmissions += flow.tcp.add(this.#segment.over(view, way), flow.rtt);
		}
		if (flow.echoes !== null) this.#echo(view, flow, way, flow.echoes);
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

function hasTuple(view: FlowPath): boolean {
	for (let n = 0; n < view.hopCount; n++) {
		if (view.tupleAt(n) !== 0) return true;
	}
	return false;
}
